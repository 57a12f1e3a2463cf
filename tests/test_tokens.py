"""The wire format and the ratchet: what a token says, and that nothing else passes for one."""

import hashlib
import re
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pytest_django import Settings

from authx import tokens
from authx.codec import digest_of, token_codec
from authx.errors import ForgedTokenError
from authx.tokens import RawToken, Token, TokenCodec, TokenKind, make_codec

KEY, OLD_KEY, FOREIGN_KEY = "the key in use", "the key before", "somebody else's key"
SESSION_ID = UUID("01234567-89ab-cdef-0123-456789abcdef")
SECRET, NONCE = bytes(range(32)), bytes(range(16))
TOKEN68 = re.compile(r"[A-Za-z0-9\-._~+/]+=*")

ACCESS, REFRESH, SERVICE, DEVICE = TokenKind
OTHERS = {kind: [other for other in TokenKind if other is not kind] for kind in TokenKind}
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
    DEVICE: "axd_AXP_pwEjRWeJq83vASNFZ4mrze8AAAAHAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh96VCq"
    "w4T8iK_UUgZ9qmHGK",
}
FROZEN_SUCCESSOR = (
    "axr_AXP_pwEjRWeJq83vASNFZ4mrze8AAAAIbQHaE2-We_0mMErzNSPD1DTdc7Z3npeQu6Jf60Ee2L"
    "twCrecSS90Akbl5qSI7Pbi"
)
FROZEN_ACCESS = (
    "axa_AXP_pwEjRWeJq83vASNFZ4mrze8AAAAH5EZi9P2jhQCrwM1XimFED3BMGX4jsoWd7MwTKtjHEd"
    "h1Iz8h4t4zcaW9UC1E0VRB"
)
# Of the user "7" under the password hash "the hash".
FROZEN_CREDENTIAL = (
    "axd_AXP_pwEjRWeJq83vASNFZ4mrze8AAAAApNKEn8_k63nx2OEyc7iVtYEP3ow49o6FaBEKkCXyIOmukPM"
    "Pef--8qPlYmEMS95o"
)
FROZEN_IDEMPOTENCY_DIGEST = "63b6e87ec5222f066f16ef09b4fd1bb1"


def codec_of(*secret_keys: str | bytes) -> TokenCodec:
    return make_codec("axa_", "axr_", "axs_", "axd_", secret_keys)


CODEC, FOREIGN = codec_of(KEY, OLD_KEY), codec_of(FOREIGN_KEY)


def a_token(kind: TokenKind = REFRESH, generation: int = 7) -> Token:
    return Token(kind, SESSION_ID, generation, SECRET)


def secret_after(
    presented: Token, *, nonce: bytes = NONCE, kind: TokenKind = REFRESH, key: int = 0
) -> bytes:
    """Return the secret that the ratchet derives under the first accepted key, or a later one."""
    derive = CODEC.successors if kind is REFRESH else CODEC.access_tokens
    return list(derive(presented, nonce))[key].token.secret


def assert_forged(raw_token: str, kind: TokenKind, codec: TokenCodec = CODEC) -> None:
    with pytest.raises(ForgedTokenError):
        codec.parse(raw_token, kind)


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
    assert CODEC.parse(CODEC.mint(token), kind) == token


@KINDS
def test_a_token_is_one_hundred_characters_that_any_header_carries(kind: TokenKind) -> None:
    raw_token = CODEC.mint(a_token(kind))
    assert len(raw_token) == 100
    assert TOKEN68.fullmatch(raw_token)
    assert (
        raw_token[:4]
        == {"access": "axa_", "refresh": "axr_", "service": "axs_", "device": "axd_"}[kind.value]
    )


@KINDS
def test_version_one_stays_what_phones_already_hold(kind: TokenKind) -> None:
    codec, token = codec_of("known-answer"), a_token(kind)
    assert codec.mint(token) == FROZEN[kind]
    assert codec.parse(FROZEN[kind], kind) == token


