"""Django's settings of a node of the cluster: those of production, with the changes named here."""

import os

import time_machine
from django.utils import timezone
from environs import Env

from backend import settings as backend

globals().update({name: value for name, value in vars(backend).items() if name.isupper()})

INSTALLED_APPS = [*backend.INSTALLED_APPS, "tests.cluster.schema_change"]
MIDDLEWARE = [*backend.MIDDLEWARE, "tests.cluster.middleware.ServedByMiddleware"]
# A sign-in is to measure the cluster: with Argon2id, the hashes alone would fill two cores.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# One file for each mail, to be counted.
EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = os.environ["MAIL_DIR"]

# For this process only. The preloaded library of libfaketime cannot be used: with it, either the
# waits of Python's threads or its sleep fail.
if CLOCK_AHEAD := Env().timedelta("CLOCK_AHEAD", None):
    time_machine.travel(timezone.now() + CLOCK_AHEAD).start()

# All phones have addresses of one loopback network.
AUTHX = backend.AUTHX | {"SIGN_IN_RATES_PER_SITE": ["1000000/minute"]}
