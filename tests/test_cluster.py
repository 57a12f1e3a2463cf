"""What `make cluster` relies on and can be shown without its servers."""

import json

from authx.rest.exceptions import RETRY_AFTER_SECONDS, UNAVAILABLE, error_body
from tests.cluster.accounts import Account
from tests.cluster.balancer import unavailable
from tests.cluster.counts import Counts
from tests.cluster.report import table
from tests.cluster.scenarios import ANSWERING, SCENARIOS, silent


def pair(session_id: str) -> dict[str, object]:
    return {"device": {"id": session_id}, "generation": 0}


def test_the_balancer_answers_as_the_api_does() -> None:
    head, _, body = unavailable().decode().partition("\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {UNAVAILABLE.status} ")
    assert f"Retry-After: {RETRY_AFTER_SECONDS}\r\n" in head
    assert f"Content-Length: {len(body)}\r\n" in head
    assert json.loads(body) == error_body(UNAVAILABLE)


def test_a_session_that_nobody_ended_must_not_end() -> None:
    account = Account("alice")
    account.keep("phone", pair("1"), ending_all=account.ending_all)
    assert account.ending == set()


def test_a_sign_in_beside_the_end_of_all_sessions_may_be_ended_by_it() -> None:
    account = Account("alice")
    requested_at = account.ending_all
    account.ending_all += 2
    account.keep("phone", pair("1"), ending_all=requested_at)
    assert account.ending == {"1"}


def test_a_new_session_of_an_installation_ends_its_old_one_only() -> None:
    account = Account("alice")
    for installation, session_id in [("phone", "1"), ("tablet", "2"), ("phone", "3")]:
        account.keep(installation, pair(session_id), ending_all=0)
    assert account.ending == {"1"}
    assert account.others("phone") == ["2"]


def test_each_broken_promise_fails_a_run_and_is_in_the_table() -> None:
    assert not Counts().is_broken
    for name in ("alive", "signed_out", "unexpected"):
        counts = Counts()
        getattr(counts, name).append("what happened")
        assert counts.is_broken
        assert "| 1 |" in table({"scenario": counts})


def test_a_scenario_whose_node_answers_nothing_shows_nothing() -> None:
    assert set(ANSWERING) <= set(SCENARIOS)
    for name, nodes in ANSWERING.items():
        assert silent(name, dict.fromkeys(nodes, 1)) == []
        old = {node.replace("version 2", "version 1"): 1 for node in nodes[1:]}
        assert f"{nodes[0]} answered nothing" in silent(name, old)
    assert silent("quiet", {}) == []
