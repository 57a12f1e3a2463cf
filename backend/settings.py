"""Settings, read from the environment; without any, a SQLite project on this machine."""

from datetime import timedelta
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from environs import FileAwareEnv, validate

from backend import headers
from backend.account_url import account_url
from backend.redis_databases import other_database
from backend.redis_url import clients_of
from backend.secret_file import get_or_create_secret
from tasks.schedule import beat_schedule

# Editors and most tools end a file with a newline, which is not part of a secret.
env = FileAwareEnv(strip_whitespace=True)

BASE_DIR = Path(__file__).resolve().parent.parent

# Where a machine without configuration keeps its database and its key.
LOCAL_DIR = env.path("LOCAL_DIR", BASE_DIR / ".local")

DATABASE_URL = env.str("DATABASE_URL", "")
# The broker; the cache and the counts of the rate limits are in databases of their own.
REDIS_URL = env.str("REDIS_URL", "")
RATE_LIMITS_URL = env.str("RATE_LIMITS_URL", other_database(REDIS_URL, 1))
CACHE_URL = env.str("CACHE_URL", other_database(REDIS_URL, 2))

DEBUG = env.bool("DEBUG", default=False)

# There is no default with a configured database: the sessions of real users depend on this key.
SECRET_KEY = env.str("SECRET_KEY", "")
if DATABASE_URL and not SECRET_KEY:
    raise ImproperlyConfigured("SECRET_KEY has to be set where DATABASE_URL is.")
SECRET_KEY = SECRET_KEY or get_or_create_secret(LOCAL_DIR / "secret-key")
SECRET_KEY_FALLBACKS = [key for key in env.str("SECRET_KEY_FALLBACKS", "").split(",") if key]

ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])

# --- Servers

# How long a process waits for one response of PostgreSQL; 0 is without a limit. Where it is unset,
# backend.wsgi sets it for web processes: a sweep or a migration may take longer.
DATABASE_TIMEOUT = env.timedelta("DATABASE_TIMEOUT", None)
DATABASES = {
    "default": env.dj_db_url(
        "DATABASE_URL",
        f"sqlite:///{LOCAL_DIR / 'db.sqlite3'}",
        conn_max_age=60,
        conn_health_checks=True,
    ),
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    LOCAL_DIR.mkdir(parents=True, exist_ok=True)
    DATABASES["default"]["OPTIONS"] = {
        # A transaction that reads first and writes later fails immediately if the file is locked.
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    DATABASES["default"].setdefault("OPTIONS", {}).setdefault("connect_timeout", 3)
    DATABASES["default"]["ENGINE"] = "backend.postgresql"
    # PgBouncer in transaction mode does not support cursors that outlive a statement.
    DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = True
    if DATABASES["default"]["OPTIONS"].get("pool"):
        # The pool keeps connections open instead.
        DATABASES["default"]["CONN_MAX_AGE"] = 0

CACHES = {"default": clients_of(CACHE_URL).cache}

# --- Django

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "knox",
    "corsheaders",
    "csp",
    "authx",
    "authx.contrib.introspection",
    "authx.contrib.account",
    "authx.contrib.openapi",
    "authx.contrib.metrics",
    # Each does nothing unless its package is installed.
    "authx.contrib.sentry",
    "authx.contrib.tracing",
    "tasks",
    "backend",
]

MIDDLEWARE = [
    "authx.contrib.metrics.middleware.MetricsMiddleware",
    "authx.rest.middleware.RequestContextMiddleware",
    "authx.rest.middleware.APIMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "backend.urls"
WSGI_APPLICATION = "backend.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "backend" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
# The admin's files are served from the packages, so collectstatic is not needed.
WHITENOISE_USE_FINDERS = True

# A browser is a device session like any other; its cookie is not in the database.
SESSION_ENGINE = "authx.sessions.cookies"
AUTHENTICATION_BACKENDS = ["authx.passwords.backends.ModelBackend"]
# Argon2id with Django's memory and passes (100 MiB, 2) and one lane, above the minimum of OWASP. A
# check uses that memory while it runs. Hashes of the others are upgraded at the next sign-in.
PASSWORD_HASHERS = [
    "authx.passwords.hashers.BackgroundArgon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher",
    "django.contrib.auth.hashers.BCryptSHA256PasswordHasher",
    "django.contrib.auth.hashers.ScryptPasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        # NIST SP 800-63B-4 section 3.1.1.2: fifteen where the password is the only factor.
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 15},
    },
    {"NAME": "authx.passwords.validation.CommonPasswordValidator"},
]

