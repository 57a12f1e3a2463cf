"""What `make load` computes by; the measurements themselves are no tests."""

import pytest

from tests.load.phases import STEADY_SHARE, Phase, Span, pause_for
from tests.load.phones import CALL, REFRESH, Answer
from tests.load.report import tables
from tests.load.usage import WAL, WAL_TOTALS, Mark, Storage

STORAGE = Storage(rows=10, total_bytes=15_000, index_bytes=2_000)


def phase(*answers: Answer) -> Phase:
    return Phase("steady", [span(*answers)])


def span(*answers: Answer) -> Span:
    began = Mark(0, {"web": 1.0, "PostgreSQL": 1.0, "machine": 5.0}, "0/0")
    ended = Mark(10, {"web": 3.0, "PostgreSQL": 2.0, "machine": 12.0}, "0/1")
    return Span(answers, began, ended, WAL(record_bytes=1000, image_bytes=4000))


def refreshes(*milliseconds: int, status: int = 200) -> list[Answer]:
    return [Answer(REFRESH, 0, one / 1000, status) for one in milliseconds]


def test_rates_and_percentiles_are_those_of_the_successful_requests() -> None:
    one = phase(*refreshes(*range(1, 101)), *refreshes(5000, status=503))
    assert one.rate(REFRESH) == pytest.approx(10)
    assert one.rate(CALL) == 0
    assert one.percentile(50, REFRESH) == pytest.approx(0.0505)
    assert one.percentile(99, REFRESH) == pytest.approx(0.1, rel=0.01)
    assert one.failures == {"refresh 503": 1}


def test_processors_are_counted_by_part_and_the_rest_is_that_of_others() -> None:
    assert phase().cores("web") == pytest.approx(0.2)
    assert phase().cores_of_others == pytest.approx(0.4)


def test_the_tables_divide_what_a_part_used_by_the_refreshes() -> None:
    text = tables([phase(*refreshes(10, 20, 30, 40))], STORAGE)
    assert "| steady | 500.00 | 250.00 | 250 | 1,250 |" in text
    assert "1500 a session, of which 200 in indexes" in text


def test_spans_of_a_phase_count_together() -> None:
    one = Phase("steady", [span(*refreshes(10, 20)), span(*refreshes(30, 40))])
    assert one.rate(REFRESH) == pytest.approx(4 / 20)
    assert one.percentile(50, REFRESH) == pytest.approx(0.025)
    assert one.cores("web") == pytest.approx(0.2)
    assert one.wal == WAL(record_bytes=2000, image_bytes=8000)


def test_a_failure_is_in_the_report() -> None:
    text = tables([phase(*refreshes(10, 20), *refreshes(1, status=0))], STORAGE)
    assert "refresh no answer" in text


def test_phones_pause_so_that_they_send_a_share_of_the_most() -> None:
    assert 100 / pause_for(100, requests_per_second=200) == pytest.approx(200 * STEADY_SHARE)


def test_the_totals_of_pg_waldump_are_read() -> None:
    lines = (
        "Type    N      (%)  Record size      (%)  FPI size      (%)  Combined size      (%)\n"
        "Heap    2 (100.00)          132 (100.00)      8000 (100.00)           8132 (100.00)\n"
        "       --                  --                 --                      --\n"
        "Total   2                   132 [1.62%]       8000 [98.38%]           8132 [100%]\n"
    )
    found = WAL_TOTALS.search(lines)
    assert found
    assert found.groups() == ("132", "8000")
