"""Tokens that somebody else minted, in the very format of this server."""

from dataclasses import replace

from authx.codec import token_codec
from authx.tokens import RawToken, SigningKey, Token


def mint_with(secret_key: str | bytes, token: Token) -> RawToken:
    """Return a token as a server with this SECRET_KEY would mint it."""
    return replace(token_codec(), keys=[SigningKey.derive(secret_key)]).mint(token)
