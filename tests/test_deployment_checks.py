"""What surrounds authx in production is refused where it undoes a promise, each under an id."""

import inspect
import sys
from collections import Counter
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest
from django.contrib.auth.backends import ModelBackend
from django.core.management import get_commands
from django.db.backends.postgresql import base as postgresql
from django.middleware.security import SecurityMiddleware
from django.utils.deprecation import MiddlewareMixin
from rest_framework.authentication import BaseAuthentication

from authx.checks import DEPLOYED, endpoints, middleware, project
from authx.checks.endpoints import check_endpoints
from authx.checks.middleware import check_middleware, check_session_engine
from authx.checks.project import is_loopback
from authx.rest.middleware import APIMiddleware, RequestContextMiddleware
from backend import checks as policy
from backend.checks import check_deployment
from backend.settings import PASSWORD_HASHERS
from tests.settings_page import unlisted_keys, unlisted_settings
from tests.source_code import check_ids_in

KEY = "a secret key of fifty characters or more, for tests only"
DRF = "rest_framework"
API = "authx.rest.middleware.APIMiddleware"
CONTEXT = "authx.rest.middleware.RequestContextMiddleware"
SECURITY = "django.middleware.security.SecurityMiddleware"
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
GZIP = "django.middleware.gzip.GZipMiddleware"
FRAMES = "django.middleware.clickjacking.XFrameOptionsMiddleware"
METRICS = "authx.contrib.metrics.middleware.MetricsMiddleware"
WHITENOISE = "whitenoise.middleware.WhiteNoiseMiddleware"
CORS = "corsheaders.middleware.CorsMiddleware"
TOKENS = "authx.rest.authentication.TokenAuthentication"
WITH_COOKIE = f"{DRF}.authentication.SessionAuthentication"
WITH_PASSWORD = f"{DRF}.authentication.BasicAuthentication"
CACHES = "django.core.cache.backends"
REDIS_CACHE = {"BACKEND": f"{CACHES}.redis.RedisCache"}
VALIDATORS = "django.contrib.auth.password_validation"


class PlainMiddleware(MiddlewareMixin):
    """What the packages below have at the beginning of MIDDLEWARE, as far as a check sees it."""


def plain_middleware(get_response: Any) -> Any:
    return get_response


TENANTS = PROMETHEUS = f"{__name__}.PlainMiddleware"
OPENTELEMETRY = f"{__name__}.plain_middleware"


class OwnScheme(BaseAuthentication):
    """A project's scheme, without a challenge."""


class OwnContext(RequestContextMiddleware):
    """A project's subclass."""


class OwnAPI(APIMiddleware):
    """A project's subclass."""


class OwnSecurity(SecurityMiddleware):
    """A project's subclass."""


class WithPermissionsOnly(ModelBackend):
    """Checks passwords as Django does."""


class WithOwnCheck(ModelBackend):
    def authenticate(self, *_: Any, **credentials: Any) -> None:
        """Know nobody."""


def ids() -> list[str | None]:
    checks = (check_middleware, check_session_engine, check_endpoints, *DEPLOYED, check_deployment)
    return [message.id for check in checks for message in check()]


@pytest.fixture(autouse=True)
def _production(settings: Any) -> None:
    settings.SECRET_KEY = KEY
    settings.ALLOWED_HOSTS = ["api.example.com"]
    settings.SECURE_SSL_REDIRECT = True
    settings.PASSWORD_HASHERS = PASSWORD_HASHERS
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.DEFAULT_FROM_EMAIL = "noreply@example.com"
    settings.CACHES = {"default": REDIS_CACHE | {"LOCATION": "redis://a.example.com/2"}}
    settings.CELERY_BROKER_URL = "redis://:secret@a.example.com"
    settings.AUTHX = settings.AUTHX | {"THROTTLE_STORAGE_URL": "redis://a.example.com:6379/1"}


def at_least(length: int) -> list[dict[str, Any]]:
    name = f"{VALIDATORS}.MinimumLengthValidator"
    return [{"NAME": name, "OPTIONS": {"min_length": length}}]


