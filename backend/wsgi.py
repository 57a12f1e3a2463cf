"""The WSGI entry point; it does not load with a wrong configuration.

Without the guard around Django, `Content-Type: text/plain; charset=hex` raises outside of Django's
error handling, and the client gets no JSON.
"""

import os
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from backend.startup import run_startup_checks

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

# RFC 2046 section 5.1.1; needed for file uploads, for example to a project's admin.
BOUNDARY: Final = re.compile(r""";\s*boundary=("?)[\w'()+,./:=? -]{1,70}\1\s*(?=;|$)""", re.ASCII)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")
run_startup_checks()
# Clients wait for a response, so queries have a timeout. A variable of the environment would be set
# too late: OpenTelemetry has loaded the settings before this module.
if settings.DATABASE_TIMEOUT is None:
    settings.DATABASE_TIMEOUT = timedelta(seconds=5)
django_application = get_wsgi_application()


def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
    """Handle a request as UTF-8, whatever charset it declares.

    Django decodes the query string with that charset outside of its error handling, where
    `charset=hex` raises.
    """
    claimed = environ.get("CONTENT_TYPE", "")
    boundary = BOUNDARY.search(claimed)
    environ["CONTENT_TYPE"] = claimed.partition(";")[0] + (boundary[0] if boundary else "")
    return django_application(environ, start_response)
