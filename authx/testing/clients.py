"""Test clients that hold a pair, as an app on a device does."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from django.urls import reverse
from rest_framework.test import APIClient

from authx import conf
from authx.api import Device, DeviceSession, open_session, pair_body
from authx.testing.environment import require_test_environment

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class LostAnswerError(ConnectionError):
    """Raised where the server has answered and the client must not see it."""


def new_pair(user: "User", **device: Any) -> dict[str, Any]:
    """Open a session without a password and return its pair, as `users/login` does.

    `device` has the fields of `authx.api.Device`. It counts against no limit.
    """
    require_test_environment()
    return pair_body(open_session(user=user, device=Device(**device)))


class SignedInDevice:
    """What the test clients have in common: `pair` is what the device has stored last."""

    lost_answer_error: ClassVar[type[Exception]] = LostAnswerError
    pair: dict[str, Any] | None = None
    # What the last sign-in brought, which makes this device a known one at the next.
    device_credential: str = ""
    _loses = False

    def sign_in(self, user: "User", **device: Any) -> None:
        """Open a session for a user, without a password, and store its pair."""
        self.store(new_pair(user, **{"credential": self.device_credential} | device))

    def store(self, pair: dict[str, Any]) -> None:
        """Store a pair, for example the body of a response; later requests use it."""
        self.pair = pair
        self.device_credential = pair.get("device_credential", self.device_credential)
        prefix = conf.knox_setting("AUTH_HEADER_PREFIX")
        self._set_authorization(f"{prefix} {pair['access_token']}")

    @property
    def device_session(self) -> DeviceSession:
        """The session of the stored pair, as it is in the database now."""
        return DeviceSession.objects.get(pk=self._stored["device"]["id"])

    def refresh(self, path: str = "", **fields: str) -> Any:
        """Refresh, store the new pair if there is one, and return the response.

        `path` is needed if `authx.urls` is included in another URL namespace.
        """
        grant = {"grant_type": "refresh_token", "refresh_token": self._stored["refresh_token"]}
        response = self._post_json(path or reverse("authx:token"), grant | fields)
        if response.status_code == 200:  # noqa: PLR2004
            self.store(response.json())
        return response

    @contextmanager
    def lost_answer(self) -> Iterator[None]:
        """Lose the answer to the next request of this block, after the server has done its work.

        What the block does after that request is skipped, as after any exception.
        """
        self._loses = True
        try:
            yield
            if self._loses:
                raise AssertionError("No request of this block had an answer to lose.")
        except self.lost_answer_error:
            # Before the request, it is a real failure of the connection.
            if self._loses:
                raise
        finally:
            self._loses = False

    @property
    def _stored(self) -> dict[str, Any]:
        if self.pair is None:
            raise AssertionError("This device is not signed in: call sign_in() or store().")
        return self.pair

    def _arrive(self, response: Any) -> Any:
        """Return a response, or lose it."""
        if self._loses:
            self._loses = False
            raise self.lost_answer_error("The answer was lost.")
        return response

    if TYPE_CHECKING:

        def _set_authorization(self, value: str) -> None: ...

        def _post_json(self, path: str, body: dict[str, str]) -> Any: ...


class DeviceClient(SignedInDevice, APIClient):
    """DRF's APIClient on a device: `DeviceClient(user)` is signed in, `DeviceClient()` is not."""

    def __init__(self, user: "User | None" = None, **options: Any) -> None:
        super().__init__(**options)
        if user is not None:
            self.sign_in(user)

    def force_authenticate(self, user: Any = None, token: Any = None) -> None:
        """Do as DRF does, and open a session where a user comes without one."""
        if user is not None and token is None:
            self.store(new_pair(user))
            token = self.device_session
        super().force_authenticate(user, token)

    def request(self, **kwargs: Any) -> Any:
        return self._arrive(super().request(**kwargs))

    def logout(self) -> None:
        """Forget the pair, cookies included, as DRF does; the session of the pair does not end."""
        self.pair = None
        super().logout()

    def _set_authorization(self, value: str) -> None:
        self.credentials(HTTP_AUTHORIZATION=value)

    def _post_json(self, path: str, body: dict[str, str]) -> Any:
        return self.post(path, body, format="json")
