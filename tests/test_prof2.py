import json, time, logging, pytest
from unittest import mock
from django.core.handlers.wsgi import WSGIHandler
from django.test import RequestFactory
from django.db import connection
from tests.phone import Phone


@pytest.mark.django_db(transaction=True)
def test_prof(alice, settings, monkeypatch):
    monkeypatch.undo()
    big = ["1000000/minute"]
    settings.AUTHX = settings.AUTHX | {
        "REFRESH_RATES": big,
        "SIGN_IN_RATES": big,
        "SIGN_IN_RATES_PER_SOURCE": big,
        "SESSION_LIMIT_PER_USER": 5000,
    }
    settings.MIDDLEWARE = [
        "authx.middleware.RequestContextMiddleware",
        "authx.middleware.APIMiddleware",
    ]
    logging.getLogger().handlers = [logging.NullHandler()]
    N = 700
    phones = [Phone(device={}).sign_in() for _ in range(N)]
    h = WSGIHandler()
    h.load_middleware()
    f = RequestFactory()

    def req(p):
        return f.post(
            "/users/token",
            json.dumps({"grant_type": "refresh_token", "refresh_token": p.refresh_token}),
            content_type="application/json",
        )

    out = []

    def run(name, phones):
        ts = []
        for p in phones:
            r = req(p)
            t = time.process_time_ns()
            resp = h.get_response(r)
            ts.append(time.process_time_ns() - t)
            assert resp.status_code == 200, resp.content
        ts.sort()
        out.append(f"{name}: {ts[len(ts) // 2] / 1000:.0f}")

    run("warm", phones[:100])
    run("all", phones[100:300])
    with mock.patch("authx.views.tokens.admit_token"):
        run("no throttle", phones[300:400])
    from authx.sessions import statements

    class S:
        pass

    with mock.patch("authx.sessions.statements.rotate"):
        run("no update", phones[400:500])
    with mock.patch("authx.sessions.refresh.tell_after_commit"):
        run("no log", phones[500:600])
    with mock.patch("authx.views.tokens.checked", lambda s, r: r.data):
        run("no serializer", phones[600:700])
    from authx.sessions.values import TokenPair
    from rest_framework.response import Response
    from authx.views import tokens as V

    with mock.patch.object(V.TokenView, "post", lambda self, request, **k: Response({})):
        run("stub post", phones[600:700])
    with mock.patch.object(V.TokenView, "post", lambda self, request, **k: Response(request.data)):
        run("stub post parse", phones[600:700])

    def p3(self, request, **k):
        V.checked(V.TokenSerializer, request)
        return Response({})

    with mock.patch.object(V.TokenView, "post", p3):
        run("stub post parse+check", phones[600:700])

    def p4(self, request, **k):
        g = V.checked(V.TokenSerializer, request)
        V.admit_token(g["refresh_token"], V.TokenKind.REFRESH)
        return Response({})

    with mock.patch.object(V.TokenView, "post", p4):
        run("stub + admit", phones[600:700])
    settings.MIDDLEWARE = []
    h.load_middleware()
    with mock.patch.object(V.TokenView, "post", lambda self, request, **k: Response({})):
        run("stub post no mw", phones[600:700])

    def bench(name, fn, n=300):
        ts = []
        for _ in range(n):
            t = time.process_time_ns()
            fn()
            ts.append(time.process_time_ns() - t)
        ts.sort()
        out.append(f"{name}: {ts[n // 2] / 1000:.0f}")

    s = phones[0]
    bench("find_session", lambda: statements.find_session(s.session_id))

    def sel1():
        with connection.cursor() as c:
            c.execute("select 1")
            c.fetchone()

    bench("select 1", sel1)
    plan = statements._select._plans["default"]
    from uuid import UUID

    def raw():
        with connection.cursor() as c:
            plan._statement.execute(c, connection, {"id": UUID(s.session_id)})
            c.fetchone()

    bench("select raw", raw)
    from authx.throttling.tokens import admit_token
    from authx.tokens import TokenKind
    from authx.codec import token_codec, digest_of

    bench("admit", lambda: admit_token(s.refresh_token, TokenKind.REFRESH))
    bench("parse", lambda: token_codec().parse(s.refresh_token, TokenKind.REFRESH))
    bench("digest", lambda: digest_of(s.refresh_token))
    tok = token_codec().parse(s.refresh_token, TokenKind.REFRESH)
    bench("successor", lambda: next(token_codec().successors(tok, b"n" * 16)))
    from authx.throttling.store import store

    r = store()._shared.storage.storage
    bench("redis ping", lambda: r.ping())
    bench("source", lambda: __import__("authx.middleware").middleware.source_of(req(s)))
    sess = statements.find_session(s.session_id)
    bench("auth_hash", lambda: sess.user.get_session_auth_hash())
    from authx.serializers import pair_body

    open("/tmp/prof2.txt", "w").write("\n".join(out))