DJANGO = [
    ("authx.W004", "AUTHENTICATION_BACKENDS", ["django.contrib.auth.backends.ModelBackend"]),
    ("backend.W001", "PASSWORD_HASHERS", ["django.contrib.auth.hashers.MD5PasswordHasher"]),
    *(
        ("backend.W003", "EMAIL_BACKEND", f"django.core.mail.backends.{name}.EmailBackend")
        for name in ("console", "dummy", "filebased", "locmem")
    ),
    ("backend.W004", "DEFAULT_FROM_EMAIL", "noreply@localhost"),
    ("backend.W004", "DEFAULT_FROM_EMAIL", "The shop <noreply@localhost>"),
    ("authx.E030", "SECRET_KEY", KEY[:49]),
    ("authx.E030", "SECRET_KEY", "abcd" * 20),
    ("authx.E030", "SECRET_KEY", f"django-insecure-{KEY}"),
    ("authx.E030", "SECRET_KEY", b"short"),
    ("authx.E030", "SECRET_KEY_FALLBACKS", [KEY, "an old one"]),
    ("backend.E001", "DEBUG", True),
    ("backend.E002", "SECURE_SSL_REDIRECT", False),
    ("backend.E003", "CACHES", {"default": {"BACKEND": f"{CACHES}.locmem.LocMemCache"}}),
    ("backend.E003", "CACHES", {"default": {"BACKEND": f"{CACHES}.dummy.DummyCache"}}),
    ("backend.E006", "CACHES", {"default": REDIS_CACHE | {"LOCATION": "redis://a.example.com/0"}}),
    ("backend.E006", "CACHES", {"default": REDIS_CACHE | {"LOCATION": "redis://a.example.com/1"}}),
    ("backend.E007", "CELERY_BROKER_URL", "redis+cluster://redis.example.com:6379"),
    ("backend.E005", "AUTH_PASSWORD_VALIDATORS", []),
    (
        "backend.E005",
        "AUTH_PASSWORD_VALIDATORS",
        [{"NAME": f"{VALIDATORS}.NumericPasswordValidator"}],
    ),
    ("backend.E005", "AUTH_PASSWORD_VALIDATORS", at_least(14)),
    ("authx.E040", "MIDDLEWARE", [API, SECURITY]),
    ("authx.E040", "MIDDLEWARE", [API, CONTEXT, SECURITY]),
    ("authx.W016", "MIDDLEWARE", [CONTEXT, SECURITY]),
    ("authx.W016", "MIDDLEWARE", [CONTEXT, SECURITY, API]),
    ("authx.W016", "MIDDLEWARE", [CONTEXT]),
    # It reads the cookies that APIMiddleware would remove.
    ("authx.W016", "MIDDLEWARE", [CONTEXT, SESSIONS, API, SECURITY]),
    ("authx.W016", "MIDDLEWARE", [CONTEXT, f"{__name__}.OwnSecurity", API]),
    ("authx.E040", "MIDDLEWARE", [API, f"{__name__}.OwnSecurity", CONTEXT]),
    ("authx.E040", "MIDDLEWARE", [API]),
    (
        "authx.W004",
        "AUTHENTICATION_BACKENDS",
        ["django.contrib.auth.backends.AllowAllUsersModelBackend"],
    ),
    ("authx.W004", "AUTHENTICATION_BACKENDS", [f"{__name__}.WithPermissionsOnly"]),
    ("authx.W018", "ROOT_URLCONF", "tests.no_urls"),
    ("authx.W018", "ROOT_URLCONF", None),
    ("authx.W023", "SESSION_ENGINE", "django.contrib.sessions.backends.cached_db"),
    ("authx.W023", "SESSION_ENGINE", "django.contrib.sessions.backends.signed_cookies"),
]
REST_FRAMEWORK = [
    ("backend.E004", {"DEFAULT_PERMISSION_CLASSES": []}),
    ("backend.E004", {"DEFAULT_PERMISSION_CLASSES": [f"{DRF}.permissions.AllowAny"]}),
    ("authx.E035", {"DEFAULT_AUTHENTICATION_CLASSES": [TOKENS, WITH_PASSWORD]}),
    (
        "authx.W022",
        {
            "DEFAULT_AUTHENTICATION_CLASSES": [f"{__name__}.OwnScheme", TOKENS],
            "EXCEPTION_HANDLER": f"{DRF}.views.exception_handler",
        },
    ),
]
CLEAN_SCHEMES = [
    [TOKENS, f"{__name__}.OwnScheme"],
    # As in a project whose pages call its API: the cookie ends with the device session.
    [TOKENS, WITH_COOKIE],
    [f"{DRF}.authentication.TokenAuthentication", TOKENS],
    [f"{__name__}.OwnScheme"],
    [],
]
OWN = [
    ("authx.E041", {"API_PATHS": "("}),
    ("authx.E041", {"API_PATHS": None}),
    ("authx.E041", {"API_PATHS": "^/api/"}),
    ("authx.E081", {"RECENT_SIGN_IN": None}),
    ("authx.E081", {"RECENT_SIGN_IN": ["logout"]}),
    ("authx.E081", {"RECENT_SIGN_IN": {"logout": 600}}),
    ("authx.E081", {"RECENT_SIGN_IN": {"logout": timedelta(0)}}),
    ("authx.E081", {"RECENT_SIGN_IN": {"sign-out": timedelta(minutes=10)}}),
]
DATABASE = [
    ("backend.W002", {"HOST": "db.example.com"}),
    ("backend.W002", {"HOST": "10.0.0.7", "OPTIONS": {"sslmode": "prefer"}}),
    # Its host is in a file that is not read here.
    ("backend.W002", {"HOST": "", "OPTIONS": {"service": "shop"}}),
]


