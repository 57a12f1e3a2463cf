"""`make run` and `make demo`: the whole service on this machine, without root and without Docker.

PostgreSQL and Valkey come from wheels; honcho runs the web server, the worker and beat.
"""

import logging
import os
import shlex
import signal
import sys
import tempfile
import time
from contextlib import suppress
from multiprocessing import Process
from string import Template
from threading import Timer
from typing import Any

import httpx
from django.core.exceptions import ImproperlyConfigured
from environs import EnvError
from honcho.manager import Manager
from honcho.printer import Printer

from backend.celery import app as celery_app
from backend.dev_servers import BASE_DIR, HOST, free_port, prepared

PYTHON = shlex.quote(sys.executable)
# `make demo` shows the project as it comes, whatever this shell is set up for.
NOT_FOR_DEMO = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ALLOWED_HOSTS", "RETRY")
PAUSE = 0.1  # seconds between two looks at something that is about to happen

READY = "Everything runs"
LINES_TO_TRY = Template(r"""
$ready on $url. Press Ctrl-C to stop it.
The demo account: user name "demo", password "$password"
The API description: $url/api/docs
Pages for users: $url/account/
The admin: $url/admin/ (create an operator first: make manage ARGS=createsuperuser)
Metrics: $metrics
The life of a session, step by step: make demo URL=$url PASSWORD=$password
To try it in another terminal, with bash:

# Sign in on a device. The response is a pair of tokens.
PAIR=$$(curl -sS $url/users/login -H 'Content-Type: application/json' \
  -d '{"username": "demo", "password": "$password",
       "device": {"installation_id": "terminal", "name": "Terminal"}}'); echo "$$PAIR"
token() { sed "s/.*\"$$1\": *\"\([^\"]*\)\".*/\1/" <<< "$$PAIR"; }
# Call the API.
curl -sS $url/users/me -H "Authorization: Bearer $$(token access_token)"; echo
# Refresh: exchange the refresh token for a new pair.
PAIR=$$(curl -sS $url/users/token -d grant_type=refresh_token \
  -d refresh_token="$$(token refresh_token)"); echo "$$PAIR"
# Sign out everywhere. The token is refused from now on.
curl -sS -X POST $url/users/logout-all -H "Authorization: Bearer $$(token access_token)"; echo
curl -sS $url/users/me -H "Authorization: Bearer $$(token access_token)"; echo
""")

logging.getLogger("httpx").setLevel(logging.WARNING)


def main() -> int:
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    # A closed terminal ends the stack as SIGTERM does, unless it runs under nohup.
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    try:
        return {"run": run, "demo": demo, "wait": wait}[sys.argv[1]]()
    except (EnvError, ImproperlyConfigured) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        return 130


def run() -> int:
    """Run everything until a signal comes; a process that ends by itself is a failure."""
    with prepared() as (url, password):
        commands = {"web": web_command(), **celery_commands()}
        # Each process serves its own health and metrics.
        ports = {name: free_port() for name in commands}
        monitored = {
            name: f"export OPERATOR_PORT={ports[name]}; {commands[name]}" for name in ports
        }
        pages = [f"{name} http://{HOST}:{port}/metrics" for name, port in ports.items()]
        arguments = (url, password, ", ".join(pages))
        announcement = Process(target=announce, args=arguments, daemon=True)
        announcement.start()
        try:
            return supervise(monitored) or 1
        finally:
            announcement.terminate()


def demo() -> int:
    """Run docs/examples/story.py on a stack of its own; return the exit status of the story."""
    with tempfile.TemporaryDirectory(prefix="demo-") as directory:
        for name in NOT_FOR_DEMO:
            os.environ.pop(name, None)
        # A short grace period: the story waits for its end.
        changes = {"REFRESH_TOKEN_GRACE_PERIOD": "1s", "LOG_LEVEL": "WARNING"}
        os.environ.update(changes, LOCAL_DIR=directory, PORT=str(free_port()))
        with prepared() as (url, password):
            os.environ.update(URL=url, PASSWORD=password, GRACE_PERIOD="1")
            story = f"{PYTHON} -m backend.dev wait && exec {PYTHON} docs/examples/story.py"
            return supervise({"web": web_command(), "story": story})


def wait() -> int:
    wait_for_web(os.environ["URL"])
    return 0


def web_command() -> str:
    # Open requests end before honcho loses patience and kills. The control socket would be one
    # file in the home directory for every stack.
    options = f"--bind={HOST}:{os.environ['PORT']} --graceful-timeout=3 --no-control-socket"
    return f"exec {PYTHON} -m gunicorn --config=python:backend.gunicorn {options}"


def celery_commands() -> dict[str, str]:
    celery = f"exec {PYTHON} -m celery --app=backend.celery"
    return {
        # There is no other worker to look for.
        "worker": f"{celery} worker --concurrency=1 --loglevel=INFO --without-mingle",
        "beat": f"{celery} beat --loglevel=INFO",
    }


def announce(url: str, password: str, metrics: str) -> None:
    """Print the lines to try once web server and worker answer."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    wait_for_web(url)
    while not celery_app.control.ping(timeout=5 * PAUSE, limit=1):
        pass
    lines = LINES_TO_TRY.substitute(ready=READY, url=url, password=password, metrics=metrics)
    print(lines, flush=True)


def wait_for_web(url: str) -> None:
    while True:
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/.well-known/oauth-authorization-server").is_success:
                return
        time.sleep(PAUSE)


def supervise(commands: dict[str, str]) -> int:
    """Run commands until one ends or a signal comes; return the exit status."""
    manager = SafeManager(SafePrinter(sys.stdout))
    for name, command in commands.items():
        manager.add_process(name, command, cwd=str(BASE_DIR))
    manager.loop()
    if manager.first_to_end:
        reason = f"{manager.first_to_end} ended with status {manager.returncode}"
        print(f"{reason}; everything else was stopped.", file=sys.stderr)
    code: int = manager.returncode
    return code if code >= 0 else 128 - code


class SafeManager(Manager):  # type: ignore[misc]  # honcho has no types
    """Stops also what has only just been started."""

    first_to_end = ""

    def terminate(self) -> None:
        # honcho raises KeyError for a process that has not reported its pid yet, and leaves it.
        if not self._all_started():
            later = Timer(PAUSE, self.terminate)
            later.daemon = True
            later.start()
            return
        if self.returncode not in {130, 143}:
            ended = [name for name, process in self._processes.items() if "returncode" in process]
            self.first_to_end = ended[0]
        super().terminate()


class SafePrinter(Printer):  # type: ignore[misc]  # honcho has no types
    """Survives a terminal that is gone and a signal in the middle of a line."""

    def write(self, message: Any) -> None:
        with suppress(OSError, RuntimeError):
            super().write(message)


if __name__ == "__main__":
    sys.exit(main())
