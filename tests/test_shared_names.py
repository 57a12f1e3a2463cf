"""Names of authx that live beside those of a project have a prefix."""

import ast

import pytest
from prometheus_client.metrics import MetricWrapperBase

from authx.contrib.metrics import instruments
from authx.throttling.store import _options
from tests.source_code import AUTHX, ROOT, calls_in, names_in, offenders


def unprefixed_loggers(source: str) -> list[str]:
    calls = [call for call in calls_in(ast.parse(source)) if "getLogger" in names_in(call.func)]
    return [
        ast.unparse(call)
        for call in calls
        if ast.unparse(call.args[0]) != "__name__"
        and not str(ast.literal_eval(call.args[0])).startswith("authx.")
    ]


def shared_spaces(source: str) -> list[str]:
    """Return what would need keys in a project's cache, or rates under a project's scopes."""
    return sorted(
        {"caches", "cache_page", "ScopedRateThrottle", "SimpleRateThrottle"}
        & set(names_in(ast.parse(source)))
    )


def test_every_logger_is_one_of_authx() -> None:
    assert offenders(AUTHX, unprefixed_loggers) == {}
    assert unprefixed_loggers('logging.getLogger("security")') == ["logging.getLogger('security')"]


def test_neither_the_cache_nor_the_throttle_scopes_of_a_project_are_used() -> None:
    assert offenders(AUTHX, shared_spaces) == {}
    assert shared_spaces("class A(SimpleRateThrottle): pass") == ["SimpleRateThrottle"]


@pytest.mark.parametrize("url", ["redis://localhost", "valkeys://localhost"])
def test_counters_in_a_shared_redis_have_a_prefix(url: str) -> None:
    assert _options(url)["key_prefix"] == "authx"


def test_templates_are_in_a_directory_of_their_own() -> None:
    templates = [path for path in (ROOT / "authx").rglob("templates/*") if path.is_dir()]
    assert {path.name.partition("_")[0] for path in templates} == {"authx"}


def test_metrics_have_a_prefix() -> None:
    metrics = [one for one in vars(instruments).values() if isinstance(one, MetricWrapperBase)]
    assert len(metrics) > 5
    assert all(next(iter(metric.describe())).name.startswith("authx_") for metric in metrics)
