"""Serializers of request bodies and of responses."""

import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC
from typing import Any, ClassVar

from django.contrib.auth import get_user_model
from django.utils.translation import gettext_lazy as _
from rest_framework import ISO_8601, serializers
from rest_framework.utils import html

from authx.models import DeviceSession, SecurityEvent
from authx.rest.exceptions import ERROR_CODES
from authx.sessions.own_data import storable

# Longer values are refused before anything is hashed.
MAX_TOKEN_LENGTH = 512
# A token of another server; a longer one fits into no header.
MAX_FOREIGN_TOKEN_LENGTH = 8192
MAX_PASSWORD_LENGTH = 1024
# The longest address of mail is shorter.
MAX_USERNAME_LENGTH = 320
# Visible ASCII without the quotes that may stand around it.
IDEMPOTENCY_KEY = re.compile(r"[!#-~]{16,128}")
# All that has Unicode's property Bidi_Control.
BIDI_CONTROLS = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
# Control characters, line and paragraph separators.
INVISIBLE = frozenset({"Cc", "Zl", "Zp"})


class StrictCharField(serializers.CharField):
    """A string, measured as it was sent; DRF also accepts numbers, and measures after trimming."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        if self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        text: str = super().to_internal_value(data)
        return text


class StrictBooleanField(serializers.BooleanField):
    """Accepts true and false only; DRF also accepts "y", 1 and "off", which no schema says."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class InstantField(serializers.DateTimeField):
    """An instant in ISO 8601 and UTC, whatever DATETIME_FORMAT and TIME_ZONE a project has."""

    def __init__(self, **options: Any) -> None:
        super().__init__(format=ISO_8601, default_timezone=UTC, **options)


class TimestampField(serializers.IntegerField):
    """An instant as whole seconds since 1970, rounded down (NumericDate of RFC 7519)."""

    def to_representation(self, value: Any) -> int:
        return int(value.timestamp())


class LabelField(StrictCharField):
    """A label that users read in a list; removes control characters and bidirectional controls."""

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        seen = (char for char in text if unicodedata.category(char) not in INVISIBLE)
        label = "".join(char for char in seen if char not in BIDI_CONTROLS).strip()
        if not label and not self.allow_blank:
            self.fail("blank")
        return label


class SessionDataField(serializers.DictField):
    """A JSON object of the project; see authx.sessions.own_data."""

    default_error_messages: ClassVar = {"not_a_dict": _("Send an object.")}

    def get_value(self, dictionary: Any) -> Any:
        # Not as DictField, which reads an empty object from every form.
        return serializers.Field.get_value(self, dictionary)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        try:
            return storable(super().to_internal_value(data))
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from error


class DeviceSerializer(serializers.Serializer[Any]):
    """What an app says of its device at a sign-in."""

    installation_id = LabelField(max_length=128, required=False, allow_blank=True)
    name = LabelField(max_length=100, required=False, allow_blank=True)
    platform = LabelField(max_length=32, required=False, allow_blank=True)
    app_version = LabelField(max_length=32, required=False, allow_blank=True)
    data = SessionDataField(required=False)  # type: ignore[assignment]  # the contract's name
    # One that is no longer accepted is as good as none, so it is no error either.
    credential = StrictCharField(
        max_length=MAX_TOKEN_LENGTH,
        required=False,
        allow_blank=True,
        help_text="The `device_credential` that an earlier sign-in on this device has brought.",
    )

    def get_value(self, dictionary: Any) -> Any:
        # DRF ignores this field of a form, in which the fields are called `device.name`.
        name = self.field_name
        is_one_field = html.is_html_input(dictionary) and name in dictionary
        return dictionary[name] if is_one_field else super().get_value(dictionary)


class UsernameField(StrictCharField):
    """What a user signs in with, normalized as Django's forms and user managers do."""

    def to_internal_value(self, data: Any) -> str:
        name: str = get_user_model().normalize_username(super().to_internal_value(data))
        return name


class LoginSerializer(serializers.Serializer[Any]):
    """The credentials of a sign-in and its device.

    The body calls the name as the user model does: `email`, if that is its USERNAME_FIELD.
    """

    username = UsernameField(max_length=MAX_USERNAME_LENGTH)
    # Verified exactly as typed (NIST SP 800-63B-4 section 3.1.1.2).
    password = StrictCharField(max_length=MAX_PASSWORD_LENGTH, trim_whitespace=False)
    device = DeviceSerializer(required=False)

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        name = get_user_model().USERNAME_FIELD
        if name in fields:
            return fields
        del fields["username"]
        return {name: UsernameField(max_length=MAX_USERNAME_LENGTH, source="username"), **fields}


