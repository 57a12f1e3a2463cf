"""The wire format and the ratchet: what a token says, and that nothing else passes for one."""

import hashlib
import re
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID, uuid4

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pytest_django import Settings

from authx import tokens
from authx.errors import ForgedTokenError
from authx.tokens import RawToken, Token, TokenKind

KEY, OLD_KEY, FOREIGN_KEY = "the key in use", "the key before", "somebody else's key"
SESSION_ID = UUID("01234567-89ab-cdef-0123-456789abcdef")
SECRET, NONCE = bytes(range(32)), bytes(range(16))
TOKEN68 = re.compile(r"[A-Za-z0-9\-._~+/]+=*")

ACCESS, REFRESH, SERVICE = TokenKind.ACCESS, TokenKind.REFRESH, TokenKind.SERVICE
OTHERS = {ACCESS: [REFRESH, SERVICE], REFRESH: [ACCESS, SERVICE], SERVICE: [ACCESS, REFRESH]}
KINDS = pytest.mark.parametrize("kind", TokenKind)

# Version 1, computed apart from this code from the description of the format, under the key
# "known-answer": generation 7 of SESSION_ID with SECRET, and what the ratchet makes of it.
FROZEN = {
    REFRESH: "axr_AXP_pwEjRWeJq83vASNFZ4mrze8AAAAHAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh"
    "-LRe5RPpin1aB1pFmWUutE",
    ACCESS: "axa_AXP_pwEjRWeJq83vASNFZ4mrze8AAAAHAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh"
    "8cUvqwAq9t4YCqsdKYDykY",
    SERVICE: "axs_AXP_pwEjRWeJq83vASNFZ4mrze8AAAAHAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh"
    "_shoVuvvx2UKjHJO6dvrML",
}
FROZEN_SUCCESSOR = {
    REFRESH: "axr_AXP_pwEjRWeJq83vASNFZ4mrze8AAAAIbQHaE2-We_0mMErzNSPD1DTdc7Z3npeQu6Jf60Ee2L"
    "twCrecSS90Akbl5qSI7Pbi",
    ACCESS: "axa_AXP_pwEjRWeJq83vASNFZ4mrze8AAAAInxBhbz5hc6GTRRg-lD9K-96lpDysBfrjQt1UHIVIhv"
    "c9UDVw1qpjwtxxgCOu0V1j",
}


@pytest.fixture(autouse=True)
def _keys(settings: Settings) -> None:
    settings.SECRET_KEY = KEY
    settings.SECRET_KEY_FALLBACKS = [OLD_KEY]


def a_token(kind: TokenKind = REFRESH, generation: int = 7) -> Token:
    return Token(kind, SESSION_ID, generation, SECRET)


def secret_after(
    presented: Token, *, nonce: bytes = NONCE, kind: TokenKind = REFRESH, key: int = 0
) -> bytes:
    """Return the secret that the ratchet derives under the first accepted key, or a later one."""
    derive = tokens.successors if kind is REFRESH else tokens.access_tokens
    return tokens.parse(list(derive(presented, nonce))[key], kind).secret


def assert_forged(raw_token: str, kind: TokenKind) -> None:
    with pytest.raises(ForgedTokenError):
        tokens.parse(raw_token, kind)


@KINDS
@given(
    session_id=st.uuids(),
    generation=st.integers(0, 2**32 - 1),
    secret=st.binary(min_size=32, max_size=32),
)
def test_a_token_says_what_was_minted(
    kind: TokenKind, session_id: UUID, generation: int, secret: bytes
) -> None:
    token = Token(kind, session_id, generation, secret)
    assert tokens.parse(tokens.mint(token, KEY), kind) == token


@KINDS
def test_a_token_is_one_hundred_characters_that_any_header_carries(kind: TokenKind) -> None:
    raw_token = tokens.mint(a_token(kind), KEY)
    assert len(raw_token) == 100
    assert TOKEN68.fullmatch(raw_token)
    assert raw_token[:4] == {ACCESS: "axa_", REFRESH: "axr_", SERVICE: "axs_"}[kind]


