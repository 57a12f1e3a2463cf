// A session with the server for Dio 5: sends requests, refreshes, signs out. Copy this file.
// `session.dio` is a Dio; the store is flutter_secure_storage (docs/clients.md).

import 'dart:math';

import 'package:dio/dio.dart';

class Pair {
  const Pair(this.accessToken, this.expiresIn, this.refreshToken, this.generation, this.deviceId,
      [this.idempotencyKey]);

  final String accessToken;
  final int expiresIn;
  final String refreshToken;

  /// Grows with every refresh of the same device session.
  final int generation;
  final String deviceId;

  /// Once a refresh with this pair has begun: the key of that refresh.
  final String? idempotencyKey;

  Pair withKey(String key) => Pair(accessToken, expiresIn, refreshToken, generation, deviceId, key);
}

abstract interface class Store {
  /// Throws if the store cannot be read now: null means that nobody is signed in.
  Future<Pair?> read();

  /// Replaces what is stored with what [change] returns, in one write, and returns it. Nothing else
  /// in the app, in any isolate or process, may write between its read and its write.
  Future<Pair?> update(Pair? Function(Pair? stored) change);
}

/// The user has to sign in again.
class SignedOut implements Exception {}

/// There was no usable response. The tokens are kept: try again later.
class Unavailable implements Exception {}

/// The server refused: trying again does not help.
class Refused implements Exception {
  Refused(this.code);
  final String code;
}

class Session extends Interceptor {
  Session(String base, this.store, this.onSignedOut)
      : _plain = Dio(BaseOptions(
          baseUrl: base,
          connectTimeout: const Duration(seconds: 10),
          receiveTimeout: const Duration(seconds: 20),
          validateStatus: (_) => true,
        )) {
    dio = Dio(BaseOptions(baseUrl: base))..interceptors.add(this);
  }

  static const _attempts = 6;
  static const _longestWait = Duration(seconds: 60);

  final Store store;
  final void Function() onSignedOut;
  late final Dio dio;
  // A refresh must not go through the interceptor that waits for it.
  final Dio _plain;
  final _random = Random.secure();
  Future<Pair>? _refreshing;

  Future<void> signIn(String username, String password, Map<String, String> device) async {
    final answer = await _plain.post<dynamic>('/users/login',
        data: {'username': username, 'password': password, 'device': device});
    if (answer.statusCode != 200) throw Refused(_codeOf(answer));
    final pair = _pairIn(answer) ?? (throw Unavailable());
    await store.update((_) => pair);
  }

  /// Deletes the tokens first, so that signing out works without a network.
  Future<void> signOut() async {
    final pair = await store.read();
    await store.update((_) => null);
    if (pair == null) return;
    try {
      await _plain.post<dynamic>('/users/revoke', data: {'token': pair.refreshToken});
    } on DioException {
      return;
    }
  }

  @override
  Future<void> onRequest(RequestOptions options, RequestInterceptorHandler handler) async {
    try {
      if (!_isOurs(options.uri)) return handler.next(options);
      handler.next(_signed(options, await store.read() ?? (throw SignedOut())));
    } catch (error) {
      // Dio waits for ever for a handler that is never called.
      handler.reject(DioException(requestOptions: options, error: error));
    }
  }

  @override
  Future<void> onError(DioException err, ErrorInterceptorHandler handler) async {
    final options = err.requestOptions;
    final refused = options.extra['pair'] as Pair?;
    if (err.response?.statusCode != 401 || refused == null) return handler.next(err);
    try {
      // Repeated once: this client does not come back here.
      handler.resolve(await _plain.fetch<dynamic>(_signed(options, await _refresh(refused))));
    } on DioException catch (error) {
      handler.next(error);
    } catch (error) {
      handler.next(DioException(requestOptions: options, response: err.response, error: error));
    }
  }

  // The tokens are for this server only.
  bool _isOurs(Uri uri) {
    final base = Uri.parse(_plain.options.baseUrl);
    return uri.scheme == base.scheme && uri.host == base.host && uri.port == base.port;
  }

