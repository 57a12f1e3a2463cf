"""`data` of a session: a small JSON object of the project, such as a push token and a locale."""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from django.utils.translation import gettext

from authx import conf

MAX_DEPTH: Final = 5
# PostgreSQL writes 1e300 as a number of 301 digits.
MAX_DIGITS: Final = 32
UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")


def storable(data: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return `data` as a session stores it, {} for None; raises ValueError with a sentence.

    The database would refuse some of it, or read it back as something else: NUL, halves of
    surrogate pairs, infinite or very long numbers, keys that are no strings.
    """
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise ValueError("data must be a mapping.")  # noqa: TRY004 -- one error for whatever is wrong
    plain = dict(data)
    _require_plain(plain)
    size = len(json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode())
    limit = conf.authx_setting("MAX_SESSION_DATA_BYTES")
    if size > limit:
        sentence = gettext("This has %(size)d bytes as JSON, more than %(limit)d.")
        raise ValueError(sentence % {"size": size, "limit": limit})
    return plain


def _require_plain(value: Any, *, depth: int = 1) -> None:
    if isinstance(value, dict | list):
        if depth > MAX_DEPTH:
            raise ValueError(gettext("This is nested more than %d levels deep.") % MAX_DEPTH)
        for inner in _contents(value):
            _require_plain(inner, depth=depth + 1)
    elif isinstance(value, str):
        if UNSTORABLE.search(value):
            raise ValueError(gettext("Strings cannot contain NUL or half a surrogate pair."))
    elif value is not None and not _is_short(value):
        raise ValueError(gettext("Numbers can have %d digits at most.") % MAX_DIGITS)


def _contents(value: dict[Any, Any] | list[Any]) -> list[Any]:
    if isinstance(value, list):
        return value
    if not all(isinstance(name, str) for name in value):
        raise ValueError("Every key must be a string.")
    return [*value, *value.values()]


def _is_short(number: Any) -> bool:
    if not isinstance(number, int | float):
        raise ValueError("This is no JSON.")  # noqa: TRY004 -- as above
    # As text, a float has the fewest digits that give the same number.
    exact = Decimal(repr(number)) if isinstance(number, float) else Decimal(number)
    return exact.is_finite() and len(f"{exact:f}") <= MAX_DIGITS
