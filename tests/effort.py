"""How often a test tries: a little in `make test`, at length in `make soak`.

SOAK=1 in the environment chooses the big numbers, SOAK=5 five times as much.
"""

import os

SOAK = int(os.environ.get("SOAK", "0"))


def rounds(small: int, big: int) -> int:
    """Return the small number in the gate, and the big one, as often as SOAK says, in the soak."""
    return big * SOAK if SOAK else small
