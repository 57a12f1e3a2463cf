"""The table of a run."""

from collections.abc import Mapping
from typing import Any, Final

from tests.cluster.counts import Counts

# The heading of each column, and the number that it shows.
COLUMNS: Final = {
    "requests": "requests",
    "refreshes": "refreshes",
    "sign-ins": "sign-ins",
    "sign-outs": "sign-outs",
    "lost": "answers lost on purpose",
    "retries": "retries",
    "503": "503",
    "503 HAProxy": "balancer's 503",
    "429": "429",
    "no answer": "connection errors",
    "checked": "ended sessions checked",
}
LISTS: Final = {"alive": "alive", "signed out": "signed_out", "unexpected": "unexpected"}


def table(results: Mapping[str, Counts]) -> str:
    """Return a table in Markdown, one scenario a row."""
    heads = ["scenario", *COLUMNS, *LISTS, "longest outage", "longest pause"]
    rows = [heads, ["---", *["--:" for _ in heads[1:]]]]
    for name, counts in results.items():
        numbers = [str(counts.numbers[key]) for key in COLUMNS.values()]
        lengths = [str(len(getattr(counts, key))) for key in LISTS.values()]
        times = [f"{counts.longest_outage:.1f} s", f"{counts.longest_pause:.1f} s"]
        rows.append([name, *numbers, *lengths, *times])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def details(results: Mapping[str, Counts]) -> list[str]:
    """Return a line for each broken promise."""
    return [
        f"{name}: {heading}: {line}"
        for name, counts in results.items()
        for heading, key in LISTS.items()
        for line in getattr(counts, key)
    ]


def as_json(results: Mapping[str, Counts]) -> dict[str, Any]:
    return {name: vars(counts) for name, counts in results.items()}
