"""System checks, each under an id: what undoes a promise does not start."""

from typing import Final

from authx.checks.deployment import check_deployment, check_wiring
from authx.checks.guessing import check_guessing, check_sharing
from authx.checks.mail import check_mail
from authx.checks.retirement import check_retirement
from authx.checks.settings import check_settings

ALWAYS: Final = (check_settings, check_wiring, check_guessing, check_retirement)
# Only where other users's sessions are: `manage.py check --deploy`, and a server that starts.
DEPLOYED: Final = (check_deployment, check_sharing, check_mail)
