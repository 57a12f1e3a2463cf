"""What the `detail` of an exception says, whatever its shape, as texts that JSON can carry."""

from collections.abc import Iterator, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

from django.utils.functional import Promise
from rest_framework.settings import api_settings

# What `str` shows as people write it; of anything else it may show the inside of a program.
READABLE: Final = (str, Promise, int, float, Decimal, UUID, date, time, timedelta)
LISTS: Final = (list, tuple, set, frozenset)
# Instead of a value that cannot be shown.
INVALID_VALUE: Final = "Invalid value."


def text_of(value: Any) -> str:
    """Return a value as a text, but never its Python representation."""
    if isinstance(value, Enum):
        return text_of(value.value)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, READABLE):
        # A lone surrogate, which a client can send in JSON, could not be encoded.
        return str(value).encode(errors="replace").decode()
    return INVALID_VALUE


def words_of(detail: Any) -> str:
    """Return the sentences of a `detail` that belong to no field, or ""."""
    if isinstance(detail, Mapping):
        # As DRF itself answers an exception, and SimpleJWT.
        detail = detail.get("detail")
    if isinstance(detail, Mapping):
        return ""
    sentences = detail if isinstance(detail, LISTS) else [detail]
    return " ".join(text_of(one) for one in sentences if one is not None and is_sentence(one))


def fields_of(detail: Any, *, non_field_key: str) -> dict[str, list[str]]:
    """Return the sentences of a `detail` by field: `device.name` is within an object.

    `items.1.name` is within the second object of a list. What belongs to no field is under
    `non_field_key`, which replaces DRF's NON_FIELD_ERRORS_KEY.
    """
    fields: dict[str, list[str]] = {}
    for path, sentence in _sentences(detail, "", non_field_key):
        fields.setdefault(path or non_field_key, []).append(sentence)
    return fields


def _sentences(detail: Any, path: str, non_field_key: str) -> Iterator[tuple[str, str]]:
    if isinstance(detail, Mapping):
        for key, inner in detail.items():
            name = non_field_key if key == api_settings.NON_FIELD_ERRORS_KEY else text_of(key)
            yield from _sentences(inner, _within(path, name), non_field_key)
    elif isinstance(detail, LISTS):
        for number, inner in enumerate(detail):
            # The errors of a list of objects (`many=True`), or several of one field.
            inside = path if is_sentence(inner) else _within(path, str(number))
            yield from _sentences(inner, inside, non_field_key)
    elif detail is not None:
        yield path, text_of(detail)


def is_sentence(detail: Any) -> bool:
    """Return whether a part of a `detail` contains no further parts."""
    return not isinstance(detail, (Mapping, *LISTS))


def _within(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
