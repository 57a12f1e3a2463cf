"""A real Prometheus that scrapes processes of this project every second."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from tests import monitoring
from tests.ports import HOST, free_port
from tests.web_server import environment, of_this_run

SECOND: Final = "1s"
# The default interval of the sweep is five minutes; beat asks for one in each of these.
SWEEP_INTERVAL: Final = SECOND


class CeleryProcess:
    """A worker or a beat with a port for its metrics; it can be stopped and started again."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.port = free_port()
        self._log = (directory / f"{arguments[0]}.log").open("ab")
        self._command = [sys.executable, "-m", "celery", "--app=backend.celery", *arguments]
        own = {"OPERATOR_PORT": str(self.port), "SWEEP_INTERVAL": SWEEP_INTERVAL}
        self._environment = environment(directory, **of_this_run(), **own)
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command,
            cwd=monitoring.ROOT,
            env=self._environment,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)

    def kill(self) -> None:
        """End it with its children, whatever a failed test left of them."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()


class Prometheus:
    """What a Prometheus says over HTTP."""

    def __init__(self) -> None:
        self.port = free_port()

    def get(self, path: str, **parameters: str) -> Any:
        url = f"http://{HOST}:{self.port}{path}?{urlencode(parameters)}"
        with urlopen(url, timeout=5) as response:
            answer = json.load(response)
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/api/v1/query", query=expression)["result"]
        return found

    def firing(self) -> set[str]:
        alerts = self.get("/api/v1/alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def sees(self, count: int) -> bool:
        """Return whether so many targets respond; False while Prometheus itself does not."""
        with suppress(OSError):
            return len(self.query("up == 1")) == count
        return False


def without_delay(rules: str) -> str:
    """Return rules that fire a second after their condition holds; thresholds stay as they are."""
    shortened = yaml.safe_load(rules)
    for group in shortened["groups"]:
        for rule in group["rules"]:
            rule["for"] = SECOND
    return yaml.safe_dump(shortened)


@contextmanager
def prometheus(directory: Path, **ports: int) -> Iterator[Prometheus]:
    """Run Prometheus for a block, with the project's rules and a second instead of minutes.

    The ports are those of processes, by their kind: web, worker, beat.
    """
    (directory / "rules.yaml").write_text(without_delay(monitoring.RULES.read_text()))
    configuration = yaml.safe_load(monitoring.CONFIGURATION.read_text())
    configuration["global"] = dict.fromkeys(configuration["global"], SECOND)
    configuration["scrape_configs"][0]["static_configs"] = [
        {"targets": [f"{HOST}:{port}"], "labels": {"process": process}}
        for process, port in ports.items()
    ]
    (directory / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
    server = Prometheus()
    command = [
        "prometheus",
        f"--config.file={directory / 'prometheus.yaml'}",
        f"--storage.tsdb.path={directory / 'prometheus'}",
        f"--web.listen-address={HOST}:{server.port}",
    ]
    with (
        (directory / "prometheus.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        try:
            yield server
        finally:
            process.terminate()