# --- Transport

# Only a stack on loopback, such as that of `make run`, does without TLS.
HTTPS_ONLY = env.bool("HTTPS_ONLY", default=bool(DATABASE_URL))
SECURE_SSL_REDIRECT = HTTPS_ONLY
SECURE_REDIRECT_EXEMPT = headers.REDIRECT_EXEMPT
SESSION_COOKIE_SECURE = HTTPS_ONLY
CSRF_COOKIE_SECURE = HTTPS_ONLY
SECURE_HSTS_SECONDS = int(timedelta(days=365).total_seconds()) if HTTPS_ONLY else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS_ONLY
SECURE_HSTS_PRELOAD = HTTPS_ONLY
# The number of our own proxies, whose forwarding headers are trusted. It is required in production:
# one too few counts every request for the proxy, and one too many trusts the client.
NUM_PROXIES = env.int("NUM_PROXIES") if HTTPS_ONLY else env.int("NUM_PROXIES", 0)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if NUM_PROXIES else None
CONTENT_SECURITY_POLICY = headers.PAGE_POLICY
CORS_ALLOWED_ORIGINS: list[str] = env.list("CORS_ALLOWED_ORIGINS", [])
CORS_URLS_REGEX = headers.API_PATHS
CORS_ALLOW_METHODS = headers.CORS_METHODS
CORS_ALLOW_HEADERS = headers.CORS_REQUEST_HEADERS
CORS_EXPOSE_HEADERS = headers.CORS_EXPOSED_HEADERS

# --- The API

API_VERSION = "0.1.0"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["authx.rest.authentication.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["authx.rest.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "authx.rest.exceptions.exception_handler",
    "NUM_PROXIES": NUM_PROXIES,
    # Of the description, which would repeat any other `?version=` in a header.
    "ALLOWED_VERSIONS": [API_VERSION],
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Device sessions",
    "DESCRIPTION": "Sign in once on a device, stay signed in safely.",
    "VERSION": API_VERSION,
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    # PATCH has required fields here.
    "COMPONENT_SPLIT_PATCH": False,
    "POSTPROCESSING_HOOKS": [
        "authx.contrib.openapi.hooks.without_trailing_slash",
        "authx.contrib.openapi.hooks.with_headers",
        "authx.contrib.openapi.hooks.with_error_codes",
    ],
    # Anyone may read the description; a stale token does not prevent it.
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    # The pages load their assets from this server only.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"validatorUrl": None, "deepLinking": True},
}

KNOX_TOKEN_MODEL = "authx.DeviceSession"  # noqa: S105 -- the name of a model
# Knox's own migrations would leave an orphan table with a foreign key to users.
MIGRATION_MODULES = {"knox": None}
REST_KNOX = {
    "TOKEN_TTL": env.timedelta("ACCESS_TOKEN_TTL", timedelta(minutes=15)),
    "AUTO_REFRESH": True,
    "AUTO_REFRESH_MAX_TTL": env.timedelta("ACCESS_TOKEN_MAX_TTL", timedelta(hours=1)),
    "MIN_REFRESH_INTERVAL": env.int("ACCESS_TOKEN_MIN_RENEWAL_INTERVAL", 60),
}
AUTHX = {
    "API_PATHS": headers.API_PATHS,
    "REFRESH_TOKEN_TTL": env.timedelta("REFRESH_TOKEN_TTL", timedelta(days=30)),
    "SESSION_TTL": env.timedelta("SESSION_TTL", timedelta(days=180)),
    "REFRESH_TOKEN_GRACE_PERIOD": env.timedelta(
        "REFRESH_TOKEN_GRACE_PERIOD", timedelta(seconds=10)
    ),
    "RETRY": env.str("RETRY", "until_confirmed"),
    "BROWSER_IDLE_TTL": env.timedelta("BROWSER_IDLE_TTL", timedelta(days=1)),
    "BROWSER_SESSION_TTL": env.timedelta("BROWSER_SESSION_TTL", timedelta(days=14)),
    "STAFF_BROWSER_IDLE_TTL": env.timedelta("STAFF_BROWSER_IDLE_TTL", timedelta(minutes=30)),
    "STAFF_BROWSER_SESSION_TTL": env.timedelta("STAFF_BROWSER_SESSION_TTL", timedelta(hours=12)),
    "ACCOUNT_URL": env.str("ACCOUNT_URL", account_url(ALLOWED_HOSTS, https=HTTPS_ONLY)),
    "RECOVERY_LINK": env.str("RECOVERY_LINK", ""),
    "SESSION_LIMIT_PER_USER": env.int("SESSION_LIMIT_PER_USER", 10),
    "ISSUER": env.str("ISSUER", ""),
    "SWEEP_RETENTION": env.timedelta("SWEEP_RETENTION", timedelta(days=7)),
    "SWEEP_BATCH_SIZE": env.int("SWEEP_BATCH_SIZE", 1000),
    "THROTTLE_STORAGE_URL": clients_of(RATE_LIMITS_URL).counters,
    "PASSWORD_CHECKS_AT_ONCE": env.int("PASSWORD_CHECKS_AT_ONCE", 1),
    "EVENT_RETENTION": env.timedelta("EVENT_RETENTION", timedelta(days=180)),
    "REQUEST_START_HEADER": env.str("REQUEST_START_HEADER", None),
    "TRACE_SESSION_ID": env.bool("TRACE_SESSION_ID", default=True),
}

