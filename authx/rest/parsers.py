"""Strict parsers: without them a body has no size limit, and repeated names are ambiguous."""

import json
from collections.abc import Mapping
from typing import IO, Any, Final

from django.core.exceptions import RequestDataTooBig
from django.http import QueryDict
from django.utils.translation import gettext
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.parsers import BaseParser

# Far above a password and a device. DRF itself reads a body of any size.
MAX_BODY_BYTES: Final = 64 * 1024


def _read(stream: IO[Any], parser_context: Mapping[str, Any] | None) -> bytes:
    """Return a body; raises RequestDataTooBig, if possible before it is sent."""
    length = (parser_context or {})["request"].META.get("CONTENT_LENGTH") or 0
    if int(length) > MAX_BODY_BYTES:
        raise RequestDataTooBig
    # No declared length is relied on: under ASGI, a body can be longer or have none.
    body: bytes = stream.read(MAX_BODY_BYTES + 1)
    if len(body) > MAX_BODY_BYTES:
        raise RequestDataTooBig
    return body


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("repeated name")
    return members


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class StrictJSONParser(BaseParser):
    """JSON without repeated names, whose meaning RFC 8259 section 4 leaves undefined."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        body = _read(stream, parser_context)
        try:
            return json.loads(
                body,
                object_pairs_hook=_without_repetition,
                parse_constant=_refuse_constant,
            )
        # RecursionError: deep nesting. UnicodeDecodeError is a ValueError.
        except (ValueError, RecursionError) as error:
            raise ParseError from error


class StrictFormParser(BaseParser):
    """A form without repeated fields (RFC 6749 section 3.2)."""

    media_type = "application/x-www-form-urlencoded"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        # Always UTF-8: other encodings can yield characters that UTF-8 cannot encode.
        fields = QueryDict(_read(stream, parser_context), encoding="utf-8")
        repeated = [name for name, values in fields.lists() if len(values) > 1]
        if repeated:
            raise ValidationError({name: [gettext("This field is repeated.")] for name in repeated})
        return fields
