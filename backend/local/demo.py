"""`make demo`: tells the story of a session on a running stack, or on one of its own."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from backend.local import place, ports
from backend.local.errors import StackError
from backend.local.expectations import DeviationError
from backend.local.launch import exit_on_signals
from backend.local.own_stack import own_stack
from backend.local.runner import DEFAULT_PORT, require_answer
from backend.local.story import Story


def run() -> int:
    """Tell the story; return 1 where the service deviates from it."""
    exit_on_signals()
    # A terminal that knows no check mark shall not stop the story.
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    try:
        with stage() as story:
            for step in story.steps():
                print("✓", step(), flush=True)
            for what in story.not_shown:
                print(f"· Not shown: {what}. With no stack running, `make demo` shows it.")
    # An answer of another shape is a deviation too.
    except (DeviationError, OSError, LookupError) as error:
        print("✗", error if isinstance(error, DeviationError) else repr(error), flush=True)
        return 1
    print("All as told.")
    return 0


@contextmanager
def stage() -> Iterator[Story]:
    """Choose the stack: the one named, else the one of this checkout, else one of its own."""
    if url := place.env.str("DEMO_URL", "").rstrip("/"):
        print(f"On the stack at {url}:", flush=True)
        yield Story(url, place.env.str("DEMO_PASSWORD"))
    elif url := running_stack():
        print(f"On the stack of `make run` at {url}:", flush=True)
        yield Story(url, place.demo_password())
    else:
        print("On a stack of its own, with short times:", flush=True)
        with own_stack() as story:
            yield story


def running_stack() -> str:
    """Return the URL of the stack of this checkout, or nothing if there is none on PORT."""
    url = f"http://{ports.HOST}:{place.env.int('PORT', DEFAULT_PORT)}"
    try:
        with place.only_stack():
            return ""
    except StackError:
        pass
    try:
        require_answer(url)
    except OSError:
        return ""
    return url
