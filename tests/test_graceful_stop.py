"""A web server that is told to stop answers what it has accepted; no refresh is cut."""

import json
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from django.contrib.auth.models import User

from tests.phone import Phone
from tests.ports import HOST, free_port, listens
from tests.web_server import ROOT, command, environment, of_this_run, until

pytestmark = [pytest.mark.waits, pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

PHONES = 8
JSON = {"Content-Type": "application/json"}


def refresh_until(stopped: Event, port: int, refresh_token: str) -> tuple[int, list[str]]:
    """Refresh until the server refuses connections; return how many succeeded, and what did not."""
    count = 0
    while not stopped.is_set():
        connection = HTTPConnection(HOST, port, timeout=20)
        try:
            connection.connect()
        except ConnectionRefusedError:
            return count, []
        body = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        try:
            connection.request("POST", "/users/token", json.dumps(body), JSON)
            response = connection.getresponse()
            pair: dict[str, Any] = json.loads(response.read())
        except Exception as error:  # noqa: BLE001 -- whatever it is, the response was cut
            return count, [repr(error)]
        finally:
            connection.close()
        if response.status != 200:
            return count, [f"{response.status} {pair}"]
        refresh_token = pair["refresh_token"]
        count += 1
        # Below the rate limit of a session.
        time.sleep(0.02)
    return count, ["still served"]


def test_a_stop_cuts_no_refresh(
    tmp_path: Path, alice: User, without_limits: None
) -> None:
    phones = [Phone(device={"installation_id": str(number)}).sign_in() for number in range(PHONES)]
    port, stopped, log = free_port(), Event(), tmp_path / "log"
    environ = environment(tmp_path, **of_this_run())
    with (
        ThreadPoolExecutor(PHONES) as pool,
        log.open("wb") as out,
        subprocess.Popen(command(port), cwd=ROOT, env=environ, stderr=out) as process,
    ):
        try:
            assert until(lambda: listens(port), seconds=20)
            runs = [
                pool.submit(refresh_until, stopped, port, phone.refresh_token) for phone in phones
            ]
            time.sleep(1)
            os.kill(process.pid, signal.SIGTERM)
            # Far below the graceful timeout of 30 seconds.
            assert process.wait(10) == 0
            results = [run.result(20) for run in runs]
        finally:
            stopped.set()
            process.kill()
    assert [cut for _, cuts in results for cut in cuts] == []
    assert all(count for count, _ in results)
