"""The tables of a run, in Markdown."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from tests.load.phases import Phase
from tests.load.phones import CALL, REFRESH, SIGN_IN
from tests.load.usage import Storage

MILLISECONDS: Final = 1000
HEADS: Final = ("phase", "seconds", "refreshes/s", "sign-ins/s", "requests/s")
LATENCIES: Final = {"refresh": (REFRESH,), "call": (CALL,)}


def tables(phases: Sequence[Phase], storage: Storage) -> str:
    return "\n\n".join([*_blocks(phases), *_notes(phases, storage)])


def _blocks(phases: Sequence[Phase]) -> Iterator[str]:
    yield _table([*HEADS, *_latency_heads()], map(_rates, phases))
    parts = phases[0].parts[:-1]
    yield _table(
        ["cores busy", *parts, "others"],
        (
            [one.name, *(f"{one.cores(part):.3f}" for part in parts), f"{one.cores_of_others:.2f}"]
            for one in phases
        ),
    )
    yield _table(
        [
            "a refresh with its 4 calls, or a sign-in",
            *(f"ms of {part}" for part in parts),
            "WAL, bytes",
            "with images",
        ],
        map(_costs, phases),
    )


def _latency_heads() -> list[str]:
    return [f"p{percent} {name}" for name in (*LATENCIES, "sign-in") for percent in (50, 99)]


def _rates(phase: Phase) -> list[str]:
    kinds = [REFRESH, CALL, SIGN_IN]
    return [
        phase.name,
        f"{phase.seconds:.0f}",
        f"{phase.rate(REFRESH):.1f}",
        f"{phase.rate(SIGN_IN):.1f}",
        f"{phase.rate():.1f}",
        *(_latency(phase, percent, kind) for kind in kinds for percent in (50, 99)),
    ]


def _latency(phase: Phase, percent: int, kind: str) -> str:
    if len(phase.of(kind)) < 2:
        return ""
    return f"{phase.percentile(percent, kind) * MILLISECONDS:.1f} ms"


def _costs(phase: Phase) -> list[str]:
    count = len(phase.of(REFRESH, SIGN_IN)) or 1
    parts = phase.parts[:-1]
    milliseconds = (phase.cores(part) * phase.seconds / count * MILLISECONDS for part in parts)
    wal = phase.wal
    return [
        phase.name,
        *(f"{one:.2f}" for one in milliseconds),
        f"{wal.record_bytes / count:,.0f}",
        f"{(wal.record_bytes + wal.image_bytes) / count:,.0f}",
    ]


def _notes(phases: Sequence[Phase], storage: Storage) -> Iterator[str]:
    bytes_per_row = storage.total_bytes / storage.rows
    yield (
        f"{storage.rows:,} sessions: {storage.total_bytes:,} bytes, {bytes_per_row:.0f} a session,"
        f" of which {storage.index_bytes / storage.rows:.0f} in indexes"
    )
    for phase in phases:
        if phase.failures:
            yield f"{phase.name}: {dict(phase.failures)}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---", *("--:" for _ in heads[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