class IdempotencyKeyField(StrictCharField):
    """A random value that an app sends with every attempt of one refresh; quotes are optional."""

    default_error_messages: ClassVar = {
        "invalid": _("Send 16 to 128 visible ASCII characters."),
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
    refresh_token = StrictCharField(max_length=MAX_TOKEN_LENGTH, trim_whitespace=False)
    # For clients that cannot set the header Idempotency-Key.
    idempotency_key = IdempotencyKeyField(required=False)


class ForeignTokenSerializer(serializers.Serializer[Any]):
    """A token to revoke or to introspect; any string is accepted (RFC 7009, RFC 7662)."""

    token = StrictCharField(max_length=MAX_FOREIGN_TOKEN_LENGTH, trim_whitespace=False)
    # Ignored: tokens contain their type.
    token_type_hint = StrictCharField(
        max_length=MAX_FOREIGN_TOKEN_LENGTH, required=False, allow_blank=True
    )


class LogoutAllSerializer(serializers.Serializer[Any]):
    keep_current = StrictBooleanField(default=False)


class LogoutAllResponseSerializer(serializers.Serializer[Any]):
    revoked = serializers.IntegerField()


class PasswordSerializer(serializers.Serializer[Any]):
    current_password = StrictCharField(max_length=MAX_PASSWORD_LENGTH, trim_whitespace=False)
    new_password = StrictCharField(max_length=MAX_PASSWORD_LENGTH, trim_whitespace=False)


class DeviceChangeSerializer(serializers.Serializer[Any]):
    """What changes of a device; only the device itself may change `data`."""

    name = LabelField(max_length=100, required=False)
    data = SessionDataField(required=False)  # type: ignore[assignment]  # the contract's name


class ReauthenticateSerializer(serializers.Serializer[Any]):
    current_password = StrictCharField(max_length=MAX_PASSWORD_LENGTH, trim_whitespace=False)


class AuthenticationTimeSerializer(serializers.Serializer[Any]):
    """When the user last presented a credential (`auth_time` of RFC 9470)."""

    auth_time = TimestampField(source="authenticated_at")


def without_labels(fields: Iterable[str]) -> dict[str, Any]:
    """Return the `extra_kwargs` that keep the labels of the admin out of the API description."""
    return {name: {"label": ""} for name in fields}


class SessionSerializer(serializers.ModelSerializer[DeviceSession]):
    """A device session as its user sees it."""

    # Needs the request in its context.

    created_at = InstantField(read_only=True)
    last_used_at = InstantField(read_only=True)
    current = serializers.SerializerMethodField()
    # Such as a push token, which other devices of the user have no need to know.
    data = serializers.SerializerMethodField(  # type: ignore[assignment]  # the contract's name
        help_text="Of the current session; null for the others."
    )

    class Meta:
        model = DeviceSession
        fields = (
            "id",
            "name",
            "platform",
            "app_version",
            "created_at",
            "last_used_at",
            "last_ip",
            "current",
            "data",
        )
        read_only_fields = fields
        extra_kwargs = without_labels(fields)

    def get_current(self, session: DeviceSession) -> bool:
        current: bool = session.pk == self.context["request"].auth.pk
        return current

    def get_data(self, session: DeviceSession) -> dict[str, Any] | None:
        data: dict[str, Any] = session.data
        return data if self.get_current(session) else None


class PairDeviceSerializer(serializers.Serializer[Any]):
    """The device of a pair. It contains nothing that changes with use."""

    # A last use would show the thief of a token when the app is in use.

    id = serializers.UUIDField()
    name = serializers.CharField()


class PairSerializer(serializers.Serializer[Any]):
    """The response to a refresh (RFC 6749 section 5.1)."""

    access_token = serializers.CharField(source="raw_access_token")
    token_type = serializers.ChoiceField(choices=["Bearer"])
    expires_in = serializers.IntegerField()
    refresh_token = serializers.CharField(source="raw_refresh_token")
    refresh_token_expires_in = serializers.IntegerField()
    session_expires_in = serializers.IntegerField()
    generation = serializers.IntegerField(
        source="session.generation", help_text="Of two pairs of a device, keep the higher."
    )
    device = PairDeviceSerializer(source="session")


class SignInPairSerializer(PairSerializer):
    """The response to a sign-in and to a change of the password."""

    device_credential = serializers.CharField(
        source="raw_device_credential",
        help_text="Store it beside the pair, keep it at a sign-out, and send it with the next "
        "sign-in on this device.",
    )


class MeSerializer(serializers.Serializer[Any]):
    """The current user and device, rendered from the session."""

    id = serializers.CharField(source="user.pk")
    username = serializers.CharField(source="user.get_username")
    auth_time = TimestampField(
        source="authenticated_at", help_text="When the user last presented a credential."
    )
    device = SessionSerializer(source="*")


class EventSerializer(serializers.ModelSerializer[SecurityEvent]):
    """A security event as its user sees it."""

    # Needs the request in its context.

    created_at = InstantField(read_only=True)
    current = serializers.SerializerMethodField()

    class Meta:
        model = SecurityEvent
        fields = ("kind", "created_at", "device_name", "platform", "ip", "user_agent", "current")
        read_only_fields = fields
        extra_kwargs = without_labels(fields)

    def get_current(self, event: SecurityEvent) -> bool:
        current: bool = event.session_id == self.context["request"].auth.pk
        return current


class ErrorSerializer(serializers.Serializer[Any]):
    """The response to every error."""

    error = serializers.ChoiceField(choices=ERROR_CODES)
    error_description = serializers.CharField()
    fields = serializers.DictField(  # type: ignore[assignment]  # the contract's name for it
        child=serializers.ListField(child=serializers.CharField()), required=False
    )


# These keep no state and use no context, so one instance can serve all requests.
STATELESS = frozenset(
    {
        LoginSerializer,
        TokenSerializer,
        ForeignTokenSerializer,
        LogoutAllSerializer,
        PasswordSerializer,
        PairSerializer,
        SignInPairSerializer,
    }
)