def test_version_one_derives_what_phones_already_hold() -> None:
    codec = codec_of("known-answer")
    assert next(codec.successors(a_token(), NONCE)).raw_token == FROZEN_SUCCESSOR
    assert next(codec.access_tokens(a_token(), NONCE)).raw_token == FROZEN_ACCESS
    (digest,) = codec.idempotency_digests("an idempotency key", a_token())
    assert digest.hex() == FROZEN_IDEMPOTENCY_DIGEST


@KINDS
@pytest.mark.parametrize("key", [KEY, OLD_KEY])
def test_every_change_of_a_single_character_is_refused(kind: TokenKind, key: str) -> None:
    raw_token = codec_of(key).mint(a_token(kind))
    CODEC.parse(raw_token, kind)
    for position, char in enumerate(raw_token):
        for other in set("AZaz09-_+/=. \n\0é€\ud800") - {char}:
            assert_forged(raw_token[:position] + other + raw_token[position + 1 :], kind)


def test_the_other_base64_alphabet_is_no_second_spelling() -> None:
    spelled = [
        raw_token
        for raw_token in (CODEC.mint(a_token(generation=n)) for n in range(50))
        if set("-_") & set(raw_token[4:])
    ]
    assert spelled
    for raw_token in spelled:
        assert_forged("axr_" + raw_token[4:].replace("-", "+").replace("_", "/"), REFRESH)


@KINDS
def test_every_truncation_and_extension_is_refused(kind: TokenKind) -> None:
    raw_token = CODEC.mint(a_token(kind))
    for length in range(100):
        assert_forged(raw_token[:length], kind)
        assert_forged(raw_token[length + 1 :], kind)
    for extra in ("A", "AAAA", "=", "==", " ", "\n", "\0", raw_token):
        assert_forged(raw_token + extra, kind)
        assert_forged(extra + raw_token, kind)


@KINDS
def test_one_kind_never_passes_for_the_other(kind: TokenKind) -> None:
    raw_token = CODEC.mint(a_token(kind))
    for other in OTHERS[kind]:
        assert_forged(raw_token, other)
        assert_forged(CODEC.prefixes[other] + raw_token[4:], other)


def test_one_kind_never_passes_for_the_other_even_where_prefixes_are_the_same() -> None:
    codec = make_codec("ax_", "ax_", "ax_", "ax_", (KEY,))
    assert_forged(codec.mint(a_token(REFRESH)), ACCESS, codec)
    assert_forged(codec.mint(a_token(ACCESS)), REFRESH, codec)


@KINDS
def test_a_foreign_key_is_refused_and_a_fallback_accepted(kind: TokenKind) -> None:
    assert CODEC.parse(codec_of(OLD_KEY).mint(a_token(kind)), kind) == a_token(kind)
    assert_forged(FOREIGN.mint(a_token(kind)), kind)


