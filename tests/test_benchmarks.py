"""What `make bench` judges and counts by; the measurements themselves are no tests."""

import pytest

from tests.benchmarks.budgets import Budget
from tests.benchmarks.statements import is_statement


@pytest.mark.parametrize(
    ("value", "at_least", "met"),
    [
        (0.5, False, True),
        (0.51, False, False),
        (0.5, True, True),
        (0.49, True, False),
    ],
)
def test_a_budget_is_met_up_to_its_limit(value: float, at_least: bool, met: bool) -> None:
    assert Budget("cost", value, 0.5, at_least=at_least).is_met is met


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        ('F\t13\tQuery\t "BEGIN"', True),
        ('F\t9\tExecute\t "" 0', True),
        ('F\t20\tParse\t "" "SELECT 1" 0', False),
        ('B\t13\tCommandComplete\t "BEGIN"', False),
    ],
)
def test_what_libpq_sends_to_be_executed_is_a_statement(line: str, counts: bool) -> None:
    assert is_statement(line) is counts