# --- Celery

BROKER = clients_of(REDIS_URL)
CELERY_BROKER_URL = BROKER.broker
CELERY_BROKER_TRANSPORT_OPTIONS = BROKER.broker_options
# Celery would verify neither certificate nor host name; the other clients of REDIS_URL verify both.
# Options in the URL, such as ssl_ca_certs, replace these, and redis-py then verifies by default.
CELERY_BROKER_USE_SSL = {"ssl_cert_reqs": "required"} if REDIS_URL.startswith("rediss:") else None
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TIMEZONE = "UTC"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# Celery would give up, and the worker end, after a hundred attempts.
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# Mail that is printed to the console stays readable.
CELERY_WORKER_REDIRECT_STDOUTS = False
# A sweep occupies one process for minutes; the other one sends the mail meanwhile.
CELERY_WORKER_CONCURRENCY = env.int("WORKER_CONCURRENCY", 2)
CELERY_BEAT_SCHEDULER = "backend.beat:Scheduler"
CELERY_BEAT_SCHEDULE = beat_schedule(
    sweep_interval=env.timedelta("SWEEP_INTERVAL", timedelta(minutes=5)),
    notification_interval=env.timedelta("NOTIFICATION_INTERVAL", timedelta(seconds=30)),
)

# --- Mail

# The log of a deployment is no place for mail about accounts; a check says that none is sent.
mail_server = env.dj_email_url("EMAIL_URL", "dummy:" if HTTPS_ONLY else "console:")
EMAIL_BACKEND = mail_server["EMAIL_BACKEND"]
EMAIL_FILE_PATH = mail_server["EMAIL_FILE_PATH"]
EMAIL_HOST = mail_server["EMAIL_HOST"] or "localhost"
EMAIL_PORT = mail_server["EMAIL_PORT"] or 25
EMAIL_HOST_USER = mail_server["EMAIL_HOST_USER"]
EMAIL_HOST_PASSWORD = mail_server["EMAIL_HOST_PASSWORD"]
EMAIL_USE_TLS = mail_server["EMAIL_USE_TLS"]
EMAIL_USE_SSL = mail_server["EMAIL_USE_SSL"]
# How long a worker waits for an unresponsive mail server.
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", "noreply@localhost")

# --- Logs

LOG_FORMAT = env.str(
    "LOG_FORMAT", "json" if DATABASE_URL else "line", validate=validate.OneOf(["json", "line"])
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "context": {"()": "backend.logs.ContextFilter"},
        "refusals": {"()": "backend.logs.RefusalFilter"},
    },
    "formatters": {
        "json": {"()": "backend.logs.JSONFormatter"},
        "line": {
            "()": "backend.logs.LineFormatter",
            "format": "{levelname} {name} {message}",
            "style": "{",
        },
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": LOG_FORMAT,
            "filters": ["context", "refusals"],
        }
    },
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", "INFO")},
    "loggers": {
        # Without handlers of their own: Django's would print a record twice or mail whole requests,
        # and gunicorn's would use another format.
        "django": {"handlers": [], "propagate": True},
        "django.server": {"handlers": [], "level": "WARNING", "propagate": True},
        "gunicorn.error": {"handlers": [], "propagate": True},
        # Only the failures of tasks, which run twice a minute.
        "celery.app.trace": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
    },
}
