"""The links in mails: to a new password, and "this wasn't me". Nothing of them is stored."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core import signing
from django.core.exceptions import ValidationError
from django.core.signing import BadSignature
from django.utils.http import base36_to_int, urlsafe_base64_decode, urlsafe_base64_encode

from authx import clock, conf
from authx.models import EventKind, SecurityEvent, all_users, user_manager

if TYPE_CHECKING:
    from django.contrib.auth.models import User

RECOVERY_LIFETIME: Final = timedelta(minutes=30)
# A mail about a sign-in may be read after a holiday.
NOT_ME_LIFETIME: Final = timedelta(days=30)
NOT_ME_SALT: Final = "authx.audit.not_me"
# The mails that ask whether it was the user.
NOT_ME_KINDS: Final = frozenset(
    {
        EventKind.NEW_DEVICE,
        EventKind.REUSE_DETECTED,
        EventKind.TWO_PLACES,
        EventKind.PASSWORD_CHANGED,
    }
)


class RecoveryTokenGenerator(PasswordResetTokenGenerator):
    """Django's tokens for a new password, which end with the password, for half an hour.

    Django reads the clock of the process, in local time. This one is the database's, in UTC, at
    which the row of the user was read (`read_at`).
    """

    key_salt = "authx.audit.recovery"

    def make_token(self, user: Any) -> str:
        token: str = self._make_token_with_timestamp(user, self._seconds_at(user), self.secret)
        return token

    def check_token(self, user: Any, token: str | None) -> bool:
        if token is None or not super().check_token(user, token):
            return False
        age = self._seconds_at(user) - base36_to_int(token.partition("-")[0])
        return 0 <= age < RECOVERY_LIFETIME.total_seconds()

    def _now(self) -> datetime:
        # Only for Django's limit, PASSWORD_RESET_TIMEOUT, which is longer: no time has passed.
        return datetime(2001, 1, 1)  # noqa: DTZ001 -- where Django's seconds begin

    def _seconds_at(self, user: Any) -> int:
        at = clock.read_at(user).astimezone(UTC).replace(tzinfo=None)
        seconds: int = self._num_seconds(at)
        return seconds

    def _make_hash_value(self, user: Any, timestamp: int) -> str:
        # Without `last_login`, as in Django: a thief who knows the password and signs in all the
        # time would undo every link of the owner.
        return f"{user.pk}\0{user.password}\0{timestamp}\0{_address_of(user)}"


recovery_tokens: Final = RecoveryTokenGenerator()


class RecoveryClaim(NamedTuple):
    """What a recovery token says: whose it is, and the part that proves it."""

    user: "User"
    proof: str


def _address_of(user: "User") -> str:
    return getattr(user, user.get_email_field_name(), "") or ""


def new_recovery_token(user: "User") -> str:
    """Return a token with which a user sets a new password, once; a secret."""
    current = all_users().annotate(read_at=clock.database_now()).get(pk=user.pk)
    return f"{urlsafe_base64_encode(str(user.pk).encode())}.{recovery_tokens.make_token(current)}"


def read_recovery_token(raw_token: str) -> RecoveryClaim | None:
    """Return what a recovery token claims, if it is right at the moment."""
    encoded, _, proof = raw_token.partition(".")
    users = user_manager()
    try:
        key = users.model._meta.pk.to_python(urlsafe_base64_decode(encoded).decode())
        user = users.annotate(read_at=clock.database_now()).filter(pk=key).first()
    except (ValueError, OverflowError, ValidationError):
        return None
    # A user model may have no column for it.
    if user is None or not user.is_active or not recovery_tokens.check_token(user, proof):
        return None
    return RecoveryClaim(user, proof)


def recovery_link(user: "User") -> str:
    """Return the link in the mail that a user has asked for."""
    template: str = conf.authx_setting("RECOVERY_LINK") or (
        f"{conf.authx_setting('ACCOUNT_URL')}recover/password/?token={{token}}"
    )
    return template.format(token=new_recovery_token(user))


def recovery_page() -> str:
    """Return the URL where anybody can ask for such a mail, "" where there are no pages."""
    base: str = conf.authx_setting("ACCOUNT_URL")
    return f"{base}recover/" if base else ""


def not_me_token(event: SecurityEvent) -> str:
    """Return a token that ends the session of an event, for whoever reads the user's mail.

    It names the event by its time: a primary key would reveal how many there are.
    """
    session = "" if event.session_id is None else str(event.session_id)
    named = [str(event.user_id), session, event.kind, event.created_at.isoformat()]
    return signing.dumps(named, salt=NOT_ME_SALT)


def not_me_link(event: SecurityEvent) -> str:
    """Return the link "this wasn't me" of a mail, "" where there are no pages."""
    base: str = conf.authx_setting("ACCOUNT_URL")
    if not base or event.kind not in NOT_ME_KINDS:
        return ""
    return f"{base}not-me/?token={not_me_token(event)}"


def read_not_me_token(token: str) -> SecurityEvent | None:
    """Return the event that such a token is about."""
    try:
        named = signing.loads(token, salt=NOT_ME_SALT, max_age=NOT_ME_LIFETIME)
    except BadSignature:
        return None
    user_id, session_id, kind, created_at = named
    events = SecurityEvent.objects.filter(user_id=user_id, session_id=session_id or None, kind=kind)
    return events.filter(created_at=datetime.fromisoformat(created_at)).order_by("pk").first()
