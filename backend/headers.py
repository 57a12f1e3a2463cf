"""Paths of pages and of the API, the Content Security Policy of pages, and CORS."""

from typing import Final

from csp.constants import NONE, SELF, UNSAFE_INLINE

# Every path that is not a page belongs to the API, unknown paths too. Health probes come from the
# internal network, without TLS.
PAGES: Final = "account/|admin/|static/|api/docs"
PROBES: Final = "health/"
API_PATHS: Final = rf"^/(?!{PAGES}|{PROBES})"
REDIRECT_EXEMPT: Final = [rf"^(?:{PROBES})"]

PAGE_POLICY: Final = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        # The page of the API description has inline styles.
        "style-src": [SELF, UNSAFE_INLINE],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    },
}

CORS_METHODS: Final = ["GET", "POST", "PATCH", "DELETE"]
CORS_REQUEST_HEADERS: Final = ["authorization", "content-type", "idempotency-key"]
CORS_EXPOSED_HEADERS: Final = [
    "Authentication-Info",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-ID",
]
