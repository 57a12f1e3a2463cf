"""The stable interface for the code of a project; every other module may change.

Also stable: the views in authx.rest.views, the serializers that they name, and what docs/adopt.md
puts into settings.
"""

from authx.audit.notifications import send_next_notification
from authx.context import RequestContext, current_context, use_context
from authx.errors import (
    AuthxError,
    ConflictError,
    CredentialsChangedError,
    InvalidAccessTokenError,
    InvalidCredentialsError,
    InvalidRecoveryTokenError,
    OverloadedError,
    RateLimitError,
    WrongPasswordError,
)
from authx.models import DeviceSession, EventKind, SecurityEvent
from authx.passwords.check import check_password, unlock_password
from authx.passwords.limits import (
    current_password_limits,
    password_attempt,
    reset_attempts,
    sign_in_limits,
)
from authx.passwords.recovery import recover, request_recovery
from authx.passwords.sign_in import change_password, reauthenticate, sign_in
from authx.project import (
    aauthenticate_token,
    aopen_session,
    arevoke_all,
    arevoke_session,
    authenticate_token,
    open_session,
    pair_body,
    pair_response,
    sessions_of,
)
from authx.sessions.revoke import revoke_all, revoke_session
from authx.sessions.sweep import sweep
from authx.sessions.update import note_authentication, update_device
from authx.sessions.values import Device, EndedSession, Lifetimes, TokenPair
from authx.signals import session_opened, sessions_revoked, token_reused

__all__ = [
    "AuthxError",
    "ConflictError",
    "CredentialsChangedError",
    "Device",
    "DeviceSession",
    "EndedSession",
    "EventKind",
    "InvalidAccessTokenError",
    "InvalidCredentialsError",
    "InvalidRecoveryTokenError",
    "Lifetimes",
    "OverloadedError",
    "RateLimitError",
    "RequestContext",
    "SecurityEvent",
    "TokenPair",
    "WrongPasswordError",
    "aauthenticate_token",
    "aopen_session",
    "arevoke_all",
    "arevoke_session",
    "authenticate_token",
    "change_password",
    "check_password",
    "current_context",
    "current_password_limits",
    "note_authentication",
    "open_session",
    "pair_body",
    "pair_response",
    "password_attempt",
    "reauthenticate",
    "recover",
    "request_recovery",
    "reset_attempts",
    "revoke_all",
    "revoke_session",
    "send_next_notification",
    "session_opened",
    "sessions_of",
    "sessions_revoked",
    "sign_in",
    "sign_in_limits",
    "sweep",
    "token_reused",
    "unlock_password",
    "update_device",
    "use_context",
]
