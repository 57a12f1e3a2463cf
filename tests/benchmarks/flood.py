"""What users who are signed in notice while sixty-four clients sign in, over HTTP."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from statistics import quantiles
from time import sleep
from typing import Final

from tests.benchmarks.servers import Servers
from tests.benchmarks.workers import ROOT
from tests.cluster.users import PASSWORD, name_of
from tests.load.phones import CALL, REFRESH, SIGN_IN, Answer, Fleet
from tests.ports import HOST
from tests.web_server import WebServer, web_server

DATABASE: Final = "flood"
USERS: Final = 1000
PHONES: Final = 24
CLIENTS: Final = 64
WARM_UP: Final = 3  # seconds
PAUSE: Final = 0.5  # seconds, between two requests of a phone
# A client that is refused tries again after this: sooner than the Retry-After of five seconds.
CLIENT_PAUSE: Final = 1.0  # seconds
PERCENTILES: Final = 100


@dataclass(frozen=True)
class Flood:
    """The 99th percentiles of the phones in seconds, by kind, and what became of the sign-ins."""

    quiet: dict[str, float]
    flooded: dict[str, float]
    signed_in: int
    refused: int
    seconds: float

    def ratio(self, kind: str) -> float:
        return self.flooded[kind] / self.quiet[kind]


def measure_flood(servers: Servers, seconds: float) -> Flood:
    """Compare phones beside an idle server with the same phones beside the flood.

    One process of the web server with four threads, Argon2id, and its limits as in production.
    """
    servers.create_database(DATABASE)
    directory = servers.directory / DATABASE
    directory.mkdir()
    environment = servers.environment(DATABASE) | {
        "DJANGO_SETTINGS_MODULE": "tests.benchmarks.flood_settings",
        "ALLOWED_HOSTS": HOST,
        "WEB_CONCURRENCY": "1",
        "LOG_LEVEL": "ERROR",
    }
    for command in (["manage.py", "migrate"], ["-m", "tests.cluster.users", str(USERS)]):
        run = [sys.executable, "-W", "ignore", *command]
        quiet = subprocess.DEVNULL
        subprocess.run(run, cwd=ROOT, env=os.environ | environment, check=True, stdout=quiet)
    with web_server(directory, **environment) as server:
        raw_tokens = [_sign_in(server, number) for number in range(PHONES)]
        with (
            Fleet(server.port, raw_tokens, USERS) as phones,
            Fleet(server.port, [], USERS) as flood,
        ):
            quiet_answers = _answers(phones, seconds)
            flood.start(SIGN_IN, CLIENTS, CLIENT_PAUSE)
            flooded_answers = _answers(phones, seconds)
            sign_ins = Counter(one.status for one in flood.stop())
    return Flood(
        _percentiles(quiet_answers),
        _percentiles(flooded_answers),
        sign_ins[200],
        sum(sign_ins.values()) - sign_ins[200],
        seconds,
    )


def _answers(phones: Fleet, seconds: float) -> list[Answer]:
    phones.start(CALL, PHONES, PAUSE)
    sleep(WARM_UP + seconds)
    answers = phones.stop()
    failed = Counter((one.kind, one.status) for one in answers if one.status != 200)
    assert not failed, failed
    return [one for one in answers if one.began > answers[0].began + WARM_UP]


def _percentiles(answers: Sequence[Answer]) -> dict[str, float]:
    return {
        kind: quantiles((one.seconds for one in answers if one.kind == kind), n=PERCENTILES)[-1]
        for kind in (CALL, REFRESH)
    }


def _sign_in(server: WebServer, number: int) -> str:
    http = HTTPConnection(HOST, server.port)
    body = json.dumps({"username": name_of(number), "password": PASSWORD})
    http.request("POST", "/users/login", body, {"Content-Type": "application/json"})
    pair = json.loads(http.getresponse().read())
    http.close()
    refresh_token: str = pair["refresh_token"]
    return refresh_token
