import time, pytest
from uuid import UUID
from django.db import connection
from tests.phone import Phone
from authx.sessions import statements


@pytest.mark.django_db(transaction=True)
def test_prof(alice, monkeypatch):
    s = Phone(device={}).sign_in()
    statements.find_session(s.session_id)
    out = []

    def bench(name, fn, n=500):
        ts = []
        for _ in range(n):
            t = time.process_time_ns()
            fn()
            ts.append(time.process_time_ns() - t)
        ts.sort()
        out.append(f"{name}: {ts[n // 2] / 1000:.0f}")

    plan = statements._select._plans["default"]
    sql = plan._statement._sql
    conn = connection.connection
    sid = UUID(s.session_id)

    def a():
        with connection.cursor() as c:
            c.execute(sql, [sid])

    def b():
        with connection.cursor() as c:
            c.execute(sql, [sid])
            c.fetchone()

    bench("django exec", a)
    bench("django exec+fetch", b)
    import psycopg
    from psycopg import ClientCursor, RawCursor

    def c():
        cur = ClientCursor(conn)
        cur.execute(sql, [sid])

    bench("client cursor exec", c)

    def d():
        cur = psycopg.Cursor(conn)
        cur.execute(sql, [sid])

    bench("server cursor exec", d)

    def e():
        cur = psycopg.Cursor(conn)
        cur.execute(sql, [sid], prepare=True)

    bench("prepared", e)
    full = ClientCursor(conn).mogrify(sql, [sid])

    def g():
        conn.pgconn.exec_(full.encode())

    bench("pgconn.exec_", g)
    conn.pgconn.exec_(b"prepare zz as select 1")

    def g2():
        conn.pgconn.exec_(b"select 1")

    bench("pgconn.exec_ select 1", g2)
    res = conn.pgconn.exec_(full.encode())
    cur = ClientCursor(conn)
    bench("mogrify", lambda: cur.mogrify(sql, [sid]))

    bench("cursor()", lambda: connection.cursor().close())
    c0 = connection.cursor()
    bench("django exec reuse cursor", lambda: c0.execute(sql, [sid]))
    c1 = c0.cursor
    bench("raw of it", lambda: c1.execute(sql, [sid]))
    cc = ClientCursor(conn)
    bench("client cursor reuse", lambda: cc.execute(sql, [sid]))
    bench("client cursor new", c)
    bench("wrapper?", lambda: None)
    out.append(str(type(c1).__mro__))
    out.append(str(connection.execute_wrappers))
    out.append(str(type(c0)))

    from psycopg import adapters, pq

    fast = adapters.get_loader(1184, pq.Format.TEXT)
    out.append(str(fast))

    def f1():
        with connection.cursor() as c:
            c.adapters.register_loader(1184, fast)
            c.execute(sql, [sid])
            c.fetchone()

    bench("exec+fetch fast loader", f1)
    bench("django exec+fetch", b)
    bench("exec+fetch fast loader", f1)

    def f2():
        with connection.cursor() as c:
            c.adapters.register_loader(1184, fast)

    bench("register", f2)
    bench("cursor()", lambda: connection.cursor().close())
    with connection.cursor() as c:
        c.adapters.register_loader(1184, fast)
        c.execute(sql, [sid])
        r = c.fetchone()
        out.append(repr(r[4]))

    out.append("-----")
    from authx.sessions import refresh, statements as st
    import authx.sessions.compiled as comp
    from django.utils import timezone

    sess = st.find_session(s.session_id)
    now = timezone.now()
    ch = {n: getattr(sess, n) for n in st.ROTATED}
    vals = st._old(sess) | {"old_auth_hash": sess.auth_hash, "now": now} | ch
    st._rotate.execute(using="default", **vals)
    stm = st._rotate._statements["default"]
    bench("rotate execute", lambda: st._rotate.execute(using="default", **vals))
    bench("bound", lambda: list(stm._bound(connection, vals)))
    params = list(stm._bound(connection, vals))

    def ex():
        with comp.quick_cursor(connection) as c:
            c.execute(stm._sql, params)

    bench("exec quick", ex)

    def ex2():
        with connection.cursor() as c:
            c.execute(stm._sql, params)

    bench("exec client", ex2)

    def ex3():
        with comp.quick_cursor(connection) as c:
            pass

    bench("quick_cursor", ex3)
    bench("find_session", lambda: st.find_session(s.session_id))
    bench("from_db", lambda: type(sess).from_db("default", plan._names, [None] * len(plan._names)))
    bench("as_literal mogrify", lambda: ClientCursor(conn).mogrify(stm._sql, params))

    out.append("-----2")
    from unittest import mock
    from authx.context import Source
    from authx.codec import token_codec, digest_of
    from authx.tokens import TokenKind
    from authx.sessions import generations as G, state
    import copy, logging
    from authx.trail import telling
    from authx.serializers import pair_body

    tok = token_codec().parse(s.refresh_token, TokenKind.REFRESH)
    rq = refresh.RefreshRequest(tok, digest_of(s.refresh_token), (), Source(ip="127.0.0.1"))
    sess = st.find_session(s.session_id)
    with mock.patch.object(st, "rotate"), mock.patch.object(refresh, "tell_after_commit"):
        bench("_rotate no db no log", lambda: refresh._rotate(sess, rq, now))
    with mock.patch.object(st, "rotate"):
        bench("_rotate no db", lambda: refresh._rotate(sess, rq, now))
    bench("recent_after", lambda: G.recent_after_rotation(sess, now))
    bench("newest_of", lambda: G.newest_of(sess))
    bench("new_access_token", lambda: refresh._new_access_token(tok, sess.idle_expires_at, now))
    bench(
        "access_expiry",
        lambda: state.access_expiry(
            issued_at=now, used_at=now, session_expires_at=sess.idle_expires_at
        ),
    )
    bench("rejection", lambda: state.rejection_reason(sess, now))
    logging.getLogger("authx.security").handlers = [logging.NullHandler()]
    logging.getLogger("authx.security").propagate = False
    bench(
        "tell", lambda: telling.tell_after_commit(telling.TOKEN_REFUSED, user_id=1, session_id=None)
    )
    p = refresh.TokenPair(sess, "a", "b", now, now)
    bench("pair_body", lambda: pair_body(p))
    bench("require_no_tx", lambda: refresh.require_no_transaction())
    bench("codec", token_codec)
    bench("nonce", lambda: refresh.tokens.new_nonce())
    bench("rotate execute", lambda: st._rotate.execute(using="default", **vals))
    open("/tmp/prof3.txt", "w").write("\n".join(out))