def test_a_production_like_ours_is_clean() -> None:
    assert ids() == []


@pytest.mark.parametrize(("expected", "name", "value"), DJANGO)
def test_a_setting_of_django_is_refused(
    settings: Any, expected: str, name: str, value: Any
) -> None:
    setattr(settings, name, value)
    assert ids() == [expected]


@pytest.mark.parametrize(("expected", "change"), REST_FRAMEWORK)
def test_a_default_of_the_framework_is_refused(settings: Any, expected: str, change: Any) -> None:
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | change
    assert ids() == [expected]


@pytest.mark.parametrize("schemes", CLEAN_SCHEMES)
def test_an_order_with_a_challenge_or_without_our_tokens_is_clean(
    settings: Any, schemes: list[str]
) -> None:
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {
        "DEFAULT_AUTHENTICATION_CLASSES": schemes,
        "EXCEPTION_HANDLER": f"{DRF}.views.exception_handler",
    }
    assert ids() == []


@pytest.mark.parametrize(("expected", "change"), OWN)
def test_a_setting_of_authx_is_refused(settings: Any, expected: str, change: Any) -> None:
    settings.AUTHX = settings.AUTHX | change
    assert ids() == [expected]


@pytest.mark.parametrize(("expected", "change"), DATABASE)
def test_a_database_link_in_the_clear_is_warned_of(
    settings: Any, monkeypatch: pytest.MonkeyPatch, expected: str, change: dict[str, Any]
) -> None:
    database = {"ENGINE": "django.db.backends.postgresql"} | change
    monkeypatch.setitem(settings.DATABASES, "default", database)
    assert ids() == [expected]


def test_an_engine_of_another_name_that_reaches_postgresql_is_warned_of(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As that of PostGIS, or of a tracer.
    monkeypatch.setitem(sys.modules, "shop_engine", ModuleType("shop_engine"))
    monkeypatch.setitem(sys.modules, "shop_engine.base", postgresql)
    database = {"ENGINE": "shop_engine", "HOST": "db.example.com"}
    monkeypatch.setitem(settings.DATABASES, "default", database)
    assert ids() == ["backend.W002"]


@pytest.mark.parametrize(
    "database",
    [
        {"ENGINE": "django.db.backends.sqlite3", "HOST": ""},
        {"ENGINE": "django.db.backends.postgresql", "HOST": "/run/postgresql"},
        {"ENGINE": "django.db.backends.postgresql", "HOST": "127.0.0.1"},
        {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": "db.example.com",
            "OPTIONS": {"sslmode": "verify-full"},
        },
    ],
)
def test_a_database_link_with_tls_or_on_loopback_is_clean(
    settings: Any, monkeypatch: pytest.MonkeyPatch, database: dict[str, Any]
) -> None:
    monkeypatch.setitem(settings.DATABASES, "default", database)
    assert ids() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", KEY.encode()),
        ("SECRET_KEY_FALLBACKS", [KEY[::-1]]),
        ("AUTH_PASSWORD_VALIDATORS", at_least(15)),
        ("SECRET_KEY", "abcde" * 10),
        ("MIDDLEWARE", [CONTEXT, API]),
        ("MIDDLEWARE", [OPENTELEMETRY, METRICS, CONTEXT, API, SECURITY]),
        ("MIDDLEWARE", [TENANTS, CONTEXT, API, SECURITY]),
        ("MIDDLEWARE", [PROMETHEUS, CONTEXT, API, SECURITY, WHITENOISE]),
        ("MIDDLEWARE", [WHITENOISE, CORS, GZIP, FRAMES, CONTEXT, API, SECURITY, SESSIONS]),
        ("MIDDLEWARE", [f"{__name__}.OwnContext", f"{__name__}.OwnAPI", SECURITY]),
        ("AUTHENTICATION_BACKENDS", [f"{__name__}.WithOwnCheck"]),
    ],
)
def test_a_setting_at_its_very_limit_is_clean(settings: Any, name: str, value: Any) -> None:
    setattr(settings, name, value)
    assert ids() == []