  RequestOptions _signed(RequestOptions options, Pair pair) => options
    ..headers['Authorization'] = 'Bearer ${pair.accessToken}'
    ..extra['pair'] = pair;

  // Single flight: requests that need a new pair while a refresh is running wait for its pair.
  Future<Pair> _refresh(Pair refused) async {
    _refreshing ??= _renew(refused).whenComplete(() => _refreshing = null);
    return _ofSession(refused, await _refreshing);
  }

  Future<Pair> _renew(Pair refused) async {
    var wanted = refused;
    for (var attempt = 1;; attempt++) {
      final held = await _begin(wanted);
      // Another request, isolate or process of this app has refreshed meanwhile.
      if (held.accessToken != wanted.accessToken) return held;
      final answer = await _ask(held);
      if (answer != null && _isFinal(answer)) {
        wanted = await _finish(held, answer);
        if (wanted.expiresIn > 0) return wanted;
      }
      // The random part doubles, so that devices that failed together do not return together.
      final wait = Duration(
          seconds: int.tryParse(answer?.headers.value('retry-after') ?? '') ?? 0,
          milliseconds: _random.nextInt(250 << attempt));
      if (attempt == _attempts || wait > _longestWait) throw Unavailable();
      await Future<void>.delayed(wait);
    }
  }

  // Reads the store, and stores a key if this pair has none: before the refresh is sent.
  Future<Pair> _begin(Pair refused) async {
    final stored = await store.update((now) =>
        now?.accessToken == refused.accessToken && now?.idempotencyKey == null
            ? now?.withKey(_newKey())
            : now);
    return _ofSession(refused, stored);
  }

  Future<Response<dynamic>?> _ask(Pair held) async {
    try {
      return await _plain.post<dynamic>('/users/token',
          data: {'grant_type': 'refresh_token', 'refresh_token': held.refreshToken},
          options: Options(headers: {'Idempotency-Key': held.idempotencyKey}));
    } on DioException {
      return null;
    }
  }

  // Stores the new pair before its first use: that use ends the life of the old refresh token.
  Future<Pair> _finish(Pair held, Response<dynamic> answer) async {
    final next = _pairIn(answer);
    if (next != null) return _ofSession(held, await store.update((now) => _newer(next, now)));
    if (_codeOf(answer) != 'invalid_grant') throw Refused(_codeOf(answer));
    var ended = false;
    final stored = await store.update((now) {
      ended = now?.refreshToken == held.refreshToken;
      return ended ? null : now;
    });
    if (ended) onSignedOut();
    return _ofSession(held, stored);
  }

  // A request is never repeated with the tokens of another session.
  Pair _ofSession(Pair asked, Pair? pair) {
    if (pair == null || pair.deviceId != asked.deviceId) throw SignedOut();
    return pair;
  }

  // Responses may overtake each other: the pair of the higher generation stays.
  Pair? _newer(Pair next, Pair? stored) {
    if (stored == null || stored.deviceId != next.deviceId) return stored;
    return next.generation > stored.generation ? next : stored;
  }

  String _newKey() =>
      [for (var i = 0; i < 16; i++) _random.nextInt(256).toRadixString(16).padLeft(2, '0')].join();

  // A truncated pair, or a network's own page in place of a pair, says nothing about the tokens.
  bool _isFinal(Response<dynamic> answer) {
    final status = answer.statusCode ?? 0;
    if (status == 200) return _pairIn(answer) != null;
    return status > 0 && status != 429 && status < 500;
  }

  Pair? _pairIn(Response<dynamic> answer) => switch (answer.data) {
        {
          'access_token': final String access,
          'expires_in': final int expiresIn,
          'refresh_token': final String refresh,
          'generation': final int generation,
          'device': {'id': final String deviceId},
        } =>
          Pair(access, expiresIn, refresh, generation, deviceId),
        _ => null,
      };

  String _codeOf(Response<dynamic> answer) {
    final body = answer.data;
    return body is Map && body['error'] is String ? body['error'] as String : 'status ${answer.statusCode}';
  }
}
