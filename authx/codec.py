"""Mints, parses and hashes tokens according to the settings."""

from typing import Final

from knox.crypto import hash_token

from authx import conf
from authx.tokens import RawToken, TokenCodec, TokenDigest, make_codec

SERVICE_PREFIX: Final = "axs_"
DEVICE_PREFIX: Final = "axd_"


def token_codec() -> TokenCodec:
    """Return the codec of the current keys and prefixes."""
    return make_codec(
        conf.knox_setting("TOKEN_PREFIX"),
        conf.authx_setting("REFRESH_TOKEN_PREFIX"),
        SERVICE_PREFIX,
        DEVICE_PREFIX,
        tuple(conf.secret_keys()),
    )


def digest_of(raw_token: RawToken) -> TokenDigest:
    """Return the form of a token at rest: hex, by Knox's SECURE_HASH_ALGORITHM."""
    return TokenDigest(hash_token(raw_token))
