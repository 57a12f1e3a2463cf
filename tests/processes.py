"""Several operating-system processes that do something at the same moment.

Threads share an interpreter lock and prove nothing about races; each of these is forked and has a
database connection of its own.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import Any, Self

from django.db import connections

Job = tuple[Callable[..., Any], tuple[Any, ...]]

FORK = multiprocessing.get_context("fork")


class Processes:
    """A fixed number of processes; `together` gives each a job and starts all at once."""

    def __init__(self, size: int) -> None:
        # A connection shared by two processes is garbage for both: close ours before the fork.
        connections.close_all()
        barrier = FORK.Barrier(size)
        self._running = [self._start(barrier) for _ in range(size)]

    def _start(self, barrier: Barrier) -> tuple[Any, Connection]:
        ours, theirs = FORK.Pipe()
        process = FORK.Process(target=_work, args=(theirs, barrier), daemon=True)
        process.start()
        return process, ours

    def together(self, jobs: Sequence[Job]) -> list[Any]:
        """Return what each job returned; a job that raised fails the test here."""
        for (_, pipe), job in zip(self._running, jobs, strict=True):
            pipe.send(job)
        answers = [pipe.recv() for _, pipe in self._running]
        for succeeded, answer in answers:
            assert succeeded, answer
        return [answer for _, answer in answers]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process, pipe in self._running:
            pipe.send(None)
            process.join()


def _work(pipe: Connection, barrier: Barrier) -> None:
    # Coverage measures the test run's own process; here it would only slow the race down.
    sys.settrace(None)
    while (job := pipe.recv()) is not None:
        function, arguments = job
        barrier.wait()
        try:
            answer = True, function(*arguments)
        except Exception as error:  # noqa: BLE001 -- whatever it is belongs to the parent
            answer = False, f"{type(error).__name__}: {error}"
        pipe.send(answer)
    # Not a normal exit: the test run's own clean-up is not this process's to do.
    os._exit(0)


def exit_code_of(function: Callable[..., Any], *arguments: Any) -> int:
    """Run a function in a process of its own and return how that process ended."""
    connections.close_all()
    process = FORK.Process(target=_run, args=(function, arguments))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _run(function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    function(*arguments)
    os._exit(0)


def die() -> None:
    """End this process as the kernel's out-of-memory killer would."""
    os.kill(os.getpid(), signal.SIGKILL)
