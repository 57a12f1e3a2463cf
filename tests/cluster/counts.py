"""What the phones of one scenario saw, counted."""

from collections import Counter
from dataclasses import dataclass, field
from time import monotonic


@dataclass
class Counts:
    """Everything is a number or a short text, so that it can be sent between processes."""

    # By name: requests, refreshes, sign-ins, sign-outs, retries, lost answers and so on.
    numbers: Counter[str] = field(default_factory=Counter)
    # Who answered, by node and version.
    served_by: Counter[str] = field(default_factory=Counter)
    # Phones that were asked to sign in although nobody had ended their session.
    signed_out: list[str] = field(default_factory=list)
    # The sessions of all scenarios so far whose sign-out was answered with success.
    ended: list[str] = field(default_factory=list)
    # Those of them that accept a token, or whose sign-out the database does not know.
    alive: list[str] = field(default_factory=list)
    # Answers that no client expects.
    unexpected: list[str] = field(default_factory=list)
    # The longest time from the first failed try of a phone to its next success.
    longest_outage: float = 0.0
    # The longest time in which no phone at all refreshed or signed in.
    longest_pause: float = 0.0
    written_at: float = field(default_factory=monotonic)

    def note_write(self) -> None:
        """Note that a refresh or a sign-in has succeeded just now."""
        now = monotonic()
        self.longest_pause = max(self.longest_pause, now - self.written_at)
        self.written_at = now

    @property
    def is_broken(self) -> bool:
        """Return whether a promise was broken."""
        return bool(self.signed_out or self.alive or self.unexpected)
