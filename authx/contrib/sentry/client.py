"""Scrubs each event as the last step before Sentry's SDK sends it."""

from typing import Any, Final

import sentry_sdk
from sentry_sdk.scope import add_global_event_processor

from authx.contrib.sentry.scrub import scrub

STEPS: Final = ("before_send", "before_send_transaction")


class LastStep:
    """Calls the function that the project gave to `sentry_sdk.init`, and scrubs the result."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, event: Any, hint: Any) -> Any:
        event = self.function(event, hint) if self.function else event
        return event and scrub(event)


def connect() -> None:
    """Scrub what is sent from now on, also by a client that is initialized later."""
    add_global_event_processor(scrub_when_sent)


def scrub_when_sent(event: Any, _hint: Any) -> Any:
    """Let the client that is about to send an event scrub it last.

    Not here: the SDK adds the body and the headers of the request after its global processors, and
    a stack trace even later.
    """
    options = sentry_sdk.get_client().options
    for step in STEPS:
        if not isinstance(options[step], LastStep):
            options[step] = LastStep(options[step])
    return event
