"""Settings of the project of the matrix."""

import os

POSTGRESQL = {
    "ENGINE": "django.db.backends.postgresql",
    "HOST": os.environ.get("PGHOST"),
    "USER": "postgres",
    "NAME": "postgres",
}
SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": "file:matrix?mode=memory&cache=shared"}

SECRET_KEY = "for the matrix of versions only " * 3
ALLOWED_HOSTS = ["testserver"]
DATABASES = {"default": POSTGRESQL if "PGHOST" in os.environ else SQLITE}
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "knox",
    "authx",
    "authx.contrib.introspection",
]
MIDDLEWARE = [
    "authx.rest.middleware.RequestContextMiddleware",
    "authx.rest.middleware.APIMiddleware",
]
AUTHENTICATION_BACKENDS = ["authx.passwords.backends.ModelBackend"]
KNOX_TOKEN_MODEL = "authx.DeviceSession"
MIGRATION_MODULES = {"knox": None}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["authx.rest.authentication.TokenAuthentication"],
    "NUM_PROXIES": 0,
}
TEMPLATES = [
    {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True},
]
ROOT_URLCONF = "matrix_urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
