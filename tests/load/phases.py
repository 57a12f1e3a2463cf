"""The phases of a run, and what is known of each."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles
from time import monotonic, sleep
from typing import Final

from celery import Celery

from tests.cluster.programs import ROOT
from tests.cluster.topology import Cluster
from tests.load.phones import CALL, SIGN_IN, Answer, Fleet
from tests.load.usage import WAL, Mark, checkpoint, mark, wal_between

# As many as the web nodes have threads: more would wait for a thread, and HAProxy gives up.
PHONES_SIGNING_IN: Final = 12
WARM_UP_SECONDS: Final = 5
STEADY_SHARE: Final = 0.5
SWEEP_SECONDS: Final = 2400
# A stopped worker must not lose its lease (authx.sessions.sweep.LEASE).
TURN_SECONDS: Final = 10
# What is under way ends; reading the marks of the turn before is over.
SETTLE_SECONDS: Final = 1
PERCENTILES: Final = 100


@dataclass(frozen=True)
class Span:
    """What happened between two moments."""

    answers: Sequence[Answer]
    began: Mark
    ended: Mark
    wal: WAL

    @property
    def seconds(self) -> float:
        return self.ended.at - self.began.at

    def used(self, part: str) -> float:
        """Return the processor seconds of a part."""
        return self.ended.seconds[part] - self.began.seconds[part]


@dataclass(frozen=True)
class Phase:
    """Spans in which the same happened."""

    name: str
    spans: Sequence[Span]

    @property
    def answers(self) -> list[Answer]:
        return [one for span in self.spans for one in span.answers]

    @property
    def seconds(self) -> float:
        return sum(span.seconds for span in self.spans)

    @property
    def parts(self) -> list[str]:
        """Return the parts whose processor time is known; the whole machine is the last."""
        return list(self.spans[0].began.seconds)

    @property
    def wal(self) -> WAL:
        logs = [span.wal for span in self.spans]
        return WAL(sum(one.record_bytes for one in logs), sum(one.image_bytes for one in logs))

    def rate(self, *kinds: str) -> float:
        return len(self.of(*kinds)) / self.seconds

    def of(self, *kinds: str) -> list[Answer]:
        """Return the successful answers of these kinds, or of all."""
        return [
            one
            for one in self.answers
            if (not kinds or one.kind in kinds) and one.status in range(200, 300)
        ]

    def percentile(self, percent: int, *kinds: str) -> float:
        """Return the seconds within which so many percent of the requests were answered."""
        times = [one.seconds for one in self.of(*kinds)]
        return quantiles(times, n=PERCENTILES)[percent - 1]

    def cores(self, part: str) -> float:
        """Return how many processors a part kept busy."""
        return sum(span.used(part) for span in self.spans) / self.seconds

    @property
    def cores_of_others(self) -> float:
        """Return how many processors were busy with what is no part of the run."""
        parts = [part for part in self.parts if part != "machine"]
        return self.cores("machine") - sum(map(self.cores, parts))

    @property
    def failures(self) -> Counter[str]:
        failed = [one for one in self.answers if one.status not in range(200, 300)]
        return Counter(f"{one.kind} {one.status or 'no answer'}" for one in failed)


class Run:
    """The cluster, the phones, and what they do together."""

    def __init__(self, cluster: Cluster, fleet: Fleet, phones: int) -> None:
        self.cluster, self.fleet, self.phones = cluster, fleet, phones

    def measure(self, name: str, what: str, seconds: float, *, pause: float = 0) -> Phase:
        """Let phones do one thing for some time."""
        checkpoint(self.cluster)
        self.fleet.start(what, PHONES_SIGNING_IN if what == SIGN_IN else self.phones, pause)
        sleep(WARM_UP_SECONDS)
        began = self.mark()
        sleep(seconds)
        ended = self.mark()
        wal = wal_between(self.cluster, began, ended)
        return Phase(name, [span(self.fleet.stop(), began, ended, wal)])

    def sweep(self, pause: float) -> tuple[Phase, Phase]:
        """Let a worker sweep; return the times in which it is stopped, and those in which it works.

        They take turns: the latency of a cluster on one machine changes more from one minute to the
        next than it does by a sweep.
        """
        checkpoint(self.cluster)
        self.fleet.start(CALL, self.phones, pause)
        sleep(WARM_UP_SECONDS)
        before = self.sweeps()
        with Celery(broker=self.cluster.environment["REDIS_URL"]) as sender:
            sender.send_task("tasks.cleanup.sweep")
        turns: dict[bool, list[tuple[Mark, Mark, WAL]]] = {False: [], True: []}
        began = monotonic()
        while self.sweeps() == before:
            assert monotonic() < began + SWEEP_SECONDS, "the sweep does not end"
            for is_stopped, of_it in turns.items():
                self.signal_workers(signal.SIGSTOP if is_stopped else signal.SIGCONT)
                of_it.append(self.turn())
        self.signal_workers(signal.SIGCONT)
        answers = self.fleet.stop()
        stopped, working = (
            # In the last turn, the sweep ended.
            [span(answers, *turn) for turn in turns[is_stopped][:-1] or turns[is_stopped]]
            for is_stopped in (True, False)
        )
        return Phase("sweep is stopped", stopped), Phase("sweep works", working)

    def turn(self) -> tuple[Mark, Mark, WAL]:
        sleep(SETTLE_SECONDS)
        began = self.mark()
        sleep(TURN_SECONDS)
        ended = self.mark()
        # At once: a checkpoint removes the log of the turns before.
        return began, ended, wal_between(self.cluster, began, ended)

    def signal_workers(self, number: signal.Signals) -> None:
        for program in self.cluster.celery:
            program.signal_all(number)

    def sweeps(self) -> int:
        logs = [path.read_text() for path in self.cluster.directory.glob("worker-*.log")]
        return sum(log.count("sweep: ") - log.count("sweep: another") for log in logs)

    def mark(self) -> Mark:
        pid = self.fleet.process.pid
        assert pid
        return mark(self.cluster, pid)


def span(answers: Sequence[Answer], began: Mark, ended: Mark, wal: WAL) -> Span:
    of_it = [one for one in answers if began.at <= one.began < ended.at]
    return Span(of_it, began, ended, wal)


def pause_for(phones: int, requests_per_second: float) -> float:
    """Return the pause with which so many phones send a share of what the cluster can answer."""
    return phones / (requests_per_second * STEADY_SHARE)


def seed(cluster: Cluster, *, sessions: int, ended: int, signed_in: int) -> None:
    """Add rows; the refresh tokens of the sessions that are signed in go to a file."""
    arguments = [str(sessions), str(ended), str(signed_in), str(cluster.directory / "tokens.json")]
    command = [sys.executable, "-W", "ignore", "-m", "tests.load.seed", *arguments]
    quiet = cluster.environment | {"LOG_LEVEL": "ERROR"}
    subprocess.run(command, cwd=ROOT, env=os.environ | quiet, check=True)
