"""The alerting rules, their promtool tests and the dashboard, and what their queries name."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml
from prometheus_client import REGISTRY

from authx.contrib.metrics.state import StateCollector
from tasks import metrics

ROOT: Final = Path(__file__).resolve().parent.parent
DIRECTORY: Final = ROOT / "docker" / "monitoring"
RULES: Final = DIRECTORY / "rules.yaml"
RULE_TESTS: Final = DIRECTORY / "rules.test.yaml"
CONFIGURATION: Final = DIRECTORY / "prometheus.yaml"
IN_KUBERNETES: Final = DIRECTORY / "prometheus-kubernetes.yaml"
# What the samples of a metric are called.
SUFFIXES: Final = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_count", "_sum"]}
# `process` is set by the examples of a configuration.
FROM_PROMETHEUS: Final = {"up": {"process"}, "ALERTS": {"alertname", "alertstate"}}
# Every series has these.
OF_A_TARGET: Final = {"job", "instance"}

METRIC: Final = re.compile(r"\b(authx_\w+|up|ALERTS)\b(?:\{([^}]*)\})?")
MATCHER: Final = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"([^\"]*)\"")
GROUPING: Final = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")
TEMPLATE: Final = re.compile(r"{{\s*(?:\$labels\.)?(\w+)\s*}}")


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def tested_alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULE_TESTS.read_text())["tests"]
    return [case for group in groups for case in group["alert_rule_test"]]


def panels() -> list[dict[str, Any]]:
    dashboard = json.loads((DIRECTORY / "dashboard.json").read_text())
    found: list[dict[str, Any]] = dashboard["panels"]
    return found


def dashboard_queries() -> dict[str, tuple[str, str]]:
    """Return query and legend by panel; Grafana chooses the interval, here it is a minute."""
    return {
        f"{panel['title']} {target['refId']}": (
            target["expr"].replace("$__rate_interval", "1m"),
            target["legendFormat"],
        )
        for panel in panels()
        for target in panel.get("targets", ())
    }


def alert_queries() -> dict[str, tuple[str, str]]:
    """Return query and description by alert."""
    return {
        alert["alert"]: (alert["expr"], alert["annotations"]["description"]) for alert in alerts()
    }


def known_labels() -> dict[str, set[str]]:
    """Return the labels of each series that the code can produce; reads the database."""
    collectors: list[Any] = [one for one in REGISTRY._collector_to_names if hasattr(one, "labels")]
    assert metrics.TASK_DURATION in collectors
    known = dict(FROM_PROMETHEUS)
    for collector in collectors:
        for metric in collector.describe():
            for suffix in SUFFIXES[metric.type]:
                bucket = {"le"} if suffix == "_bucket" else set()
                known[metric.name + suffix] = {*collector._labelnames, *bucket}
    samples = [sample for metric in StateCollector().collect() for sample in metric.samples]
    return known | {sample.name: set(sample.labels) for sample in samples}


def unknown_names(query: str, text: str, known: dict[str, set[str]]) -> list[str]:
    """Return the metrics of a query that do not exist, and the labels that they do not have."""
    found = []
    labels = set(OF_A_TARGET)
    for name, matchers in METRIC.findall(query):
        own = known.get(name, set()) | OF_A_TARGET
        labels |= own
        found += [] if name in known else [name]
        found += [f"{name} {label}" for label, _ in MATCHER.findall(matchers) if label not in own]
    used = [name for group in GROUPING.findall(query) for name in re.findall(r"\w+", group)]
    return found + [name for name in used + TEMPLATE.findall(text) if name not in labels]


def of_any_job(query: str) -> list[str]:
    """Return the metrics of a query that it reads from other jobs too."""
    series = [one for one in METRIC.findall(query) if one[0] != "ALERTS"]
    return [name for name, matchers in series if ("job", "authx") not in MATCHER.findall(matchers)]


def matched_values(label: str) -> Iterator[str]:
    """Yield what the queries compare a label with."""
    for query, _ in [*alert_queries().values(), *dashboard_queries().values()]:
        for _, matchers in METRIC.findall(query):
            yield from (value for name, value in MATCHER.findall(matchers) if name == label)
