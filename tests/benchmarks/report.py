"""The page of a run: one table, in Markdown."""

from collections.abc import Iterator
from typing import Final

from tests.benchmarks import names
from tests.benchmarks.budgets import (
    Budget,
    flood_budget,
    growth_budget,
    hot_budget,
    ratio_budget,
    sweep_budgets,
    wal_budget,
)
from tests.benchmarks.comparison import Figure
from tests.benchmarks.flood import CLIENTS
from tests.benchmarks.results import Results
from tests.benchmarks.sweeping import Deletion

PAGE: Final = """\
# Performance

Written by `make bench` on {date}: {calls} calls of each operation, {many:,} sessions where there
are many, {few:,} where there are few.

{machine}

{table}

## How it is measured

- **Time** is the processor time of the Python process for the median call of Django's request
  handler, from the request object to the rendered response. Only the rows that say so include the
  time of PostgreSQL.
- **Side by side**: each system is installed as its documentation describes, with the middleware and
  applications that it needs. It runs in a process and a database of its own, because the signal
  receivers of one application slow the others down, and Knox's model can be swapped only once. The
  processes take turns in a changing order. The first {warm_up} calls of a turn are not measured.
- **Relative** is the time relative to authx: 2.00 is twice as much. Processes run the same code at
  different speeds, so each time is first divided by that of a reference operation, SimpleJWT with
  its user query, which every process measures too.
- **SQL** counts the statements that libpq sends, `BEGIN` and `COMMIT` included.
- The garbage collector runs with Python's defaults, on objects created after the start.
- All systems hash passwords with MD5, so that a sign-in measures the system and not the hash. Log
  records are created and go to a null handler. The rate limits of authx are counted in Valkey and
  are not reached.
- SimpleJWT and django-allauth sign with HS256. django-oauth-toolkit stores digests of tokens and
  detects reuse. The sweep of django-allauth is Django's `clearsessions`, which does not delete the
  rows of its `UserSession`. There is no row for what a system does not offer.
- **WAL and HOT**: each session refreshes and is used once a pass, and again after its grace period.
  The WAL is that of the refreshes alone. Full-page images are off; those of hint bits occur in a
  pass that is not measured.
- **The sweep** and one `DELETE` each get a copy of the same table, which contains as many live
  sessions as ended ones, while another process signs users in continuously. Both are measured in
  wall-clock time, so they include the disk, and full-page images are on, as in production. The
  pauses of the sweep between its batches are left out: it rests nine times as long as it works. Of
  three rounds, this is the one whose ratio is in the middle. Its batches are short, for the sake of
  the requests beside them, which costs a part of the rate ([capacity](capacity.md#the-sweep)).
- **The flood**: one process of the web server with four threads and Argon2id, over HTTP on the same
  machine. 24 phones refresh and use their sessions at a steady pace, alone and then beside 64
  clients, each of which signs in again one second after every response, whatever it was.
"""
HEADINGS: Final = ("Operation", "System", "Measured", "Relative", "SQL", "Budget")
RULE: Final = ("---", "---", "---:", "---:", "---:", "---")
MICROSECONDS: Final = 1000
MILLISECONDS: Final = 1000

Row = tuple[str, ...]


def page(results: Results, machine: str, today: str, warm_up: int) -> str:
    rows = [HEADINGS, RULE, *_comparison(results), *_storage(results), *_growth(results)]
    rows += [*_sweep(results), *_flood(results)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return PAGE.format(
        date=today,
        calls=results.calls,
        few=results.few,
        many=results.many,
        machine=machine,
        table=table,
        warm_up=warm_up,
    )


def _comparison(results: Results) -> Iterator[Row]:
    for figure in results.figures:
        yield _figure_row(results, figure)


def _figure_row(results: Results, figure: Figure) -> Row:
    budget = ratio_budget(results, figure.operation, figure.system)
    return (
        figure.operation,
        figure.system,
        f"{figure.time / MICROSECONDS:,.0f} µs",
        f"{figure.weight / results.weight(figure.operation, names.AUTHX):.2f}",
        str(figure.statements),
        f"authx to it, {_cell(budget)}" if budget else "",
    )


def _cell(budget: Budget) -> str:
    return str(budget) if budget.is_met else f"**{budget}**"


def _own_row(what: str, measured: str, budget: Budget | None = None) -> Row:
    return (what, names.AUTHX, measured, "", "", _cell(budget) if budget else "")


def _storage(results: Results) -> Iterator[Row]:
    storage = results.storage
    images = storage.full_page_images
    note = f" ({images} full-page images in it)" if images else ""
    yield _own_row("WAL of a refresh", f"{storage.wal_bytes:,.0f} bytes{note}", wal_budget(storage))
    hot = f"{storage.hot_updates:,} of {storage.updates:,}"
    yield _own_row("HOT updates of refreshes and uses", hot, hot_budget(storage))


def _growth(results: Results) -> Iterator[Row]:
    for operation, (few, many) in results.costs.items():
        what = f"{operation}, with PostgreSQL's time, beside"
        yield _own_row(f"{what} {results.few:,} sessions", f"{few / MICROSECONDS:,.0f} µs")
        budget = growth_budget(results, operation)
        times = f"{many / MICROSECONDS:,.0f} µs"
        yield _own_row(f"{what} {results.many:,} sessions", times, budget)


def _sweep(results: Results) -> Iterator[Row]:
    rate, memory, sign_ins = sweep_budgets(results)
    sweep, giant = results.sweep, results.giant_delete
    what = f"sweep {sweep.rows:,} ended sessions"
    yield _own_row(what, f"{sweep.rate:,.0f} rows a second", rate)
    yield _own_row(f"{what}: memory that it adds", f"{sweep.memory:.1f} MiB", memory)
    yield _own_row(f"{what}: sign-ins meanwhile", _sign_ins(sweep), sign_ins)
    giant_row = f"one `DELETE` of {giant.rows:,}"
    yield (giant_row, "PostgreSQL", f"{giant.rate:,.0f} rows a second", "", "1", "")
    yield (f"{giant_row}: sign-ins meanwhile", names.AUTHX, _sign_ins(giant), "", "", "")


def _flood(results: Results) -> Iterator[Row]:
    flood = results.flood
    for kind in flood.quiet:
        quiet, flooded = (found[kind] * MILLISECONDS for found in (flood.quiet, flood.flooded))
        times = f"{flooded:,.0f} ms, {quiet:,.0f} ms without"
        what = f"99th percentile of a {kind} beside {CLIENTS} clients that sign in"
        yield _own_row(what, times, flood_budget(results, kind))
    rates = f"{flood.signed_in / flood.seconds:.1f} a second, {flood.refused:,} refused"
    yield _own_row("sign-ins of these clients", rates)


def _sign_ins(deletion: Deletion) -> str:
    return f"{deletion.sign_ins:,}, slowest {deletion.slowest_sign_in * MILLISECONDS:,.0f} ms"
