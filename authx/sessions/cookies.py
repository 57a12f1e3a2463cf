"""Django's sessions in the database, without their keys: SESSION_ENGINE = "authx.sessions.cookies".

A browser that somebody has signed in to is refused as soon as its device session has ended. It is
checked where its session is loaded, so no view and no middleware can forget to.
"""

from base64 import urlsafe_b64encode
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends import db
from django.db import router
from django.utils import timezone

from authx.models import EventKind
from authx.sessions.browsers import end_browser_session, use_browser_session

# Django's own keys of this kind begin with an underscore too.
DEVICE_SESSION_KEY: Final = "_authx_device_session"
# The attribute of a request in which somebody has signed in by cookie.
OPENED_BROWSER: Final = "_authx_opened_browser"
# The cookie with the device credential of a browser (devices.py), which outlives its sign-ins, and
# the attribute of a request with the value for the response.
DEVICE_COOKIE: Final = "authx_device"
NEW_DEVICE_COOKIE: Final = "_authx_new_device_cookie"
# The longest that browsers keep a cookie (RFC 6265bis).
DEVICE_COOKIE_AGE: Final = timedelta(days=400)
# What fits into the column of Django's model: 240 bits of the hash.
KEY_LENGTH: Final = 40


class SessionStore(db.SessionStore):
    """Django's store, with rows that are found by a hash of the cookie."""

    def load(self) -> dict[str, Any]:
        row = self._row(str(self.session_key)).filter(expire_date__gt=timezone.now()).first()
        found: dict[str, Any] = {} if row is None else self.decode(row.session_data)
        data = _of_live_browser(found)
        if row is None or data is None:
            self._session_key = None
            return {}
        return data

    async def aload(self) -> dict[str, Any]:
        return await sync_to_async(self.load)()

    def exists(self, session_key: str) -> bool:
        return bool(self._row(session_key).exists())

    async def aexists(self, session_key: str) -> bool:
        return await sync_to_async(self.exists)(session_key)

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        row = super().create_model_instance(data)
        row.session_key = stored_key(row.session_key)
        return row

    async def acreate_model_instance(self, data: dict[str, Any]) -> Any:
        row = await super().acreate_model_instance(data)
        row.session_key = stored_key(row.session_key)
        return row

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            self._row(key).delete()

    async def adelete(self, session_key: str | None = None) -> None:
        await sync_to_async(self.delete)(session_key)

    def flush(self) -> None:
        """Forget everything, as logout() does: the device session ends with it."""
        self._end_browser()
        super().flush()

    async def aflush(self) -> None:
        await sync_to_async(self.flush)()

    def _row(self, session_key: str) -> Any:
        # Where sessions are written: a replica may still have one that was deleted.
        rows = self.model.objects.using(router.db_for_write(self.model))
        return rows.filter(session_key=stored_key(session_key))

    def _end_browser(self) -> None:
        session_id = self.get(DEVICE_SESSION_KEY)
        if session_id is not None:
            end_browser_session(session_id, reason=EventKind.SIGNED_OUT)


def stored_key(session_key: str) -> str:
    """Return what the database keeps of the key in a cookie, which has 165 random bits."""
    return urlsafe_b64encode(sha256(session_key.encode()).digest())[:KEY_LENGTH].decode()


def _of_live_browser(data: dict[str, Any]) -> dict[str, Any] | None:
    """Return the data of a session; None if somebody is signed in whose device session has ended.

    Also if there is none: it was opened while another engine was configured.
    """
    if SESSION_KEY not in data:
        return data
    session_id = data.get(DEVICE_SESSION_KEY)
    session = use_browser_session(session_id) if session_id else None
    if session is None:
        return None
    # Django compares it once more. An upgrade of the password hash, or another SECRET_KEY, has
    # changed it; that it is still the same password was checked just now.
    return data | {HASH_SESSION_KEY: session.user.get_session_auth_hash()}
