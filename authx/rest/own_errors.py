"""The exceptions of DRF as a project raises them: with a status, code or words of its own."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from math import ceil
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.utils.functional import Promise
from rest_framework import exceptions

from authx.rest.error_details import LISTS, is_sentence, text_of, words_of

if TYPE_CHECKING:
    from authx.rest.exceptions import ErrorResponse

# DRF writes their sentences itself, around a value of the request.
GENERATED: Final = (
    exceptions.MethodNotAllowed,
    exceptions.UnsupportedMediaType,
    exceptions.Throttled,
)
# DRF turns their 401 into a 403 where the first scheme of a view has no challenge.
CHALLENGED: Final = (exceptions.NotAuthenticated, exceptions.AuthenticationFailed)
MAX_STATUS: Final = 599
# No client waits for longer; and a header is no place for any number.
MAX_WAIT_SECONDS: Final = 10**9


def as_drf_error(error: Exception) -> Exception:
    """Return DRF's counterpart of Django's own exceptions, with the same words, as DRF does."""
    words = error.args[0] if error.args else None
    said = words if words and isinstance(words, str | Promise) else None
    if isinstance(error, Http404):
        return exceptions.NotFound(said)
    if isinstance(error, PermissionDenied):
        return exceptions.PermissionDenied(said)
    return error


def own_response(
    error: exceptions.APIException, kind: type[exceptions.APIException], standard: "ErrorResponse"
) -> "ErrorResponse":
    """Return the response to DRF's `kind`, with what a project's `error` says differently."""
    own: dict[str, Any] = {}
    if (status := _own_status(error, kind)) is not None:
        own["status"] = status
    code = _code_of(error)
    if code and code != kind.default_code:
        own["code"] = code
    # What is wrong with a field is in `fields`.
    words = "" if kind is exceptions.ValidationError else words_of(detail_of(error))
    if words and not _is_standard(words, kind):
        own["description"] = words
    return standard._replace(**own) if own else standard


def own_headers(error: Exception) -> Iterator[tuple[str, str]]:
    """Yield the headers that DRF adds for an exception: of its challenge and of its wait."""
    header = getattr(error, "auth_header", None)
    if isinstance(header, str) and header.isprintable():
        yield "WWW-Authenticate", header
    wait = getattr(error, "wait", None)
    if isinstance(wait, int | float) and 0 < wait <= MAX_WAIT_SECONDS:
        yield "Retry-After", str(ceil(wait))


def own_extra_data(error: exceptions.APIException) -> Any:
    """Return what a `detail` contains beside its sentences."""
    detail = detail_of(error)
    if isinstance(detail, Mapping):
        sentence = "detail" if words_of(detail) else None
        return {name: inner for name, inner in detail.items() if name != sentence}
    # Objects among the sentences of a list.
    return [one for one in detail if not is_sentence(one)] if isinstance(detail, LISTS) else []


def detail_of(error: exceptions.APIException) -> Any:
    """Return the `detail`, None for a class that sets none."""
    return getattr(error, "detail", None)


def _own_status(error: Exception, kind: type[exceptions.APIException]) -> int | None:
    status = getattr(error, "status_code", None)
    is_status = isinstance(status, int) and HTTPStatus.OK <= status <= MAX_STATUS
    is_downgraded = issubclass(kind, CHALLENGED) and status == HTTPStatus.FORBIDDEN
    return status if is_status and status != kind.status_code and not is_downgraded else None


def _code_of(error: exceptions.APIException) -> str:
    detail: Any = detail_of(error)
    # Beside extra data, DRF keeps the code at the sentence. A field may be called `detail` too.
    if isinstance(detail, Mapping) and not isinstance(error, exceptions.ValidationError):
        detail = detail.get("detail")
    code = getattr(detail, "code", None) or getattr(error, "default_code", None)
    return text_of(code) if isinstance(code, str | int | Promise) else ""


def _is_standard(words: str, kind: type[exceptions.APIException]) -> bool:
    standard = str(kind.default_detail)
    is_generated = issubclass(kind, GENERATED)
    return words.startswith(standard.partition("{")[0]) if is_generated else words == standard
