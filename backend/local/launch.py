"""How a child of the stack comes to be: it waits for its servers, then becomes its program."""

import os
import signal
import sys
import time
from collections.abc import Callable

from environs import EnvError

from backend.local.errors import StackError

STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
PATIENCE = 30  # seconds
PAUSE = 0.1


def launcher(main: Callable[[], None]) -> Callable[[], None]:
    """Decorate a child's entry point: a foreseeable error is one line and exit code 1."""

    def launch() -> None:
        # The runner blocks them until it knows every child, and a child inherits that.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        try:
            main()
        except (StackError, EnvError) as error:
            sys.exit(str(error))

    return launch


def exit_on_signals() -> None:
    """Let every stop signal unwind the program, as Ctrl-C does, so that it can tidy up."""
    # A shell starts what it puts in the background deaf to it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, lambda received, _: sys.exit(128 + received))


def become(*command: str) -> None:
    """Replace this process: the runner's signals then reach the program itself."""
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 # nosec B606 # without a shell, on purpose


def become_python(*arguments: str) -> None:
    become(sys.executable, "-m", *arguments)


def wait_until(
    probe: Callable[[], object],
    *,
    refusal: type[Exception],
    who: str,
    patience: int = PATIENCE,
) -> None:
    """Call the probe until it passes; raise StackError when it still refuses after a while."""
    deadline = time.monotonic() + patience
    while True:
        try:
            probe()
        except refusal as error:
            if time.monotonic() > deadline:
                reason = str(error).strip().partition("\n")[0]
                raise StackError(f"{who} does not answer after {patience} s: {reason}") from error
        else:
            return
        time.sleep(PAUSE)
