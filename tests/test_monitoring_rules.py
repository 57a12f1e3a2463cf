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
from prometheus_client import REGISTRY

from authx.audit.logs import ALL_LOG_EVENTS
from authx.context import RequestContext, use_context
from authx.contrib.metrics.receivers import REFRESH_OUTCOMES, SIGN_IN_OUTCOMES
from authx.passwords.limits import device_bucket, sign_in_limits
from tests import monitoring

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed: Debian has it in the package prometheus"
)
CONFIGURATIONS = [monitoring.CONFIGURATION, monitoring.IN_KUBERNETES]
PASSWORD_ROUTES = "authx:(login|password|reauthenticate)|authx_account(_api)?:.*|admin:.*"
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
    assert set(monitoring.matched_values("route")) == {"authx:token", PASSWORD_ROUTES}
    assert reverse("authx:token") == "/users/token"
    with use_context(RequestContext(ip="2001:db8::1")):
        limits = [*sign_in_limits("alice"), device_bucket(1, uuid4())]
    (pattern,) = set(monitoring.matched_values("limit"))
    assert [limit.kind for limit in limits if not re.fullmatch(pattern, limit.kind)] == []


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("authx:login", True),
        ("authx:password", True),
        ("authx:reauthenticate", True),
        ("authx_account_api:recover-confirm", True),
        ("authx_account:sign-in", True),
        ("authx_account:password", True),
        ("authx_account:recover-password", True),
        ("admin:login", True),
        ("admin:password_change", True),
        ("authx:token", False),
        ("authx:me", False),
        ("authx:logout", False),
        ("authx_introspection:introspect", False),
    ],
)
def test_the_routes_that_check_passwords_have_an_alert_of_their_own(
    name: str, is_one: bool
) -> None:
    # Their 503s can be caused by anybody.
    assert reverse(name)
    assert bool(re.fullmatch(PASSWORD_ROUTES, name)) == is_one


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_every_target_is_of_the_job_that_the_alerts_select(configuration: Path) -> None:
    scrapes = yaml.safe_load(configuration.read_text())["scrape_configs"]
    assert set(monitoring.matched_values("job")) == {job["job_name"] for job in scrapes}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ('authx_x{job="authx"} / authx_y{a="b", job="authx"}', []),
        ('authx_x{job="authx"} / authx_y', ["authx_y"]),
        ('up{job="staging"}', ["up"]),
        ('ALERTS{alertstate="firing"}', []),
    ],
)
def test_a_query_that_reads_other_jobs_is_found(query: str, found: list[str]) -> None:
    assert monitoring.of_any_job(query) == found


def test_no_query_reads_the_metrics_of_another_deployment() -> None:
    queries = monitoring.alert_queries() | monitoring.dashboard_queries()
    found = {name: monitoring.of_any_job(query) for name, (query, _) in queries.items()}
    assert {name: metrics for name, metrics in found.items() if metrics} == {}


def test_web_servers_have_the_label_that_an_alert_selects_in_every_example() -> None:
    assert set(monitoring.matched_values("process")) == {"web"}
    listed, discovered = (
        yaml.safe_load(path.read_text())["scrape_configs"][0] for path in CONFIGURATIONS
    )
    processes = [targets["labels"]["process"] for targets in listed["static_configs"]]
    assert processes == ["web", "worker", "beat"]
    component = "__meta_kubernetes_pod_label_app_kubernetes_io_component"
    assert {"source_labels": [component], "target_label": "process"} in discovered[
        "relabel_configs"
    ]
    web = (monitoring.ROOT / "docker" / "kubernetes" / "base" / "web.yaml").read_text()
    labels = next(yaml.safe_load_all(web))["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/component"] == "web"


@pytest.mark.django_db
def test_a_process_has_the_series_of_dropped_mail_from_its_start() -> None:
    # `increase` does not see the event that makes a series appear.
    name = "authx_security_events_total"
    assert REGISTRY.get_sample_value(name, {"event": "notification_dropped"}) is not None


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
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_the_examples_of_a_configuration_are_valid(configuration: Path, tmp_path: Path) -> None:
    # Debian builds Prometheus without this kind of discovery, so nothing here reads its options.
    kubernetes, static = "kubernetes_sd_configs", [{"targets": ["web:9000"]}]
    settings = yaml.safe_load(configuration.read_text())
    (job,) = settings["scrape_configs"]
    settings["scrape_configs"] = [
        {"static_configs": static} | {key: job[key] for key in job if key != kubernetes}
    ]
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(settings))
    shutil.copy(monitoring.RULES, tmp_path)
    assert f"{len(monitoring.alerts())} rules found" in promtool(
        "check", "config", tmp_path / "prometheus.yaml"
    )


@needs_promtool
def test_the_queries_of_the_dashboard_are_valid(tmp_path: Path) -> None:
    queries = [query for query, _ in monitoring.dashboard_queries().values()]
    rules = [{"record": f"query_{n}", "expr": query} for n, query in enumerate(queries)]
    (tmp_path / "rules.yaml").write_text(
        yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]})
    )
    assert f"{len(queries)} rules found" in promtool("check", "rules", tmp_path / "rules.yaml")
