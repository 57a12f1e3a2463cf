// A session with the server for Dio 5: sends requests, refreshes, signs out. Copy this file.
// `session.dio` is a Dio; the store is flutter_secure_storage (docs/clients.md).

import 'dart:math';

import 'package:dio/dio.dart';

class Pair {
  const Pair(this.accessToken, this.refreshToken, this.session);

  final String accessToken;
  final String refreshToken;
  final String session;
}

/// `read` throws where the store cannot be read now: null means that nobody is signed in.
abstract interface class Store {
  Future<Pair?> read();
  Future<void> write(Pair pair);
  Future<void> clear();
}

/// Nobody is signed in any more: show the sign-in.
class SignedOut implements Exception {}

/// No answer that says anything: the tokens are kept, try again later.
class Unavailable implements Exception {}

/// The server says no: never asked again by itself.
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
  // A client of its own: a refresh must not wait for itself.
  final Dio _plain;
  final _random = Random();
  Future<Pair>? _refreshing;

  Future<void> signIn(String username, String password, Map<String, String> device) async {
    final answer = await _plain.post<dynamic>('/users/login',
        data: {'username': username, 'password': password, 'device': device});
    if (answer.statusCode != 200) throw Refused(_codeOf(answer));
    await store.write(_pairIn(answer) ?? (throw Unavailable()));
  }

  /// Forgets the tokens first: a sign-out without a network is one all the same.
  Future<void> signOut() async {
    final pair = await store.read();
    await store.clear();
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

  // Single flight: whoever needs a new pair meanwhile waits for the same one.
  Future<Pair> _refresh(Pair refused) =>
      _refreshing ??= _renew(refused).whenComplete(() => _refreshing = null);

  Future<Pair> _renew(Pair refused) async {
    final held = await _pairOf(refused.session);
    // A refresh that ended a moment ago has served this request too.
    if (held.accessToken != refused.accessToken) return held;
    final answer = await _askForPair(held.refreshToken);
    final current = await _pairOf(refused.session);
    // Another isolate or process was quicker: the server gave both the same pair.
    if (current.refreshToken != held.refreshToken) return current;
    final next = _pairIn(answer);
    if (next != null) {
      // Store, then use: once the new pair is used, the old token cannot be shown again.
      await store.write(next);
      return next;
    }
    if (_codeOf(answer) != 'invalid_grant') throw Refused(_codeOf(answer));
    await store.clear();
    onSignedOut();
    throw SignedOut();
  }

  // The stored pair, if it is still of the session that asks: a request is repeated for no one else.
  Future<Pair> _pairOf(String session) async {
    final pair = await store.read();
    if (pair?.session != session) throw SignedOut();
    return pair!;
  }

  // Shows the same token until an answer says something about it.
  Future<Response<dynamic>> _askForPair(String refreshToken) async {
    for (var attempt = 1;; attempt++) {
      final answer = await _tryToken(refreshToken);
      if (answer != null && _says(answer)) return answer;
      // A random part of a span that doubles: phones that failed together do not return together.
      final wait = Duration(
          seconds: int.tryParse(answer?.headers.value('retry-after') ?? '') ?? 0,
          milliseconds: _random.nextInt(250 << attempt));
      if (attempt == _attempts || wait > _longestWait) throw Unavailable();
      await Future<void>.delayed(wait);
    }
  }

  Future<Response<dynamic>?> _tryToken(String refreshToken) async {
    try {
      return await _plain.post<dynamic>('/users/token',
          data: {'grant_type': 'refresh_token', 'refresh_token': refreshToken});
    } on DioException {
      return null;
    }
  }

  // A pair that breaks off, or a page of the network's own in its place, is no answer.
  bool _says(Response<dynamic> answer) {
    final status = answer.statusCode ?? 0;
    if (status == 200) return _pairIn(answer) != null;
    return status > 0 && status != 429 && status < 500;
  }

  Pair? _pairIn(Response<dynamic> answer) => switch (answer.data) {
        {
          'access_token': final String access,
          'refresh_token': final String refresh,
          'device': {'id': final String session},
        } =>
          Pair(access, refresh, session),
        _ => null,
      };

  String _codeOf(Response<dynamic> answer) {
    final body = answer.data;
    return body is Map && body['error'] is String ? body['error'] as String : 'status ${answer.statusCode}';
  }
}
