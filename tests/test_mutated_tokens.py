"""What is almost a token, or almost a header, is refused like any garbage: without a query."""

from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.conftest import Statements
from tests.phone import CLIENT, Phone, error_of

fuzzed = hypothesis.settings(
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
PREFIX = 4
OTHER_PREFIX = {"axa_": "axr_", "axr_": "axa_"}
# What an HTTP header can hold at all: no line breaks, no NUL; read as latin-1, byte by byte.
HEADER = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=200)
BLANKS = st.text(" \t", min_size=1, max_size=50)


def flip(token: str, bit: int) -> str:
    body = bytearray(urlsafe_b64decode(token[PREFIX:]))
    body[bit // 8 % len(body)] ^= 1 << bit % 8
    return token[:PREFIX] + urlsafe_b64encode(body).decode()


def cut(token: str, at: int) -> str:
    return token[: at % len(token)]


def cut_in_front(token: str, at: int) -> str:
    return token[1 + at % len(token) :]


def put_in(token: str, at: int) -> str:
    return token[: at % 101] + chr(at % 256) + token[at % 101 :]


def swap_prefix(token: str, _: int) -> str:
    return OTHER_PREFIX[token[:PREFIX]] + token[PREFIX:]


def swap_two(token: str, at: int) -> str:
    first, second = at % 99, at % 99 + 1
    return token[:first] + token[second] + token[first] + token[second + 1 :]


def swap_case(token: str, _: int) -> str:
    return token.swapcase()


def use_other_alphabet(token: str, _: int) -> str:
    body = urlsafe_b64decode(token[PREFIX:])
    return token[:PREFIX] + b64encode(body).decode().replace("+", "-") + "="


def write_bytes_out(token: str, _: int) -> str:
    return token[:PREFIX] + urlsafe_b64decode(token[PREFIX:]).hex()


def percent_encode(token: str, at: int) -> str:
    return token[: at % 100] + quote(token[at % 100]).replace(token[at % 100], "%5F")


def double(token: str, _: int) -> str:
    return token * 2


MUTATIONS = [
    flip,
    cut,
    cut_in_front,
    put_in,
    swap_prefix,
    swap_two,
    swap_case,
    use_other_alphabet,
    write_bytes_out,
    percent_encode,
    double,
]
mutation = st.sampled_from(MUTATIONS)
number = st.integers(0, 2**16)
pytestmark = pytest.mark.usefixtures("without_limits")


@fuzzed
@hypothesis.given(mutate=mutation, at=number)
def test_no_mutation_of_an_access_token_is_accepted(
    phone: Phone, statements: Callable[[], Statements], mutate: Any, at: int
) -> None:
    mutated = mutate(phone.access_token, at)
    hypothesis.assume(mutated.strip() != phone.access_token)
    with statements() as seen:
        answer = CLIENT.get("/users/me", HTTP_AUTHORIZATION=f"Bearer {mutated}")
    assert error_of(answer) == (401, "invalid_token")
    assert seen.sql == []


@fuzzed
@hypothesis.given(mutate=mutation, at=number, path=st.sampled_from(["token", "revoke"]))
def test_no_mutation_of_a_refresh_token_refreshes_or_ends_anything(
    phone: Phone, statements: Callable[[], Statements], mutate: Any, at: int, path: str
) -> None:
    mutated = mutate(phone.refresh_token, at)
    hypothesis.assume(mutated != phone.refresh_token)
    body = {"grant_type": "refresh_token", "refresh_token": mutated, "token": mutated}
    with statements() as seen:
        answer = CLIENT.post(f"/users/{path}", body, content_type="application/json")
    assert answer.status_code in {200, 400}
    assert b"axr_" not in answer.content
    assert seen.sql == []


@fuzzed
@hypothesis.given(header=HEADER | st.builds("Bearer{}{}".format, BLANKS, HEADER))
@hypothesis.example("Bearer" + " " * 100_000)
@hypothesis.example("Bearer " + "x" * 100_000)
@hypothesis.example(" " * 100_000 + "Bearer x")
@hypothesis.example(",".join(["Bearer x"] * 10))
def test_no_malformed_header_is_accepted_or_costs_a_query(
    phone: Phone, statements: Callable[[], Statements], header: str
) -> None:
    with statements() as seen:
        answer = CLIENT.get("/users/me", HTTP_AUTHORIZATION=header)
    assert answer.status_code == 401
    assert error_of(answer)[1] in {"unauthorized", "invalid_token"}
    assert seen.sql == []


@fuzzed
@hypothesis.given(around=st.tuples(HEADER, HEADER).filter(any))
def test_a_genuine_token_among_other_text_is_refused(
    phone: Phone, statements: Callable[[], Statements], around: tuple[str, str]
) -> None:
    before, behind = around
    hypothesis.assume((before + behind).strip())
    with statements() as seen:
        answer = CLIENT.get(
            "/users/me", HTTP_AUTHORIZATION=f"{before}Bearer {phone.access_token}{behind}"
        )
    assert answer.status_code == 401
    assert seen.sql == []


@pytest.mark.parametrize("blanks", [" ", "  ", " " * 1000])
def test_blanks_around_a_genuine_token_are_blanks(phone: Phone, blanks: str) -> None:
    header = f"Bearer{blanks}{phone.access_token}{blanks}"
    assert CLIENT.get("/users/me", HTTP_AUTHORIZATION=header).status_code == 200
