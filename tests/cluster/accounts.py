"""What the phones of one user know of each other's sessions."""

from dataclasses import dataclass, field
from typing import Any

Pair = dict[str, Any]


@dataclass
class Account:
    """One user; its phones run in one process and tell each other what they are about to end."""

    username: str
    # The newest pair of each session, whichever phone has it.
    pairs: dict[str, Pair] = field(default_factory=dict)
    # The session of each phone that is signed in, by installation.
    sessions: dict[str, str] = field(default_factory=dict)
    # Sessions whose end was requested; a lost answer leaves open whether it was carried out.
    ending: set[str] = field(default_factory=set)
    # Sessions whose end was answered with success: nothing may accept their tokens any more.
    ended: set[str] = field(default_factory=set)
    # Grows when a phone begins to end all other sessions, and when it has the answer.
    ending_all: int = 0

    def keep(self, installation: str, pair: Pair, *, ending_all: int) -> None:
        """Note a new pair; `ending_all` is what it was when the pair was requested."""
        session_id = pair["device"]["id"]
        # The new session of an installation replaces its old one.
        if (old := self.sessions.get(installation)) not in {None, session_id}:
            self.ending.add(str(old))
        # The end of all sessions may have met this one, which was not known to exist.
        if session_id not in self.pairs and (ending_all % 2 or ending_all != self.ending_all):
            self.ending.add(session_id)
        self.sessions[installation] = session_id
        self.pairs[session_id] = pair

    def others(self, installation: str) -> list[str]:
        return [one for name, one in self.sessions.items() if name != installation]
