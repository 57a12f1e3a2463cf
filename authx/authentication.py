"""Bearer authentication for DRF: Knox's class, with the rules of authx behind it."""

from typing import Final

from django.contrib.auth.base_user import AbstractBaseUser
from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from rest_framework.authentication import get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from authx import conf
from authx.errors import InvalidAccessTokenError
from authx.models import AccessToken
from authx.sessions.use import use_access_token

# Where the request under way keeps what RequestContextMiddleware adds to its answer; no client can
# set it, for headers begin with HTTP_ there.
AUTHENTICATION_INFO: Final = "authx.authentication_info"


class TokenAuthentication(KnoxTokenAuthentication):
    """Sets `request.user`, and `request.auth` to the AccessToken, its session loaded."""

    def authenticate(self, request: Request) -> tuple[AbstractBaseUser, AccessToken] | None:
        scheme, _, credentials = get_authorization_header(request).partition(b" ")
        # Another scheme may be another backend's; the name is case-insensitive (RFC 9110 11.1).
        if scheme.lower() != conf.knox("AUTH_HEADER_PREFIX").lower().encode():
            return None
        user, access_token = self.authenticate_credentials(credentials.strip())
        if access_token.renewed_at is not None:
            left = access_token.expiry - access_token.renewed_at
            info = f"expires_in={int(left.total_seconds())}"
            request._request.META[AUTHENTICATION_INFO] = info
        return user, access_token

    def authenticate_credentials(self, token: bytes) -> tuple[AbstractBaseUser, AccessToken]:
        # Every refusal is the same to the outside; latin-1 reads any byte that a header can hold.
        try:
            access_token = use_access_token(raw_token=token.decode("latin-1"))
        except InvalidAccessTokenError as error:
            raise AuthenticationFailed from error
        return access_token.user, access_token

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002 -- DRF's signature
        return challenge("unauthorized")


def challenge(code: str) -> str:
    """Return WWW-Authenticate; without credentials it names no error (RFC 6750 section 3.1)."""
    realm = f'Bearer realm="{conf.own("REALM")}"'
    return f'{realm}, error="invalid_token"' if code == "invalid_token" else realm
