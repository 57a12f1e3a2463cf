// A session with the server for Dio 5: sends requests, refreshes, signs out. Copy this file.
// `session.dio` is a Dio; the store is flutter_secure_storage (docs/clients.md).

import 'dart:io' show HttpDate;
import 'dart:math';

import 'package:dio/dio.dart';

class Pair {
  const Pair(this.accessToken, this.expiresIn, this.refreshToken, this.generation, this.deviceId);

  final String accessToken;
  final int expiresIn;
  final String refreshToken;

  /// Grows with every refresh of the same device session.
  final int generation;
  final String deviceId;
}

/// What the store holds, as one value.
class Stored {
  const Stored({
    this.pair,
    this.idempotencyKey,
    this.deviceCredential = '',
    this.signOuts = const [],
  });

  /// null: nobody is signed in.
  final Pair? pair;

  /// Once a refresh with this pair has begun: the key of that refresh.
  final String? idempotencyKey;

  /// Proves at the next sign-in that this device is known; a sign-out keeps it.
  final String deviceCredential;

  /// The refresh tokens of sign-outs that the server may not know of yet.
  final List<String> signOuts;

  /// A new pair comes without a key: the next refresh gets a key of its own.
  Stored withPair(Pair? pair, [String? key]) => Stored(
      pair: pair,
      idempotencyKey: key,
      deviceCredential: deviceCredential,
      signOuts: signOuts);

  Stored signedIn(Pair pair, String credential) =>
      Stored(pair: pair, deviceCredential: credential, signOuts: signedOut().signOuts);

  /// The same write queues the sign-out, in case the app ends before the server knows.
  Stored signedOut() => Stored(
      deviceCredential: deviceCredential,
      signOuts: [...signOuts, if (pair != null) pair!.refreshToken]);

  Stored without(String token) => Stored(
      pair: pair,
      idempotencyKey: idempotencyKey,
      deviceCredential: deviceCredential,
      signOuts: [...signOuts.where((other) => other != token)]);
}

abstract interface class Store {
  /// Throws if the store cannot be read now: an empty Stored means that nothing was ever stored.
  Future<Stored> read();