def test_a_key_may_be_bytes() -> None:
    codec = codec_of(b"\xff\x00 bytes")
    assert codec.parse(codec.mint(a_token()), REFRESH) == a_token()


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_refused_although_its_tag_verifies(
    version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(tokens, "VERSION", version)
        raw_token = CODEC.mint(a_token())
        assert CODEC.parse(raw_token, REFRESH) == a_token()
    assert_forged(raw_token, REFRESH)


def with_key_ids(codec: TokenCodec, key_id: bytes) -> TokenCodec:
    return replace(codec, keys=[replace(key, key_id=key_id) for key in codec.keys])


def test_keys_whose_ids_collide_are_both_tried() -> None:
    codec = with_key_ids(CODEC, b"\0\0\0")
    for key in (KEY, OLD_KEY):
        minted = with_key_ids(codec_of(key), b"\0\0\0").mint(a_token())
        assert codec.parse(minted, REFRESH) == a_token()
    assert_forged(with_key_ids(FOREIGN, b"\0\0\0").mint(a_token()), REFRESH, codec)


def test_the_key_id_alone_proves_nothing() -> None:
    assert_forged(with_key_ids(FOREIGN, CODEC.keys[0].key_id).mint(a_token()), REFRESH)


def test_the_ratchet_gives_the_same_pair_for_the_same_token() -> None:
    assert list(CODEC.successors(a_token(), NONCE)) == list(CODEC.successors(a_token(), NONCE))
    assert list(CODEC.access_tokens(a_token(), NONCE)) == list(
        CODEC.access_tokens(a_token(), NONCE)
    )
    successor = next(CODEC.successors(a_token(), NONCE))
    assert CODEC.parse(successor.raw_token, REFRESH) == successor.token
    assert (successor.token.session_id, successor.token.generation) == (SESSION_ID, 8)
    access = next(CODEC.access_tokens(successor.token, NONCE))
    assert (access.token.kind, access.token.generation) == (ACCESS, 8)


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


def test_the_ratchet_follows_the_order_of_keys() -> None:
    in_use, older = CODEC.successors(a_token(), NONCE)
    turned = codec_of(OLD_KEY, KEY)
    assert list(turned.successors(a_token(), NONCE)) == [older, in_use]


def test_version_one_proves_a_device_by_what_it_already_holds() -> None:
    codec = codec_of("known-answer")
    assert codec.mint_device(SESSION_ID, user="7", password="the hash") == FROZEN_CREDENTIAL


def test_a_device_credential_is_bound_to_its_user_and_apart_to_the_password() -> None:
    raw_credential = CODEC.mint_device(SESSION_ID, user="7", password="one")
    credential = CODEC.parse(raw_credential, DEVICE)
    assert CODEC.is_device_of(credential, user="7")
    assert not CODEC.is_device_of(credential, user="8")
    # One half never passes for the other.
    assert not CODEC.is_device_of(credential, user="one")
    assert CODEC.is_device_under(credential, passwords=["two", "one"])
    assert not CODEC.is_device_under(credential, passwords=["two", "7"])
    assert not codec_of(OLD_KEY).is_device_of(credential, user="7")
    rotated = codec_of("a newer key", KEY)
    assert rotated.is_device_of(credential, user="7")
    assert rotated.is_device_under(credential, passwords=["one"])


def test_an_idempotency_digest_differs_in_each_of_its_inputs() -> None:
    digests = [
        *CODEC.idempotency_digests("k" * 16, a_token()),
        *CODEC.idempotency_digests("k" * 17, a_token()),
        *CODEC.idempotency_digests("k" * 16, a_token(generation=8)),
        *CODEC.idempotency_digests("k" * 16, Token(REFRESH, uuid4(), 7, SECRET)),
    ]
    assert len(set(digests)) == len(digests) == 8
    assert {len(digest) for digest in digests} == {16}


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
        raw_tokens.add(next(CODEC.access_tokens(token, nonce)).raw_token)
        successor = next(CODEC.successors(token, nonce))
        raw_tokens.add(successor.raw_token)
        token = successor.token
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
    body = urlsafe_b64decode(CODEC.mint(a_token(kind))[4:])
    assert struct.unpack(">I", body[20:24]) == (7,)
    grafted = body[:20] + struct.pack(">I", 8) + body[24:]
    assert_forged(CODEC.prefixes[kind] + urlsafe_b64encode(grafted).decode(), kind)


def test_the_digest_is_what_knox_hashes() -> None:
    raw_token = RawToken(FROZEN[REFRESH])
    assert digest_of(raw_token) == hashlib.sha512(raw_token.encode()).hexdigest()


def test_the_digest_follows_the_setting_of_knox(settings: Settings) -> None:
    settings.REST_KNOX = {"SECURE_HASH_ALGORITHM": "hashlib.sha3_512"}
    raw_token = RawToken(FROZEN[REFRESH])
    assert digest_of(raw_token) == hashlib.sha3_512(raw_token.encode()).hexdigest()


def test_the_codec_of_the_project_follows_its_settings(settings: Settings) -> None:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "known-answer", []
    assert token_codec().mint(a_token()) == FROZEN[REFRESH]
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = KEY, ["known-answer"]
    settings.AUTHX = {"REFRESH_TOKEN_PREFIX": "mine_"}
    assert token_codec().mint(a_token()).startswith("mine_")
    assert token_codec().parse("mine_" + FROZEN[REFRESH][4:], REFRESH) == a_token()
