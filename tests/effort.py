"""How much a test tries: a little in `make test`, at length in `make soak`.

SOAK=1 in the environment chooses the big numbers, SOAK=5 five times as many rounds.
"""

import os
from typing import TypeVar

Choice = TypeVar("Choice")

SOAK = int(os.environ.get("SOAK", "0"))


def rounds(small: int, big: int) -> int:
    """Return how often to try: the small number in the gate, and in the soak the big one."""
    return big * SOAK if SOAK else small


def chosen(small: Choice, big: Choice) -> Choice:
    """Return what the gate takes, or what the soak takes, however long it runs."""
    return big if SOAK else small