@KINDS
def test_version_one_stays_what_phones_already_hold(kind: TokenKind, settings: Settings) -> None:
    settings.SECRET_KEY = "known-answer"
    token = a_token(kind)
    assert tokens.mint(token, "known-answer") == FROZEN[kind]
    assert tokens.parse(FROZEN[kind], kind) == token


def test_version_one_makes_the_successors_that_phones_already_hold(settings: Settings) -> None:
    settings.SECRET_KEY = "known-answer"
    assert next(tokens.successors(a_token(), NONCE)) == FROZEN_SUCCESSOR[REFRESH]
    assert next(tokens.access_tokens(a_token(), NONCE)) == FROZEN_SUCCESSOR[ACCESS]


@KINDS
@pytest.mark.parametrize("key", [KEY, OLD_KEY])
def test_every_change_of_a_single_character_is_refused(kind: TokenKind, key: str) -> None:
    raw_token = tokens.mint(a_token(kind), key)
    tokens.parse(raw_token, kind)
    for position, char in enumerate(raw_token):
        for other in set("AZaz09-_+/=. \n\0é€\ud800") - {char}:
            assert_forged(raw_token[:position] + other + raw_token[position + 1 :], kind)


def test_the_other_base64_alphabet_is_no_second_spelling() -> None:
    spelled = [
        raw_token
        for raw_token in (tokens.mint(a_token(generation=n), KEY) for n in range(50))
        if set("-_") & set(raw_token[4:])
    ]
    assert spelled
    for raw_token in spelled:
        assert_forged("axr_" + raw_token[4:].replace("-", "+").replace("_", "/"), REFRESH)


@KINDS
def test_every_truncation_and_extension_is_refused(kind: TokenKind) -> None:
    raw_token = tokens.mint(a_token(kind), KEY)
    for length in range(100):
        assert_forged(raw_token[:length], kind)
        assert_forged(raw_token[length + 1 :], kind)
    for extra in ("A", "AAAA", "=", "==", " ", "\n", "\0", raw_token):
        assert_forged(raw_token + extra, kind)
        assert_forged(extra + raw_token, kind)


@KINDS
def test_one_kind_never_passes_for_the_other(kind: TokenKind) -> None:
    raw_token = tokens.mint(a_token(kind), KEY)
    for other in OTHERS[kind]:
        assert_forged(raw_token, other)
        assert_forged(other.prefix + raw_token.removeprefix(kind.prefix), other)


def test_one_kind_never_passes_for_the_other_even_where_prefixes_are_the_same(
    settings: Settings,
) -> None:
    settings.AUTHX = {"REFRESH_TOKEN_PREFIX": "axa_"}
    assert_forged(tokens.mint(a_token(REFRESH), KEY), ACCESS)


@KINDS
def test_a_foreign_key_is_refused_and_a_fallback_accepted(kind: TokenKind) -> None:
    assert tokens.parse(tokens.mint(a_token(kind), OLD_KEY), kind) == a_token(kind)
    assert_forged(tokens.mint(a_token(kind), FOREIGN_KEY), kind)


