"""Alerts and dashboard name metrics that exist; each alert has a test and a section to read."""

import re
import shutil
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest
import yaml
from celery import states
from django.urls import reverse

from authx.audit.logs import ALL_LOG_EVENTS
from authx.context import RequestContext, use_context
from authx.contrib.metrics.receivers import REFRESH_OUTCOMES, SIGN_IN_OUTCOMES
from authx.passwords.limits import device_bucket, sign_in_limits
from tests import monitoring

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed: Debian has it in the package prometheus"
)
HEADING = re.compile(r"^### (\w+)$", re.MULTILINE)


def promtool(*arguments: str | Path) -> str:
    """Run promtool; return what it printed if it found no fault."""
    assert PROMTOOL
    ended = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.parametrize(
    ("query", "text", "found"),
    [
        ('rate(authx_x_total{reason="a"}[5m])', "{{ $labels.reason }}", []),
        ('rate(authx_x_total{reason="a",job="b"}[5m])', "{{instance}}", []),
        ("rate(authx_gone_total[5m])", "", ["authx_gone_total"]),
        ("rate(authx_x[5m])", "", ["authx_x"]),
        ('rate(authx_x_total{outcome=~"a"}[5m])', "", ["authx_x_total outcome"]),
        ("sum by (reason, outcome) (authx_x_total)", "", ["outcome"]),
        ("authx_x_total unless on (job, table) up", "", ["table"]),
        ("authx_x_total", "{{table}}", ["table"]),
        ("authx_x_total", "{{ $labels.table }}: {{ $value | humanize }}", ["table"]),
    ],
)
def test_a_name_that_does_not_exist_is_found(query: str, text: str, found: list[str]) -> None:
    known = {"authx_x_total": {"reason"}, "up": set[str]()}
    assert monitoring.unknown_names(query, text, known) == found


@pytest.mark.django_db
def test_every_metric_and_label_of_a_query_exists() -> None:
    known = monitoring.known_labels()
    queries = monitoring.alert_queries() | monitoring.dashboard_queries()
    assert len(queries) > 30
    found = {
        name: monitoring.unknown_names(query, text, known)
        for name, (query, text) in queries.items()
    }
    assert {name: unknown for name, unknown in found.items() if unknown} == {}


@pytest.mark.django_db
def test_the_dashboard_shows_every_metric() -> None:
    shown = "".join(query for query, _ in monitoring.dashboard_queries().values())
    families = {re.sub("_(bucket|count|sum)$", "", name) for name in monitoring.known_labels()}
    assert sorted(name for name in families if name not in shown) == []


@pytest.mark.django_db
def test_every_value_that_a_query_looks_for_occurs() -> None:
    outcomes = {outcome for outcome, _ in REFRESH_OUTCOMES} | set(SIGN_IN_OUTCOMES.values())
    assert set(monitoring.matched_values("outcome")) <= outcomes
    assert set(monitoring.matched_values("event")) <= {event.name for event in ALL_LOG_EVENTS}
    assert set(monitoring.matched_values("state")) <= states.READY_STATES
    assert set(map(reverse, monitoring.matched_values("route"))) == {"/users/token"}
    with use_context(RequestContext(ip="2001:db8::1")):
        limits = [*sign_in_limits("alice"), device_bucket(1, uuid4())]
    (pattern,) = set(monitoring.matched_values("limit"))
    assert [limit.kind for limit in limits if not re.fullmatch(pattern, limit.kind)] == []


def test_every_target_is_of_the_job_that_the_alerts_select() -> None:
    configuration = yaml.safe_load(monitoring.CONFIGURATION.read_text())
    jobs = {job["job_name"] for job in configuration["scrape_configs"]}
    assert set(monitoring.matched_values("job")) == jobs


def test_every_alert_has_a_severity_and_says_what_it_is() -> None:
    for alert in monitoring.alerts():
        assert alert["labels"]["severity"] in {"critical", "warning"}
        assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}


def test_every_alert_has_a_section_in_the_page_of_operations_and_the_other_way_round() -> None:
    page = (monitoring.ROOT / "docs" / "operations.md").read_text()
    section = page.partition("\n## Alerts\n")[2].partition("\n## ")[0]
    names = [alert["alert"] for alert in monitoring.alerts()]
    assert HEADING.findall(section) == names
    assert [alert["annotations"]["runbook_url"] for alert in monitoring.alerts()] == [
        f"docs/operations.md#{name.lower()}" for name in names
    ]


def test_every_alert_is_tested_where_it_fires_and_where_it_is_silent() -> None:
    names = {alert["alert"] for alert in monitoring.alerts()}
    cases = monitoring.tested_alerts()
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == names
    silent = [case["alertname"] for case in cases if not case["exp_alerts"]]
    # Just below its threshold, and after the recovery.
    assert [name for name in sorted(names) if silent.count(name) < 2] == []


@needs_promtool
def test_the_rules_pass_their_tests() -> None:
    assert "SUCCESS" in promtool("test", "rules", monitoring.RULE_TESTS)


@needs_promtool
def test_the_example_of_a_configuration_is_valid() -> None:
    assert f"{len(monitoring.alerts())} rules found" in promtool(
        "check", "config", monitoring.CONFIGURATION
    )


@needs_promtool
def test_the_queries_of_the_dashboard_are_valid(tmp_path: Path) -> None:
    queries = [query for query, _ in monitoring.dashboard_queries().values()]
    rules = [{"record": f"query_{n}", "expr": query} for n, query in enumerate(queries)]
    (tmp_path / "rules.yaml").write_text(
        yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]})
    )
    assert f"{len(queries)} rules found" in promtool("check", "rules", tmp_path / "rules.yaml")
