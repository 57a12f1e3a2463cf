"""Django's settings of one measured project, named by the environment variable BENCH_PROJECT."""

import os

from backend import settings as backend
from tests.benchmarks.projects import PROJECTS

NAME = os.environ["BENCH_PROJECT"]
PROJECT = PROJECTS[NAME]

SECRET_KEY = backend.SECRET_KEY
# Without the time limit of this deployment, which the others do not have.
DATABASES = {"default": backend.DATABASES["default"] | {"ENGINE": "django.db.backends.postgresql"}}
CACHES = backend.CACHES
ALLOWED_HOSTS = ["testserver"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    *PROJECT.apps,
]
MIDDLEWARE = PROJECT.middleware
ROOT_URLCONF = f"tests.benchmarks.urls.{NAME}"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
# A sign-in is to measure the system, and not the hash.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "NUM_PROXIES": 0,
}
# Records are made, as in production, and go nowhere.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"nowhere": {"class": "logging.NullHandler"}},
    "root": {"handlers": ["nowhere"], "level": "INFO"},
    "loggers": {"django": {"handlers": [], "propagate": True}},
}

globals().update(PROJECT.settings)