def test_a_key_may_be_bytes(settings: Settings) -> None:
    settings.SECRET_KEY = b"\xff\x00 bytes"
    assert tokens.parse(tokens.mint(a_token(), b"\xff\x00 bytes"), REFRESH) == a_token()


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_refused_although_its_tag_verifies(
    version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(tokens, "VERSION", version)
        raw_token = tokens.mint(a_token(), KEY)
        assert tokens.parse(raw_token, REFRESH) == a_token()
    assert_forged(raw_token, REFRESH)


def test_keys_whose_ids_collide_are_both_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_key_id", lambda _: b"\0\0\0")
    for key in (KEY, OLD_KEY):
        assert tokens.parse(tokens.mint(a_token(), key), REFRESH) == a_token()
    assert_forged(tokens.mint(a_token(), FOREIGN_KEY), REFRESH)


def test_the_key_id_alone_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    honest_id = tokens._key_id(KEY)
    with monkeypatch.context() as patch:
        patch.setattr(tokens, "_key_id", lambda _: honest_id)
        raw_token = tokens.mint(a_token(), FOREIGN_KEY)
    assert_forged(raw_token, REFRESH)


def test_the_ratchet_gives_the_same_pair_for_the_same_token() -> None:
    assert list(tokens.successors(a_token(), NONCE)) == list(tokens.successors(a_token(), NONCE))
    assert list(tokens.access_tokens(a_token(), NONCE)) == list(
        tokens.access_tokens(a_token(), NONCE)
    )
    successor = tokens.parse(next(tokens.successors(a_token(), NONCE)), REFRESH)
    assert (successor.session_id, successor.generation) == (SESSION_ID, 8)


def test_the_ratchet_differs_in_each_of_its_inputs() -> None:
    flipped = bytes([SECRET[0] ^ 1]) + SECRET[1:]
    secrets = {
        "as it is": secret_after(a_token()),
        "secret": secret_after(Token(REFRESH, SESSION_ID, 7, flipped)),
        "session": secret_after(Token(REFRESH, uuid4(), 7, SECRET)),
        "generation": secret_after(a_token(generation=8)),
        "nonce": secret_after(a_token(), nonce=NONCE[:-1] + b"\xff"),
        "kind": secret_after(a_token(), kind=ACCESS),
        "key": secret_after(a_token(), key=1),
        "presented": SECRET,
    }
    assert len(set(secrets.values())) == len(secrets)


def test_the_ratchet_follows_the_order_of_keys(settings: Settings) -> None:
    in_use, older = tokens.successors(a_token(), NONCE)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = OLD_KEY, [KEY]
    assert list(tokens.successors(a_token(), NONCE)) == [older, in_use]


def test_ten_thousand_secrets_and_nonces_are_all_different() -> None:
    secrets = {tokens.new_secret() for _ in range(10_000)}
    assert {len(secret) for secret in secrets} == {32}
    assert len(secrets) == 10_000
    nonces = {tokens.new_nonce() for _ in range(10_000)}
    assert {len(nonce) for nonce in nonces} == {16}
    assert len(nonces) == 10_000


def test_ten_thousand_tokens_are_all_different() -> None:
    raw_tokens, token = set(), a_token(generation=0)
    for _ in range(5_000):
        nonce = tokens.new_nonce()
        raw_tokens.add(next(tokens.access_tokens(token, nonce)))
        raw_tokens.add(next(tokens.successors(token, nonce)))
        token = tokens.parse(next(tokens.successors(token, nonce)), REFRESH)
    assert len(raw_tokens) == 10_000
    assert token.generation == 5_000


def test_no_secret_shows_in_a_representation() -> None:
    token = Token(REFRESH, SESSION_ID, 7, b"S" * 32)
    for shown in (repr(token), str(token), f"{token}"):
        assert "SSSS" not in shown
        assert str(SESSION_ID) in shown


@KINDS
@given(text=st.text(max_size=200) | st.from_regex(r"ax[ar]_[A-Za-z0-9_\-]{96}", fullmatch=True))
@example(text="")
@example(text="axr_" + "A" * 96)
@example(text="axr_" + "=" * 96)
@example(text="axa_" + "A" * 95 + "=")
@example(text="axr_" + "\ud800" * 96)
def test_any_other_text_is_forged_and_nothing_worse(kind: TokenKind, text: str) -> None:
    assert_forged(text, kind)


@KINDS
def test_no_tag_of_a_body_but_its_own_verifies(kind: TokenKind) -> None:
    body = urlsafe_b64decode(tokens.mint(a_token(kind), KEY)[4:])
    assert struct.unpack(">I", body[20:24]) == (7,)
    grafted = body[:20] + struct.pack(">I", 8) + body[24:]
    assert_forged(kind.prefix + urlsafe_b64encode(grafted).decode(), kind)


def test_the_digest_is_what_knox_hashes() -> None:
    raw_token = RawToken(FROZEN[REFRESH])
    assert tokens.digest_of(raw_token) == hashlib.sha512(raw_token.encode()).hexdigest()


def test_the_digest_follows_the_setting_of_knox(settings: Settings) -> None:
    settings.REST_KNOX = {"SECURE_HASH_ALGORITHM": "hashlib.sha3_512"}
    raw_token = RawToken(FROZEN[REFRESH])
    assert tokens.digest_of(raw_token) == hashlib.sha3_512(raw_token.encode()).hexdigest()
