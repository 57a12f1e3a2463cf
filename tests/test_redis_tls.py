"""Every client of REDIS_URL verifies certificate and host name, and accepts a private authority."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

from tests.tls_proxy import tls_proxy
from tests.web_server import ROOT, environment

pytestmark = pytest.mark.waits

# Connects as each part of the project does, and prints what came of it.
CLIENTS = """
import json
import time
# They pause between their tries.
time.sleep = lambda _: None
import django
django.setup()
from django.core.cache import cache
from django.conf import settings
from authx.throttling.store import store, store_at
from backend.celery import app

def outcome(connect):
    try:
        connect()
    except Exception as error:
        return type(error).__name__ + ": " + str(error)
    return "connected"

def consume():
    with app.connection_for_read(connect_timeout=1) as connection:
        connection.default_channel.client.ping()

def publish():
    with app.connection_for_write(connect_timeout=1) as connection:
        connection.default_channel.client.ping()

valkey = store_at(settings.RATE_LIMITS_URL.replace("rediss", "valkeys"))
print(json.dumps({
    "worker": outcome(consume),
    "beat": outcome(publish),
    "cache": outcome(lambda: cache.get("key")),
    "rate limits": outcome(lambda: store()._shared.storage.get("key")),
    "rate limits, valkeys://": outcome(lambda: valkey._shared.storage.get("key")),
}))
"""
PARTS = {"worker", "beat", "cache", "rate limits", "rate limits, valkeys://"}

Connect = Callable[..., dict[str, str]]


@pytest.fixture
def connect(tmp_path: Path) -> Connect:
    """Return a function that connects every client to a host of a certificate for `localhost`."""
    authority = trustme.CA()
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)

    def connect(host: str, query: str) -> dict[str, str]:
        plain = urlsplit(os.environ["REDIS_URL"]).port
        assert plain is not None
        with tls_proxy(authority.issue_cert("localhost"), plain) as port:
            url = f"rediss://{host}:{port}/0{query.format(bundle)}"
            outcome = subprocess.run(
                [sys.executable, "-c", CLIENTS],
                cwd=ROOT,
                env=environment(tmp_path, REDIS_URL=url, DJANGO_SETTINGS_MODULE="backend.settings"),
                capture_output=True,
                text=True,
                check=True,
            )
        answer: dict[str, str] = json.loads(outcome.stdout)
        assert set(answer) == PARTS
        return answer

    return connect


def test_a_certificate_of_a_known_authority_and_host_is_accepted(connect: Connect) -> None:
    assert connect("localhost", "?ssl_ca_certs={}") == dict.fromkeys(PARTS, "connected")


@pytest.mark.parametrize(
    ("host", "query", "reason"),
    [
        ("localhost", "", "unable to get local issuer certificate"),
        ("127.0.0.1", "?ssl_ca_certs={}", "IP address mismatch"),
    ],
    ids=["unknown authority", "other host"],
)
def test_any_other_certificate_is_refused(
    connect: Connect, host: str, query: str, reason: str
) -> None:
    outcome = connect(host, query)
    assert {part: reason in said for part, said in outcome.items()} == dict.fromkeys(PARTS, True)
