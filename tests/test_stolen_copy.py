"""Does a thief show who holds a copy of the app's store? Every interleaving, not a sample.

The store was copied between two refreshes: it holds a pair, and no idempotency key. From then on
app and thief move in any order (tests/stolen_copy.py names the moves): the app refreshes, loses
an answer, uses its access token; the thief refreshes what he got last or what he copied, without a
key or with one that he made up, and uses his access token; a grace period passes.

The two *meet* when one of them first refreshes a token that the other one has refreshed already:
that is the first refresh of whichever of them comes second. The thief *shows* if, once that refresh
is answered, the session has ended or an event "two places" is recorded. An interleaving is *missed*
if they met and he did not show by then, whatever comes later; it is *unseen* if nothing has shown
at its end either. Before they meet there is nothing to see: one of them has not refreshed at all,
and a thief who only uses the access token that he copied has until that expires.

The decisions are the real ones. For speed the row lies in memory: what stands for the statements
of authx.sessions.statements, for revoke_session and for the recording of events is shown to be
faithful by a sample of the same interleavings on PostgreSQL, over HTTP. The gate takes up to four
steps, `make soak` up to six.
"""

from itertools import islice, product

import pytest
from django.contrib.auth.models import User

from tests.conftest import Clock
from tests.effort import chosen
from tests.stolen_copy import (
    ELSEWHERE,
    HOME,
    MOVES,
    Count,
    InMemory,
    OverHTTP,
    Server,
    Setting,
    enumerate_from,
    moved,
    stolen_after,
)

WITH_KEYS = Setting(has_keys=True, thief_source=HOME)
WITHOUT_KEYS = Setting(has_keys=False, thief_source=HOME)
FROM_ELSEWHERE = Setting(has_keys=False, thief_source=ELSEWHERE)
# What the app did before its store was copied: its pair is the first, or unused, or used.
Start = tuple[str, ...]
FIRST: Start = ()
UNUSED: Start = ("app refreshes",)
USED: Start = ("app refreshes", "app uses")
STARTS = chosen([UNUSED], [FIRST, UNUSED, USED])
STEPS = chosen(4, 6)
from_each_start = pytest.mark.parametrize("start", STARTS)

# Without keys, and from the same network or with the same user agent: who refreshes first, and what
# has become of the pair when the other one follows. SECURITY.md lists these. In numbers: of 7,380
# interleavings of up to four steps, or of 597,870 of up to six. "In time" is within a grace period
# of the first use of that pair, by whomever; to refresh it again is a use.
MISSED = {
    # The thief refreshes first; nobody has used his pair when the app refreshes, however late.
    ("thief", "unused"): chosen(712, 64_972),
    # The thief refreshes first and uses his pair; the app refreshes in time.
    ("thief", "used"): chosen(76, 9_796),
    # The thief refreshes first, and once more; the app refreshes in time.
    ("thief", "superseded"): chosen(176, 28_112),
    # The app refreshes first and has not used its pair, or never got it; the thief follows.
    ("app", "unused"): chosen(754, 71_128),
    # The app refreshes first and uses its pair; the thief follows in time.
    ("app", "used"): chosen(36, 4_392),
    # The app refreshes first, and once more; the thief follows in time.
    ("app", "superseded"): chosen(84, 12_420),
}
# Of those, the ones that show nothing at their end either.
INVISIBLE = chosen(1_610, 132_638)


def counted(setting: Setting, start: tuple[str, ...]) -> Count:
    server, count = InMemory(), Count()
    with server.in_place():
        enumerate_from(stolen_after(setting, server, start), server, STEPS, count)
    assert count.interleavings == sum(len(MOVES) ** steps for steps in range(1, STEPS + 1))
    print(setting, start, count)  # noqa: T201 -- the soak reports it
    return count


def assert_always_shows(count: Count) -> None:
    assert count.met > count.interleavings / 3
    assert count.missed == {}
    assert count.unseen == 0


@from_each_start
def test_with_keys_the_next_refresh_of_either_holder_reveals_the_copy(
    start: tuple[str, ...],
) -> None:
    assert_always_shows(counted(WITH_KEYS, start))


@from_each_start
def test_without_keys_these_interleavings_are_missed_and_no_others(start: tuple[str, ...]) -> None:
    count = counted(WITHOUT_KEYS, start)
    assert count.missed == MISSED
    assert count.unseen == INVISIBLE


@from_each_start
def test_without_keys_another_network_and_user_agent_reveal_the_copy(
    start: tuple[str, ...],
) -> None:
    count = counted(FROM_ELSEWHERE, start)
    assert_always_shows(count)
    # Not only when they first meet: each time that one is handed what the other's refresh made.
    assert count.not_told == 0


def trace(server: Server, setting: Setting, moves: tuple[str, ...]) -> list[object]:
    """Return what the server knows, and who holds what, after each move."""
    seen: list[object] = []
    world = stolen_after(setting, server, UNUSED)
    for move in moves:
        world = moved(world, server, move)
        holds = (world.app is None, world.app == world.thief, len(world.rotated), len(world.used))
        seen.append((server.state, holds, world.has_met, world.missed, world.always_told))
    return seen


@pytest.mark.postgresql
@pytest.mark.django_db
@pytest.mark.usefixtures("without_limits")
@pytest.mark.parametrize("setting", [WITH_KEYS, WITHOUT_KEYS, FROM_ELSEWHERE])
def test_on_a_database_each_of_a_sample_goes_as_in_memory(
    alice: User, clock: Clock, setting: Setting
) -> None:
    # Evenly spread over the 531,441 of six steps.
    step = 531_441 // chosen(12, 101)
    sample = list(islice(product(MOVES, repeat=6), 0, None, step))
    for moves in sample:
        on_database = trace(OverHTTP(alice, clock), setting, moves)
        server = InMemory()
        with server.in_place():
            assert trace(server, setting, moves) == on_database, moves
