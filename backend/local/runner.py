"""`make run`: prepares the servers, and leaves running everything to honcho."""

import os
import shlex
import signal
import sys
import time
from http import HTTPStatus
from threading import Thread

from honcho.manager import Manager

from backend.local import place, ports, postgres, valkey, welcome
from backend.local.client import ask
from backend.local.console import Console
from backend.local.errors import StackError
from backend.local.launch import PATIENCE, STOP_SIGNALS, exit_on_signals, wait_until
from backend.secret_file import get_or_create_secret

DEFAULT_PORT = 8000
# Time for the first lines of the last process to come before the lines to try.
SETTLING = 0.5

# Which servers, and under which key.
FOR_MANAGE = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "HTTPS_ONLY", "LOCAL_DIR", "LOG_FORMAT")

Environment = dict[str, str]
Commands = dict[str, list[str]]


def run() -> int:
    """Run the stack until a signal comes; raise StackError when a process dies by itself."""
    exit_on_signals()
    port = place.env.int("PORT", DEFAULT_PORT)
    with place.only_stack():
        ports.require_free(port)
        commands, environment = prepare(port)
        keep_for_manage(environment)
        return supervise(commands, environment, port=port)


def keep_for_manage(environment: Environment) -> None:
    """Keep what `make manage` needs to reach this very stack."""
    lines = [f"export {name}={shlex.quote(environment[name])}\n" for name in FOR_MANAGE]
    place.write_private(place.LOCAL_DIR / "environment", "".join(lines))


def prepare(port: int) -> tuple[Commands, Environment]:
    """Set up the servers that the environment does not name; return what to run, and in what."""
    # The clients come first, for honcho stops in this order.
    commands: Commands = {
        "web": ["backend.local.web"],
        "worker": ["backend.local.jobs", "worker"],
        "beat": ["backend.local.jobs", "beat"],
    }
    environment = (
        {"LOG_FORMAT": "line"}
        | os.environ
        | {
            "DJANGO_SETTINGS_MODULE": "backend.settings",
            "HTTPS_ONLY": "false",
            "LOCAL_DIR": str(place.LOCAL_DIR),
            "PORT": str(port),
            "PYTHONUNBUFFERED": "1",
        }
    )
    if not place.env.str("SECRET_KEY", ""):
        environment["SECRET_KEY"] = get_or_create_secret(place.LOCAL_DIR / "secret-key")
    if not place.env.str("DATABASE_URL", ""):
        socket_dir = postgres.prepare()
        environment["DATABASE_URL"] = postgres.url(socket_dir)
        commands["postgres"] = ["backend.local.postgres", str(socket_dir)]
    if not place.env.str("REDIS_URL", ""):
        environment["REDIS_URL"] = valkey.prepare()
        commands["valkey"] = ["backend.local.valkey"]
    return commands, environment


def supervise(commands: Commands, environment: Environment, *, port: int) -> int:
    """Return the exit status that the signal asks for."""

    def on_started() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        # Not before: a thread and a fork do not go together.
        Thread(target=announce, args=(console, port), daemon=True).start()

    console = Console(sys.stdout, process_count=len(commands), on_started=on_started)
    manager = Manager(console)
    for name, arguments in commands.items():
        command = shlex.join([sys.executable, "-m", *arguments])
        manager.add_process(name, f"exec {command}", env=environment, cwd=str(place.BASE_DIR))
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    # honcho can stop only what has told it its pid: a Ctrl-C before that has to wait.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    manager.loop()
    return exit_status(console)


def announce(console: Console, port: int) -> None:
    """Say how to try it, once everything runs."""
    url = f"http://{ports.HOST}:{port}"
    for ready in console.ready.values():
        ready.wait(PATIENCE)
    try:
        wait_until(lambda: require_answer(url), refusal=OSError, who="The web server")
    except StackError as error:
        console.say(str(error))
    else:
        time.sleep(SETTLING)
        console.say(welcome.lines_to_try(url=url, password=place.demo_password()))


def require_answer(url: str) -> None:
    """Raise OSError unless the API answers."""
    status = ask(url, "GET", "/users/me").status
    if status != HTTPStatus.UNAUTHORIZED:
        raise ConnectionError(f"GET {url}/users/me answers {status} and not 401")


def exit_status(console: Console) -> int:
    if not console.end:
        raise StackError("The stack ended, and honcho did not say why.")
    if by_signal := console.end["signal"]:
        return 128 + signal.Signals[by_signal]
    name, code = console.end["name"], int(console.end["code"])
    meaning = f" ({signal.Signals(-code).name})" if code < 0 else ""
    raise StackError(f"{name} ended by itself with code {code}{meaning}; the rest was stopped.")
