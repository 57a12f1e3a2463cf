"""System checks, each with an id, of settings that would break a promise."""

from typing import Final

from django.core.checks import Tags, register

from authx.checks.endpoints import check_endpoints
from authx.checks.functions import check_functions
from authx.checks.middleware import check_api_middleware, check_middleware, check_session_engine
from authx.checks.project import check_deployment
from authx.checks.settings import check_settings
from authx.checks.throttling import check_sharing, check_throttling

ALWAYS: Final = (
    check_settings,
    check_middleware,
    check_session_engine,
    check_endpoints,
    check_throttling,
    check_functions,
)
# Only in production: `manage.py check --deploy`, and a server that starts.
DEPLOYED: Final = (check_deployment, check_api_middleware, check_sharing)


def register_all() -> None:
    """Register every check with Django."""
    for check in ALWAYS:
        register(check, Tags.security)
    for check in DEPLOYED:
        register(check, Tags.security, deploy=True)
