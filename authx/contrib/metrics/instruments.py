"""What is counted. Labels come from the source code, not from requests, so there is a bound.

No label names a user, a session or an address.
"""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from authx.models import REVOCATIONS

# Why a token is refused. An unlisted reason is counted as OTHER.
REFUSAL_REASONS: Final = frozenset(
    {
        *(kind.value for kind in REVOCATIONS),
        *("expired", "inactive", "password changed", "superseded", "session not found"),
        *("ahead of its session", "does not lead to the newest generation", "late duplicate"),
        *("wrong size or prefix", "not base64url", "not canonical", "unknown version"),
        "tag does not verify",
    }
)
OTHER: Final = "other"
# RFC 9110 and RFC 5789; a client can send any other word.
METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"}
)
# A request of the API takes a few milliseconds, a password check half a second.
BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

SECURITY_EVENTS: Final = Counter(
    "authx_security_events", "Records of the security log, by their name.", ["event"]
)
SIGN_INS: Final = Counter("authx_sign_ins", "Sign-ins, by outcome.", ["outcome"])
REFRESHES: Final = Counter(
    "authx_refreshes",
    "Refreshes: rotated, retried (and why), reuse, refused (and why).",
    ["outcome", "reason"],
)
ACCESS_TOKEN_REFUSALS: Final = Counter(
    "authx_access_token_refusals", "Refused access tokens, by reason.", ["reason"]
)
REVOKED_SESSIONS: Final = Counter(
    "authx_revoked_sessions", "Sessions that were revoked, by reason.", ["reason"]
)
RATE_LIMIT_REFUSALS: Final = Counter(
    "authx_rate_limit_refusals", "Attempts that a rate limit refused, by limit.", ["limit"]
)
SWEPT_ROWS: Final = Counter("authx_swept_rows", "Rows that a sweep deleted, by table.", ["table"])
SWEEP_DURATION: Final = Gauge(
    "authx_sweep_duration_seconds",
    "How long the last sweep took.",
    multiprocess_mode="mostrecent",
)
SWEEP_FINISHED: Final = Gauge(
    "authx_sweep_finished_timestamp_seconds",
    "When the last sweep finished.",
    multiprocess_mode="mostrecent",
)
REQUEST_DURATION: Final = Histogram(
    "authx_http_request_duration_seconds",
    "Requests, by route (the name of the URL), method and status.",
    ["route", "method", "status"],
    buckets=BUCKETS,
)
PASSWORD_CHECKS: Final = Gauge(
    "authx_password_checks",
    "Password checks that are running, and that wait for one of PASSWORD_CHECKS_AT_ONCE.",
    ["state"],
    multiprocess_mode="livesum",
)
REQUESTS_IN_PROGRESS: Final = Gauge(
    "authx_http_requests_in_progress",
    "Requests that are being answered.",
    ["route"],
    multiprocess_mode="livesum",
)
