"""The shapes that go in and come out."""

import re
import unicodedata
from typing import Any, ClassVar

from rest_framework import serializers

from authx.models import DeviceSession, SecurityEvent
from authx.rest.exceptions import ERROR_CODES
from authx.sessions.use import LiveToken
from authx.sessions.values import TokenPair

# Longer ones are no honest token or password: refused before anything is hashed.
MAX_TOKEN_LENGTH = 512
# Of anybody's: a longer one fits into no header.
MAX_FOREIGN_TOKEN_LENGTH = 8192
MAX_PASSWORD_LENGTH = 1024
# Visible ASCII without the quotes that may stand around it.
IDEMPOTENCY_KEY = re.compile(r"[!#-~]{16,128}")
# The same for the API description, which has no word for "both quotes or none".
IDEMPOTENCY_KEY_PATTERN = r"^[!#-~]{16,128}$"
# All that has Unicode's property Bidi_Control.
BIDI_CONTROLS = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
# Control characters, line and paragraph separators.
INVISIBLE = frozenset({"Cc", "Zl", "Zp"})
# For the API description: a character that is neither of those nor a blank.
VISIBLE = (
    r"[^\x00-\x20\x7f-\xa0\u061c\u1680\u2000-\u200a\u200e\u200f"
    r"\u2028-\u202f\u205f\u2066-\u2069\u3000]"
)


class TextField(serializers.CharField):
    """Text, measured as it was sent; DRF takes numbers for it too, and trims before it measures."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        if self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        text: str = super().to_internal_value(data)
        return text


class StrictBooleanField(serializers.BooleanField):
    """True or false alone: DRF would read "y", 1 and "off" too, and no description says so."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class LabelField(TextField):
    """Text that users read in a list: no control characters, nothing that reverses the line."""

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        seen = (char for char in text if unicodedata.category(char) not in INVISIBLE)
        label = "".join(char for char in seen if char not in BIDI_CONTROLS).strip()
        if not label and not self.allow_blank:
            self.fail("blank")
        return label


class DeviceSerializer(serializers.Serializer[Any]):
    installation_id = LabelField(max_length=128, required=False, allow_blank=True)
    name = LabelField(max_length=100, required=False, allow_blank=True)
    platform = LabelField(max_length=32, required=False, allow_blank=True)
    app_version = LabelField(max_length=32, required=False, allow_blank=True)


class LoginSerializer(serializers.Serializer[Any]):
    username = TextField(max_length=320)
    # Verified exactly as typed (NIST SP 800-63B-4 section 3.1.1.2).
    password = TextField(max_length=MAX_PASSWORD_LENGTH, trim_whitespace=False)
    device = DeviceSerializer(required=False)


class IdempotencyKeyField(TextField):
    """A random value that an app sends with every try of one refresh; quotes are optional."""

    default_error_messages: ClassVar = {
        "invalid": "Send 16 to 128 visible ASCII characters.",
    }

    def to_internal_value(self, data: Any) -> str:
        key = unquoted(data)
        if not isinstance(key, str) or not IDEMPOTENCY_KEY.fullmatch(key):
            self.fail("invalid")
        return key


def unquoted(data: Any) -> Any:
    """Return an idempotency key without the quotes that clients may put around it."""
    is_quoted = isinstance(data, str) and len(data) > 1 and data[0] == data[-1] == '"'
    return data[1:-1] if is_quoted else data


class TokenSerializer(serializers.Serializer[Any]):
    grant_type = serializers.ChoiceField(choices=["refresh_token"])
    refresh_token = TextField(max_length=MAX_TOKEN_LENGTH, trim_whitespace=False)
    # A header for most clients; the field is for those that cannot set one.
    idempotency_key = IdempotencyKeyField(required=False)


class ForeignTokenSerializer(serializers.Serializer[Any]):
    """A token to end or to ask about; one of another server is no mistake (RFC 7009, 7662)."""

    token = TextField(max_length=MAX_FOREIGN_TOKEN_LENGTH, trim_whitespace=False)
    # Only a hint: our tokens say themselves what they are.
    token_type_hint = TextField(
        max_length=MAX_FOREIGN_TOKEN_LENGTH, required=False, allow_blank=True
    )


class IntrospectionSerializer(serializers.Serializer[Any]):
    """What a service learns of a token; nothing but `active` of one that is not good."""

    active = serializers.BooleanField()
    sub = serializers.CharField(required=False)
    username = serializers.CharField(required=False)
    token_type = serializers.ChoiceField(choices=["Bearer"], required=False)
    iat = serializers.IntegerField(required=False)
    exp = serializers.IntegerField(required=False)
    auth_time = serializers.IntegerField(required=False)
    sid = serializers.UUIDField(required=False)