  /// Replaces what is stored with what [change] returns, in one write, and returns it. Nothing else
  /// in the app, in any isolate or process, may write between its read and its write.
  Future<Stored> update(Stored Function(Stored stored) change);
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
          // A redirect could lead the tokens to another server.
          followRedirects: false,
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
    final shown = {...device, 'credential': (await store.read()).deviceCredential};
    final answer = await _plain.post<dynamic>('/users/login',
        data: {'username': username, 'password': password, 'device': shown});
    if (answer.statusCode != 200) throw Refused(_codeOf(answer));
    final pair = _pairIn(answer) ?? (throw Unavailable());
    final credential = (answer.data as Map)['device_credential'] as String? ?? '';
    await store.update((now) => now.signedIn(pair, credential));
  }

  /// Deletes the pair first, so that signing out works without a network.
  Future<void> signOut() async {
    await store.update((now) => now.signedOut());
    finishSignOuts().ignore();
  }

  /// Tells the server of sign-outs that it may not know of. Call it when the app starts, too.
  Future<void> finishSignOuts() async {
    for (final token in (await store.read()).signOuts) {
      for (var attempt = 1;; attempt++) {
        final answer = await _post('/users/revoke', {'token': token});
        if (answer != null && _knowsOfSignOut(answer)) break;
        await _pause(attempt, answer);
      }
      await store.update((now) => now.without(token));
    }
  }

  @override
  Future<void> onRequest(RequestOptions options, RequestInterceptorHandler handler) async {
    try {
      if (!_isOurs(options.uri)) return handler.next(options);
      final pair = (await store.read()).pair ?? (throw SignedOut());
      // Dio reads a form only once: a copy is sent, and the original is there for a second try.
      final form = options.data;
      options.extra['form'] = form is FormData ? form : null;
      if (form is FormData) options.data = form.clone();
      handler.next(_signed(options, pair));
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
    // A stream can be read only once.
    if (options.data is Stream) return handler.next(err);
    try {
      options.data = options.extra['form'] ?? options.data;
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
      final stored = await _begin(wanted);
      final held = _ofSession(wanted, stored.pair);
      // Another request, isolate or process of this app has refreshed meanwhile.
      if (held.accessToken != wanted.accessToken) return held;
      final body = {'grant_type': 'refresh_token', 'refresh_token': held.refreshToken};
      final answer = await _post('/users/token', body, stored.idempotencyKey);
      if (answer != null && _isFinal(answer)) {
        wanted = await _finish(held, answer);
        if (wanted.expiresIn > 0) return wanted;
      }
      await _pause(attempt, answer);
    }
  }

  // The random part doubles, so that devices that failed together do not return together.
  Future<void> _pause(int attempt, Response<dynamic>? answer) async {
    final wait = _retryAfter(answer?.headers) +
        Duration(milliseconds: _random.nextInt(250 << attempt));
    if (attempt == _attempts || wait > _longestWait) throw Unavailable();
    await Future<void>.delayed(wait);
  }

  // A date is compared with the server's own: the clock of the device may be wrong.
  Duration _retryAfter(Headers? headers) {
    final text = headers?.value('retry-after') ?? '';
    final seconds = int.tryParse(text);
    if (seconds != null) return Duration(seconds: max(0, seconds));
    final until = _dateIn(text);
    final now = _dateIn(headers?.value('date') ?? '') ?? DateTime.now();
    return until == null || until.isBefore(now) ? Duration.zero : until.difference(now);
  }

  DateTime? _dateIn(String text) {
    try {
      return HttpDate.parse(text);
    } on Exception {
      return null;
    }
  }

  // Reads the store, and stores a key if this pair has none: before the refresh is sent.
  Future<Stored> _begin(Pair refused) => store.update((now) =>
      now.pair?.accessToken == refused.accessToken && now.idempotencyKey == null
          ? now.withPair(now.pair, _newKey())
          : now);

  Future<Response<dynamic>?> _post(String path, Map<String, String> body, [String? key]) async {
    try {
      return await _plain.post<dynamic>(path,
          data: body,
          options: Options(headers: {if (key != null) 'Idempotency-Key': key}));
    } on DioException {
      return null;
    }
  }

  // Stores the new pair before its first use: that use ends the life of the old refresh token.
  Future<Pair> _finish(Pair held, Response<dynamic> answer) async {
    final next = _pairIn(answer);
    if (next != null) {
      return _ofSession(held, (await store.update((now) => _newer(next, now))).pair);
    }
    if (_codeOf(answer) != 'invalid_grant') throw Refused(_codeOf(answer));
    var ended = false;
    final stored = await store.update((now) {
      ended = now.pair?.refreshToken == held.refreshToken;
      return ended ? now.withPair(null) : now;
    });
    if (ended) onSignedOut();
    return _ofSession(held, stored.pair);
  }

  // A request is never repeated with the tokens of another session.
  Pair _ofSession(Pair asked, Pair? pair) {
    if (pair == null || pair.deviceId != asked.deviceId) throw SignedOut();
    return pair;
  }

  // Responses may overtake each other: the pair of the higher generation stays.
  Stored _newer(Pair next, Stored stored) {
    final held = stored.pair;
    if (held == null || held.deviceId != next.deviceId) return stored;
    return next.generation > held.generation ? stored.withPair(next) : stored;
  }

  String _newKey() =>
      [for (var i = 0; i < 16; i++) _random.nextInt(256).toRadixString(16).padLeft(2, '0')].join();

  // A truncated pair, or a network's own page in place of a response, says nothing about the tokens.
  bool _isFinal(Response<dynamic> answer) {
    final status = answer.statusCode ?? 0;
    if (status == 200) return _pairIn(answer) != null;
    return status >= 400 && status < 500 && status != 429;
  }

  // Another response, or a page, is not of this server.
  bool _knowsOfSignOut(Response<dynamic> answer) =>
      answer.statusCode == 400 || answer.statusCode == 200 && answer.data is Map;

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
