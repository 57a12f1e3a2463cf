"""Which addresses are pages for users, and what a browser is told of pages and of the API."""

from typing import Final

from csp.constants import NONE, SELF, UNSAFE_INLINE

# What is no page is the API: an unknown address too. Probes come from inside, without TLS.
PAGES: Final = "admin/|static/|api/docs"
PROBES: Final = "health/"
API_PATHS: Final = rf"^/(?!{PAGES}|{PROBES})"
REDIRECT_EXEMPT: Final = [rf"^(?:{PROBES})"]

PAGE_POLICY: Final = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        # The page that shows the API description carries its styles inside.
        "style-src": [SELF, UNSAFE_INLINE],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    },
}

CORS_METHODS: Final = ["GET", "POST", "PATCH", "DELETE"]
CORS_REQUEST_HEADERS: Final = ["authorization", "content-type", "idempotency-key"]
CORS_ANSWER_HEADERS: Final = [
    "Authentication-Info",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-ID",
]