class LogoutAllSerializer(serializers.Serializer[Any]):
    keep_current = StrictBooleanField(default=False)


class RevokedSerializer(serializers.Serializer[Any]):
    revoked = serializers.IntegerField()


class PasswordSerializer(serializers.Serializer[Any]):
    current_password = TextField(max_length=MAX_PASSWORD_LENGTH, trim_whitespace=False)
    new_password = TextField(max_length=MAX_PASSWORD_LENGTH, trim_whitespace=False)


class RenameSerializer(serializers.Serializer[Any]):
    name = LabelField(max_length=100)


class SessionSerializer(serializers.ModelSerializer[DeviceSession]):
    """A device session as its owner sees it."""

    current = serializers.SerializerMethodField()

    class Meta:
        model = DeviceSession
        fields = (
            "id",
            "installation_id",
            "name",
            "platform",
            "app_version",
            "created_at",
            "last_used_at",
            "last_ip",
            "current",
        )
        read_only_fields = fields

    def get_current(self, session: DeviceSession) -> bool:
        current: bool = session.pk == self.context["current_id"]
        return current


class PairDeviceSerializer(serializers.Serializer[Any]):
    """What a pair says of its device: nothing that changes with use, which would tell a thief."""

    id = serializers.UUIDField()
    name = serializers.CharField()


class PairSerializer(serializers.Serializer[Any]):
    """The answer to a sign-in and to a refresh (RFC 6749 section 5.1)."""

    access_token = serializers.CharField()
    token_type = serializers.ChoiceField(choices=["Bearer"])
    expires_in = serializers.IntegerField()
    refresh_token = serializers.CharField()
    refresh_token_expires_in = serializers.IntegerField()
    session_expires_in = serializers.IntegerField()
    generation = serializers.IntegerField(help_text="Of two pairs of a device, keep the higher.")
    device = PairDeviceSerializer()


class MeSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    username = serializers.CharField()
    session = SessionSerializer()


class EventSerializer(serializers.ModelSerializer[SecurityEvent]):
    """Something that happened, as the user it happened to sees it; no reason, no internals."""

    current = serializers.SerializerMethodField()

    class Meta:
        model = SecurityEvent
        fields = ("kind", "created_at", "device_name", "platform", "ip", "user_agent", "current")
        read_only_fields = fields

    def get_current(self, event: SecurityEvent) -> bool:
        current: bool = event.session_id == self.context["current_id"]
        return current


class ActivitySerializer(serializers.Serializer[Any]):
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = EventSerializer(many=True)


class ErrorSerializer(serializers.Serializer[Any]):
    """The one shape of every refusal."""

    error = serializers.ChoiceField(choices=ERROR_CODES)
    error_description = serializers.CharField()
    fields = serializers.DictField(  # type: ignore[assignment]  # the contract's name for it
        child=serializers.ListField(child=serializers.CharField()), required=False
    )


def introspection_body(live: LiveToken | None) -> dict[str, Any]:
    """Return the answer of RFC 7662 section 2.2; instants are whole seconds, rounded down."""
    if live is None:
        return {"active": False}
    session = live.session
    return {
        "active": True,
        "sub": str(session.user.pk),
        "username": session.user.get_username(),
        "token_type": "Bearer",
        "iat": int(live.issued_at.timestamp()),
        "exp": int(live.expires_at.timestamp()),
        "auth_time": int(session.authenticated_at.timestamp()),
        "sid": str(session.pk),
    }


def session_body(session: DeviceSession, current: DeviceSession) -> dict[str, Any]:
    return dict(SessionSerializer(session, context={"current_id": current.pk}).data)


def pair_body(pair: TokenPair) -> dict[str, Any]:
    """Return the answer; seconds are whole and rounded down, so that no promise is too long."""
    session = pair.session
    return {
        "access_token": pair.raw_access_token,
        "token_type": "Bearer",
        "expires_in": max(0, int((pair.access_expires_at - pair.now).total_seconds())),
        "refresh_token": pair.raw_refresh_token,
        "refresh_token_expires_in": int((session.idle_expires_at - pair.now).total_seconds()),
        "session_expires_in": int((session.absolute_expires_at - pair.now).total_seconds()),
        "generation": session.generation,
        "device": {"id": str(session.pk), "name": session.name},
    }
