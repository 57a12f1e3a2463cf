"""What all endpoints of authx share."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, cast

from django.contrib.auth.signals import user_logged_out
from django.db import transaction
from django.http import QueryDict
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from authx.models import DeviceSession
from authx.rest.authentication import AUTHENTICATION_INFO, TokenAuthentication
from authx.rest.exceptions import exception_handler
from authx.rest.parsers import StrictFormParser, StrictJSONParser
from authx.throttling.classes import SessionThrottle


class AlwaysJSON(DefaultContentNegotiation):
    # Whatever Accept asks for: a refusal to answer would help nobody (RFC 9110 section 12.5.1).
    def select_renderer(
        self,
        request: Request,  # noqa: ARG002 -- DRF's signature
        renderers: Iterable[Any],
        format_suffix: str | None = None,  # noqa: ARG002
    ) -> Any:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


# With ATOMIC_REQUESTS, an error answer would roll back the revocation of a thief.
@method_decorator(transaction.non_atomic_requests, name="dispatch")
# Django mails reports of errors to admins: they hide the body, and all variables from here inwards.
@method_decorator([sensitive_post_parameters(), sensitive_variables()], name="dispatch")
class AuthxView(APIView):
    # An endpoint for somebody signed in; sets everything that a project's defaults could loosen.
    # (Comments, because the API description shows docstrings.)

    authentication_classes: Sequence[Any] = (TokenAuthentication,)
    permission_classes: Sequence[Any] = (IsAuthenticated,)
    throttle_classes: Sequence[Any] = (SessionThrottle,)
    parser_classes: Sequence[Any] = (StrictJSONParser,)
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = AlwaysJSON
    versioning_class = None
    # No OPTIONS: what it tells stands in the API description, for those who may read that.
    http_method_names = ("get", "post", "patch", "delete", "head")

    def get_exception_handler(self) -> Any:
        return exception_handler

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        # Tokens and what is known of users stay out of every cache (RFC 6749 section 5.1).
        response["Cache-Control"] = "no-store"
        response["Pragma"] = "no-cache"
        return response


class PublicView(AuthxView):
    # An endpoint that no header can spoil: a stale bearer token must not turn a sign-in away. Who
    # asks is said in the body, so the endpoint itself counts, once it has read that.

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()
    parser_classes = (StrictJSONParser, StrictFormParser)


def checked(
    serializer_class: type[Serializer[Any]], request: Request, **fields: Any
) -> dict[str, Any]:
    """Return the validated body, with what else was sent as fields; raises ValidationError."""
    body = request.data
    if fields and isinstance(body, Mapping):
        body = {**body.dict(), **fields} if isinstance(body, QueryDict) else {**body, **fields}
    checked: dict[str, Any] = _checker(serializer_class).run_validation(body)
    return checked


@cache
def _checker(serializer_class: type[Serializer[Any]]) -> Serializer[Any]:
    # One for all requests: DRF copies every field of a new one, which costs more than validating.
    return serializer_class()


def current_session(request: Request) -> DeviceSession:
    return cast("DeviceSession", request.auth)


def discard_renewal(request: Request) -> None:
    """Let the answer say nothing of a token that this request renewed and then ended."""
    request._request.META.pop(AUTHENTICATION_INFO, None)


def send_user_logged_out(request: Request, user: Any) -> None:
    """Tell the project's own listeners, in Django's words; theirs to fail, not the request's."""
    discard_renewal(request)
    user_logged_out.send_robust(sender=user.__class__, request=request._request, user=user)
