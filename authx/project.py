"""What the code of a project does with sessions, outside of the endpoints of authx."""

from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from asgiref.sync import sync_to_async
from django.contrib.auth.signals import user_logged_in
from django.http import HttpRequest
from django.utils import timezone
from django.utils.module_loading import import_string
from django.views.decorators.debug import sensitive_variables
from rest_framework.request import Request
from rest_framework.response import Response

from authx.context import RequestContext, use_context
from authx.devices import mint_credential
from authx.errors import InvalidAccessTokenError, InvalidCredentialsError
from authx.models import DeviceSession, DeviceSessionQuerySet, EventKind
from authx.policy import require_may_sign_in
from authx.sessions import open as opening
from authx.sessions.cookies import OPENED_BROWSER
from authx.sessions.locking import retry_on_conflict
from authx.sessions.revoke import revoke_all, revoke_session
from authx.sessions.use import use_access_token
from authx.sessions.values import Device, TokenPair

if TYPE_CHECKING:
    from django.contrib.auth.models import User

# As the endpoints do (RFC 6749 section 5.1).
NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}

AnyRequest = HttpRequest | Request | None


def open_session(
    *, user: "User", request: AnyRequest = None, device: Device | None = None
) -> TokenPair:
    """Open a session for a person whom the project has signed in by any means.

    Does what a sign-in does: asks SIGN_IN_POLICY, replaces the session of the same installation and
    that of the browser for which this request has called login(), keeps to SESSION_LIMIT_PER_USER,
    records the event, mails about a new device, and sends `session_opened` and Django's
    `user_logged_in`. It counts against no rate limit: what the person has shown is the project's to
    limit. Raises InvalidCredentialsError if the user is gone or inactive, CredentialsChangedError
    if the password has changed since `user` was read, ValueError for `data` that cannot be stored,
    ImproperlyConfigured for a wrong answer of LIFETIMES, and what
    SIGN_IN_POLICY raises.
    """
    plain = _django_request(request)
    if not user.is_active:
        raise InvalidCredentialsError("inactive")
    require_may_sign_in(user, plain)
    device = device or Device()
    # Of the same sign-in, if the project signs in by login() first, as allauth does. It is the same
    # device, so it is new at most once.
    browser = vars(plain).get(OPENED_BROWSER) if plain is not None else None
    if browser is not None and not device.credential:
        device = replace(device, credential=mint_credential(user, browser.device_id))
    # A password that has changed is found changed again: the last attempt says so.
    pair = retry_on_conflict(partial(opening.open_session, user=user, device=device))
    if browser is not None:
        del vars(plain)[OPENED_BROWSER]
        revoke_session(session=browser, reason=EventKind.REPLACED)
    user_logged_in.send_robust(
        sender=user.__class__, request=plain, user=user, device_session=pair.session
    )
    return pair


def pair_body(pair: TokenPair) -> dict[str, Any]:
    """Return the JSON object with which the endpoints answer a pair; it contains both tokens."""
    # Not imported above: models of a project import this module, and DRF's views import what the
    # project names in its settings, which may import its models.
    serializer: Any = import_string("authx.rest.serializers.SignInPairSerializer")
    return dict(serializer(pair).data)


def pair_response(pair: TokenPair, status: int = 200) -> Response:
    """Return the response of DRF with which the endpoints answer a pair; no cache keeps it."""
    return Response(pair_body(pair), status=status, headers=NO_STORE)


@sensitive_variables()
def authenticate_token(raw_token: str, *, context: RequestContext | None = None) -> DeviceSession:
    """Return the session of an access token, with its user, as for a request with it.

    For WebSockets, GraphQL, gRPC and tasks. The use confirms the pair and renews the token like any
    other one; `renewed_at` is set if it did. `context` says where it comes from. Raises
    InvalidAccessTokenError for a token that is refused, and django.db.Error or ConflictError in an
    outage, which says nothing about the token.
    """
    # The parameters of a socket or of GraphQL are any JSON that a client sends.
    if not isinstance(raw_token, str):
        raise InvalidAccessTokenError("not a string")
    with use_context(context) if context else nullcontext():
        return use_access_token(raw_token=raw_token)


def sessions_of(user: "User") -> DeviceSessionQuerySet:
    """Return the live sessions of a user, the most recently used first."""
    live = DeviceSession.objects.live_for(user, timezone.now())
    return live.order_by("-last_used_at", "-created_at")


def _django_request(request: AnyRequest) -> HttpRequest | None:
    return request._request if isinstance(request, Request) else request


# For asynchronous code. Each runs in a thread, because Django's transactions do.
aopen_session = sync_to_async(open_session)
aauthenticate_token = sync_to_async(authenticate_token)
arevoke_session = sync_to_async(revoke_session)
arevoke_all = sync_to_async(revoke_all)