def test_reports_of_errors_with_their_secrets_are_warned_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "authx.checks.project.apps.is_installed", lambda name: name != project.SENTRY
    )
    assert ids() == ["authx.W017"]
    monkeypatch.setattr("authx.checks.project.find_spec", lambda _: None)
    assert ids() == []


def test_a_command_that_another_application_hides_is_warned_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hidden = get_commands() | {"sweep": "shop"}
    monkeypatch.setattr("authx.checks.endpoints.get_commands", lambda: hidden)
    (message,) = check_endpoints()
    assert message.id == "authx.W019"
    assert "sweep" in message.msg
    assert "shop" in message.msg


def test_the_key_of_a_project_that_was_just_started_is_djangos_concern(settings: Any) -> None:
    settings.ALLOWED_HOSTS, settings.SECRET_KEY = [], "django-insecure-key"
    assert ids() == []


def test_on_loopback_debug_and_plain_http_are_clean(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", ".localhost"]
    settings.DEBUG, settings.SECURE_SSL_REDIRECT = True, False
    settings.CACHES = {"default": {"BACKEND": f"{CACHES}.locmem.LocMemCache"}}
    assert ids() == []


@pytest.mark.parametrize("host", ["*", ".example.com", "10.0.0.1", "localhost.example.com"])
def test_a_public_host_is_no_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_every_fault_comes_with_what_to_do_and_without_the_key(settings: Any) -> None:
    settings.SECRET_KEY, settings.DEBUG = "my secret", True
    messages = [message for check in (*DEPLOYED, check_deployment) for message in check()]
    assert all(message.hint for message in messages)
    assert "my secret" not in str(messages)


def test_every_id_has_a_test_here() -> None:
    found = sum(
        (
            check_ids_in(inspect.getsource(module))
            for module in (project, middleware, endpoints, policy)
        ),
        Counter(),
    )
    tested = {case[0] for case in [*DJANGO, *REST_FRAMEWORK, *OWN, *DATABASE]}
    tested |= {"authx.W017", "authx.W019"}
    assert set(found) == tested
    assert set(found.values()) == {1}


def test_the_page_of_settings_has_them_beside_their_keys() -> None:
    assert unlisted_keys("AUTHX", OWN) == set()
    assert unlisted_settings(DJANGO) == set()


@pytest.mark.parametrize(
    "change",
    [
        {"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")},
        {"REST_FRAMEWORK": {"NUM_PROXIES": 1}},
    ],
)
def test_behind_a_proxy_a_service_is_public_whatever_hosts_it_admits(
    settings: Any, change: dict[str, Any]
) -> None:
    settings.ALLOWED_HOSTS, settings.SECURE_PROXY_SSL_HEADER = ["127.0.0.1"], None
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": 0}
    assert not project.is_public()
    for name, value in change.items():
        merged = getattr(settings, name) | value if isinstance(value, dict) else value
        setattr(settings, name, merged)
    assert project.is_public()


def test_with_a_database_on_another_machine_a_service_is_public(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    # Changed in place: Django warns of a test that replaces DATABASES.
    monkeypatch.setitem(settings.DATABASES["default"], "HOST", "db.example.com")
    assert project.is_public()
