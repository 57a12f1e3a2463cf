"""The phases of a run, and what is known of each."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles
from time import sleep
from typing import Final

from celery import Celery

from tests.cluster.programs import ROOT, until
from tests.cluster.topology import Cluster
from tests.load.phones import CALL, SIGN_IN, Answer, Fleet
from tests.load.usage import WAL, Mark, checkpoint, mark, wal_between

# As many as the web nodes have threads: more would wait for a thread, and HAProxy gives up.
PHONES_SIGNING_IN: Final = 12
WARM_UP_SECONDS: Final = 5
STEADY_SHARE: Final = 0.5
SWEEP_SECONDS: Final = 2400
PERCENTILES: Final = 100


@dataclass(frozen=True)
class Phase:
    """What happened between two moments."""

    name: str
    answers: Sequence[Answer]
    began: Mark
    ended: Mark
    wal: WAL

    @property
    def seconds(self) -> float:
        return self.ended.at - self.began.at

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
        return (self.ended.seconds[part] - self.began.seconds[part]) / self.seconds

    @property
    def cores_of_others(self) -> float:
        """Return how many processors were busy with what is no part of the run."""
        parts = [part for part in self.began.seconds if part != "machine"]
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
        return self.phase(name, self.fleet.stop(), began, ended)

    def sweep(self, pause: float, seconds: float) -> tuple[Phase, Phase]:
        """Return the time before and during a sweep by a worker, with the same phones."""
        checkpoint(self.cluster)
        self.fleet.start(CALL, self.phones, pause)
        sleep(WARM_UP_SECONDS)
        began = self.mark()
        sleep(seconds)
        sent = self.mark()
        swept = self.sweeps()
        with Celery(broker=self.cluster.environment["REDIS_URL"]) as sender:
            sender.send_task("tasks.cleanup.sweep")
        until(lambda: self.sweeps() > swept, "the sweep", SWEEP_SECONDS)
        ended = self.mark()
        answers = self.fleet.stop()
        return (
            self.phase("before the sweep", answers, began, sent),
            self.phase("during the sweep", answers, sent, ended),
        )

    def sweeps(self) -> int:
        logs = [path.read_text() for path in self.cluster.directory.glob("worker-*.log")]
        return sum(log.count("sweep: ") - log.count("sweep: another") for log in logs)

    def phase(self, name: str, answers: Sequence[Answer], began: Mark, ended: Mark) -> Phase:
        of_it = [one for one in answers if began.at <= one.began < ended.at]
        return Phase(name, of_it, began, ended, wal_between(self.cluster, began, ended))

    def mark(self) -> Mark:
        pid = self.fleet.process.pid
        assert pid
        return mark(self.cluster, pid)


def pause_for(phones: int, requests_per_second: float) -> float:
    """Return the pause with which so many phones send a share of what the cluster can answer."""
    return phones / (requests_per_second * STEADY_SHARE)


def seed(cluster: Cluster, *, sessions: int, ended: int, signed_in: int) -> None:
    """Add rows; the refresh tokens of the sessions that are signed in go to a file."""
    arguments = [str(sessions), str(ended), str(signed_in), str(cluster.directory / "tokens.json")]
    command = [sys.executable, "-W", "ignore", "-m", "tests.load.seed", *arguments]
    quiet = cluster.environment | {"LOG_LEVEL": "ERROR"}
    subprocess.run(command, cwd=ROOT, env=os.environ | quiet, check=True)
