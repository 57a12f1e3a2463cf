"""Reads request bodies, strictly: bounded, one value a name, nothing ambiguous.

Without them, DRF reads a body of any size into memory and takes the last of two values of a name,
where a proxy in front may have judged the first.
"""

import json
from collections.abc import Mapping
from typing import IO, Any, Final

from django.core.exceptions import RequestDataTooBig
from django.http import QueryDict
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.parsers import BaseParser

# The largest honest body is a password and a device; DRF itself reads without any bound.
MAX_BODY_BYTES: Final = 64 * 1024


def _refuse_large(parser_context: Mapping[str, Any] | None) -> None:
    length = (parser_context or {})["request"].META.get("CONTENT_LENGTH") or 0
    if int(length) > MAX_BODY_BYTES:
        raise RequestDataTooBig


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a name is repeated")
    return members


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class StrictJSONParser(BaseParser):
    """JSON whose objects name each member once (RFC 8259 section 4 leaves repetition undefined)."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,  # noqa: ARG002 -- DRF's signature
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        _refuse_large(parser_context)
        try:
            return json.loads(
                stream.read(),
                object_pairs_hook=_without_repetition,
                parse_constant=_refuse_constant,
            )
        # Deep nesting exhausts the decoder's stack; UnicodeDecodeError is a ValueError too.
        except (ValueError, RecursionError) as error:
            raise ParseError from error


class StrictFormParser(BaseParser):
    """Form fields, each at most once (RFC 6749 section 3.2)."""

    media_type = "application/x-www-form-urlencoded"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,  # noqa: ARG002 -- DRF's signature
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        _refuse_large(parser_context)
        # UTF-8 whatever a client claims: exotic encodings bring in what UTF-8 cannot carry.
        fields = QueryDict(stream.read(), encoding="utf-8")
        repeated = [name for name, values in fields.lists() if len(values) > 1]
        if repeated:
            raise ValidationError({name: ["This field is repeated."] for name in repeated})
        return fields
