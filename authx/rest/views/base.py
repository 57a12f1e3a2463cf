"""What all endpoints of authx share."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from http import HTTPStatus
from typing import Any, cast

from django.contrib.auth.signals import user_logged_out
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.http import QueryDict
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from rest_framework.exceptions import NotAuthenticated
from rest_framework.generics import GenericAPIView
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer, Serializer

from authx import conf
from authx.models import DeviceSession
from authx.rest.authentication import AUTHENTICATION_INFO, TokenAuthentication
from authx.rest.exceptions import exception_handler
from authx.rest.parsers import StrictFormParser, StrictJSONParser
from authx.rest.permissions import RecentSignIn
from authx.rest.serializers import STATELESS
from authx.throttling.classes import SessionThrottle


class JSONNegotiation(DefaultContentNegotiation):
    """Responds with JSON, whatever Accept asks for (allowed by RFC 9110 section 12.5.1)."""

    def select_renderer(
        self,
        request: Request,
        renderers: Iterable[Any],
        format_suffix: str | None = None,
    ) -> Any:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


class APIRenderer(JSONRenderer):
    """Renders the same bytes whatever COMPACT_JSON, UNICODE_JSON and STRICT_JSON a project sets."""

    compact = True
    ensure_ascii = False
    strict = True


# Error reports that Django mails to admins hide the body and all local variables from here on.
@method_decorator([sensitive_post_parameters(), sensitive_variables()], name="dispatch")
class AuthxView(GenericAPIView[Any]):
    """An endpoint for a signed-in user; a project may subclass it and mount it at its own URL.

    `serializer_class` validates the body, `response_serializer_class` renders the response. Every
    attribute that a project's DRF defaults could loosen is set here.
    """

    authentication_classes: Sequence[Any] = (TokenAuthentication,)
    permission_classes: Sequence[Any] = (IsAuthenticated,)
    throttle_classes: Sequence[Any] = (SessionThrottle,)
    parser_classes: Sequence[Any] = (StrictJSONParser,)
    renderer_classes = (APIRenderer,)
    content_negotiation_class = JSONNegotiation
    versioning_class = None
    pagination_class: Any = None
    filter_backends = ()
    # No OPTIONS: what it would say is in the API description.
    http_method_names = ("get", "post", "patch", "delete", "head")

    response_serializer_class: type[BaseSerializer[Any]] | None = None
    # Whether neither requests nor responses contain anything that is a secret.
    is_public_data = False
    # What the server metadata call the URL of this view (RFC 8414), "" for nothing.
    metadata_name = ""
    # In `fields` of an error; DRF's NON_FIELD_ERRORS_KEY is the project's.
    non_field_errors_key = "non_field_errors"

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        view: Any = super().as_view(**initkwargs)
        # With ATOMIC_REQUESTS, an error response would roll back the revocation of a stolen
        # session. In every database: a router may keep the sessions elsewhere.
        view._non_atomic_requests = set(connections)
        return view

    def get_permissions(self) -> Any:
        """Ask for a recent sign-in as well, where AUTHX["RECENT_SIGN_IN"] names this endpoint."""
        match = getattr(self.request, "resolver_match", None)
        max_age = conf.authx_setting("RECENT_SIGN_IN").get(match.url_name) if match else None
        asked = [] if max_age is None else [RecentSignIn(max_age)()]
        return [*super().get_permissions(), *asked]

    def get_exception_handler(self) -> Any:
        return exception_handler

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        # Tokens and personal data stay out of every cache (RFC 6749 section 5.1).
        response["Cache-Control"] = "no-store"
        response["Pragma"] = "no-cache"
        return response

    def validate(self, **fields: Any) -> dict[str, Any]:
        """Return the validated body with additional `fields`; raises ValidationError."""
        body = self.request.data
        if fields and isinstance(body, Mapping):
            body = {**body.dict(), **fields} if isinstance(body, QueryDict) else {**body, **fields}
        if type(self).get_serializer is AuthxView.get_serializer:
            serializer = shared(cast("Any", self.get_serializer_class()))
            if serializer is not None:
                return cast("dict[str, Any]", serializer.run_validation(body))
        own = self.get_serializer(data=body)
        own.is_valid(raise_exception=True)
        return cast("dict[str, Any]", own.validated_data)

    def get_response_serializer_class(self) -> type[BaseSerializer[Any]]:
        if self.response_serializer_class is None:
            raise ImproperlyConfigured(f"{type(self).__name__} sets no response_serializer_class.")
        return self.response_serializer_class

    def get_response_serializer(self, instance: Any, **options: Any) -> BaseSerializer[Any]:
        context = self.get_serializer_context()
        return self.get_response_serializer_class()(instance, context=context, **options)

    def respond(self, instance: Any, status: HTTPStatus = HTTPStatus.OK) -> Response:
        """Return a response that `response_serializer_class` renders."""
        is_own = type(self).get_response_serializer is not AuthxView.get_response_serializer
        serializer = shared(cast("Any", self.get_response_serializer_class()))
        if serializer is not None and not is_own:
            return Response(serializer.to_representation(instance), status=status)
        return Response(self.get_response_serializer(instance).data, status=status)


class PublicView(AuthxView):
    """An endpoint for anyone; it ignores Authorization, so a stale token does not get in the way.

    The body says who asks, so the endpoint counts the request once it has read the body.
    """

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()
    parser_classes = (StrictJSONParser, StrictFormParser)


def shared(serializer_class: Any) -> Serializer[Any] | None:
    """Return the only instance of a stateless serializer of authx, None for any other class.

    DRF copies every field of a new instance, which takes longer than validation itself.
    """
    return _instance_of(serializer_class) if serializer_class in STATELESS else None


@cache
def _instance_of(serializer_class: Any) -> Serializer[Any]:
    return cast("Serializer[Any]", serializer_class())


def current_session(request: Request) -> DeviceSession:
    """Return the session of the access token; raises NotAuthenticated if there is none.

    Tests that use DRF's force_authenticate() without a token come without one, and so do views of a
    project that add another scheme.
    """
    if not isinstance(request.auth, DeviceSession):
        raise NotAuthenticated
    return request.auth


def discard_renewal(request: Request) -> None:
    """Keep the header Authentication-Info out of the response: the renewed token has ended."""
    request.META.pop(AUTHENTICATION_INFO, None)


def send_user_logged_out(request: Request, user: Any) -> None:
    """Send Django's signal; an error in a project's receiver does not fail the request."""
    discard_renewal(request)
    user_logged_out.send_robust(sender=user.__class__, request=request._request, user=user)
