"""What an error report may not contain: tokens, passwords, keys and other credentials.

Tokens are found by their shape, wherever they are. A password has no shape: values are removed
under names that tell, and an error inside code that handles passwords is reported without variables
and without the body of the request.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from django.utils.encoding import force_str

from authx import conf
from authx.codec import DEVICE_PREFIX, SERVICE_PREFIX
from authx.conf import authx_setting, knox_setting

FILTERED: Final = "[Filtered]"
NAMES: Final = (
    r"pass?w|passphrase|\bpass\b|pwd|token|secret|credential|authorization|cookie|csrf|sessionid"
    r"|session_key|idempotency|api[_-]?key"
)
TELLING: Final = re.compile(NAMES, re.IGNORECASE)
# The runs below have a limit or a fixed start: a client chooses some of the text, and must not make
# the search take a time that grows with the square of its length.
#
# name=value, name: value, "name": "value", and the same within a quoted text.
NAMED: Final = re.compile(
    rf"""((?:{NAMES})[\w.-]{{0,64}}+(?:\\*["'])?\s*[=:]\s*)"""
    r"""("(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?|(\\+["']).*?(?:\3|$)|[^\s&,;]+)""",
    re.IGNORECASE | re.DOTALL,
)
# Credentials of HTTP, passwords in URLs, hashes of passwords, and what is as long as a token, a key
# or a digest.
SHAPES: Final = re.compile(
    r"(?P<scheme>\b(?:Bearer|Basic|Token)\s+)[^\s'\",]{16,}"
    r"|(?P<url>://[^:/@\s]*:)[^@/\s]+(?=@)"
    r"|(?P<hash>\b[a-z][a-z0-9_]+\$)[\w$=,+/.-]{20,}"
    r"|(?<![\w+=-])(?=[\w+=-]*\d)[\w+=-]{64,}",
    re.IGNORECASE,
)
# Modules that handle passwords and tokens.
SENSITIVE_MODULES: Final = re.compile(r"(authx|django\.contrib\.auth|knox)(\.|$)")
# Lines of source code, which hold no values.
SOURCE: Final = frozenset({"context_line", "pre_context", "post_context"})


def scrub(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event, as the SDK has serialized it, without secrets."""
    if _is_sensitive(event):
        for frame in _frames(event):
            frame.pop("vars", None)
        event.get("request", {}).pop("data", None)
    scrubbed: dict[str, Any] = _scrub(event, _tokens())
    return scrubbed


def _is_sensitive(event: dict[str, Any]) -> bool:
    """Return whether an error passed through code that handles secrets."""
    return any(SENSITIVE_MODULES.match(str(frame.get("module"))) for frame in _frames(event))


def _frames(event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the frames of errors, of their causes, and of threads."""
    for part in ("exception", "threads"):
        for value in event.get(part, {}).get("values", ()):
            yield from (value.get("stacktrace") or {}).get("frames", ())


def _tokens() -> re.Pattern[str]:
    """Return a pattern of the tokens of this project, and of its keys."""
    names = (
        *(SERVICE_PREFIX, DEVICE_PREFIX),
        *(knox_setting("TOKEN_PREFIX"), authx_setting("REFRESH_TOKEN_PREFIX")),
    )
    # Without a prefix, a token is found by its length.
    prefixes = "|".join(map(re.escape, filter(None, names)))
    keys = [re.escape(force_str(key)) for key in conf.secret_keys()]
    return re.compile("|".join([*keys, rf"(?P<prefix>{prefixes})[\w-]+"]))


def _scrub(node: Any, tokens: re.Pattern[str]) -> Any:
    if isinstance(node, dict):
        return {
            _scrub(name, tokens): _scrub_named(str(name), value, tokens)
            for name, value in node.items()
        }
    if isinstance(node, list):
        return [_scrub(child, tokens) for child in node]
    if isinstance(node, str):
        text = tokens.sub(_kept, node)
        return SHAPES.sub(_kept, NAMED.sub(rf"\g<1>{FILTERED}", text))
    return node


def _kept(match: re.Match[str]) -> str:
    """Return what shows the kind of a secret, such as the prefix of a token."""
    return (match[match.lastgroup] if match.lastgroup else "") + FILTERED


def _scrub_named(name: str, value: Any, tokens: re.Pattern[str]) -> Any:
    if name in SOURCE:
        return value
    is_told = TELLING.search(name) and not isinstance(value, bool | None)
    return FILTERED if is_told else _scrub(value, tokens)
