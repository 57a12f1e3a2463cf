"""How fast ended sessions go, batch by batch and all at once, while users sign in."""

from dataclasses import dataclass
from typing import Any, Final

from tests.benchmarks.servers import Servers
from tests.benchmarks.workers import Worker

TEMPLATE: Final = "ended"
# Commands, and the databases that they work in.
SWEEP: Final = "sweep"
GIANT_DELETE: Final = "delete_at_once"
# An odd number, so that one is in the middle: the clock of a shared machine tells much else.
ROUNDS: Final = 3
KIB_PER_MIB: Final = 1024


@dataclass(frozen=True)
class Deletion:
    """One way to delete the rows, and what became of the sign-ins meanwhile."""

    rows: int
    seconds: float
    # By how much the process that deletes grew, in MiB.
    memory: float
    sign_ins: int
    slowest_sign_in: float  # seconds

    @property
    def rate(self) -> float:
        return self.rows / self.seconds


def measure_sweep(servers: Servers, rows: int) -> tuple[Deletion, Deletion]:
    """Return what the sweep did and what one giant DELETE did, each to its copy of a table.

    The table holds as many live sessions as ended ones. Of several rounds, it is the one whose
    ratio is in the middle.
    """
    servers.create_database(TEMPLATE)
    with Worker(servers, "authx", TEMPLATE) as worker:
        worker.ask("add_ended_sessions", count=rows)
        worker.ask("add_live_sessions", count=rows)
    servers.become_durable()
    rounds = [
        (_delete(servers, SWEEP, rows), _delete(servers, GIANT_DELETE, rows)) for _ in range(ROUNDS)
    ]
    by_ratio = sorted(rounds, key=lambda both: both[0].rate / both[1].rate)
    return by_ratio[ROUNDS // 2]


def _delete(servers: Servers, command: str, rows: int) -> Deletion:
    servers.create_database(command, template=TEMPLATE)
    with (
        Worker(servers, "authx", command) as deleting,
        Worker(servers, "authx", command) as signing_in,
    ):
        deleting.ask("sign_in")
        signing_in.ask("sign_in")
        deleting.send(command)
        sign_ins: list[float] = []
        while not deleting.has_replied:
            sign_ins.append(signing_in.ask("sign_in"))
        answer: dict[str, Any] = deleting.receive()
    servers.drop_database(command)
    assert answer["left"] == 0, f"{answer['left']} of {rows} rows are left: {command}"
    memory = answer["memory"] / KIB_PER_MIB
    slowest = max(sign_ins, default=0.0)
    return Deletion(rows, answer["seconds"], memory, len(sign_ins), slowest)
