"""A web server that is told to stop answers every refresh that it has begun.

A connection that it has not accepted yet is refused or reset. Nothing was done for it, so a proxy
or the app repeats the request elsewhere.
"""

import json
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from authx.models import DeviceSession
from tests.phone import Phone
from tests.ports import HOST, free_port, listens
from tests.web_server import ROOT, command, environment, of_this_run, until

pytestmark = [pytest.mark.waits, pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

PHONES = 8
STOP = signal.SIGTERM
JSON = {"Content-Type": "application/json"}


def refresh_to_the_end(port: int, refresh_token: str) -> int:
    """Refresh until a connection fails before a response; return how many refreshes succeeded."""
    count = 0
    while True:
        body = json.dumps({"grant_type": "refresh_token", "refresh_token": refresh_token})
        with closing(HTTPConnection(HOST, port, timeout=20)) as connection:
            try:
                connection.request("POST", "/users/token", body, JSON)
                response = connection.getresponse()
            except ConnectionError:
                return count
            assert response.status == HTTPStatus.OK
            # A body that is cut raises.
            refresh_token = json.loads(response.read())["refresh_token"]
        count += 1
        # Below the rate limit of a session.
        time.sleep(0.02)


def all_have_refreshed() -> bool:
    return not DeviceSession.objects.filter(generation__lt=5).exists()


def test_a_stop_cuts_no_refresh(tmp_path: Path, alice: User) -> None:
    phones = [Phone(device={"installation_id": str(number)}) for number in range(PHONES)]
    tokens = {phone.session_id: phone.refresh_token for phone in map(Phone.sign_in, phones)}
    port = free_port()
    environ = environment(tmp_path, **of_this_run())
    with (
        ThreadPoolExecutor(PHONES) as pool,
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(command(port), cwd=ROOT, env=environ, stderr=log) as process,
    ):
        try:
            assert until(lambda: listens(port), seconds=20)
            runs = {one: pool.submit(refresh_to_the_end, port, tokens[one]) for one in tokens}
            assert until(all_have_refreshed, seconds=20)
            process.send_signal(STOP)
            # Far below the graceful timeout of 30 seconds.
            code = process.wait(10)
            counts = {one: run.result(20) for one, run in runs.items()}
        finally:
            process.kill()
    assert code == 0
    # What a client did not hear of did not happen.
    sessions = DeviceSession.objects.values_list("pk", "generation")
    assert {str(pk): generation for pk, generation in sessions} == counts
