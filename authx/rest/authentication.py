"""Bearer token authentication for DRF (RFC 6750)."""

from typing import Final

from django.contrib.auth.base_user import AbstractBaseUser
from django.views.decorators.debug import sensitive_variables
from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from rest_framework.authentication import get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from authx import conf
from authx.errors import ForgedTokenError, InvalidAccessTokenError
from authx.models import DeviceSession
from authx.sessions.use import use_access_token
from authx.throttling.classes import count_forged_token

# The key in `request.META` of a header that RequestContextMiddleware adds to the response. A client
# cannot set it: the headers of a request begin with HTTP_ there.
AUTHENTICATION_INFO: Final = "authx.authentication_info"


class TokenAuthentication(KnoxTokenAuthentication):
    """Sets `request.user`, and `request.auth` to the DeviceSession, which is the Knox token."""

    @sensitive_variables()
    def authenticate(self, request: Request) -> tuple[AbstractBaseUser, DeviceSession] | None:
        scheme, _, credentials = get_authorization_header(request).partition(b" ")
        # Another class may handle another scheme.
        if not _is_bearer(scheme):
            return None
        user, session = self.authenticate_credentials(credentials.strip())
        if session.renewed_at is not None:
            left = session.expiry - session.renewed_at
            # Of DRF's request or Django's own: a project may authenticate outside of DRF.
            request.META[AUTHENTICATION_INFO] = f"expires_in={int(left.total_seconds())}"
        return user, session

    def authenticate_credentials(self, token: bytes) -> tuple[AbstractBaseUser, DeviceSession]:
        # Every refusal has the same response. latin-1 decodes any byte that a header can contain.
        try:
            session = use_access_token(raw_token=token.decode("latin-1"))
        except InvalidAccessTokenError as error:
            if isinstance(error.__cause__, ForgedTokenError):
                count_forged_token()
            raise AuthenticationFailed from error
        return session.user, session

    def authenticate_header(self, request: Request) -> str:
        # With DRF's own exception handler too, a client learns that its token was refused.
        scheme, _, _ = get_authorization_header(request).partition(b" ")
        return challenge("invalid_token" if _is_bearer(scheme) else "unauthorized")


def _is_bearer(scheme: bytes) -> bool:
    # The name of a scheme is case-insensitive (RFC 9110 section 11.1).
    expected: str = conf.knox_setting("AUTH_HEADER_PREFIX")
    return scheme.lower() == expected.lower().encode()


def challenge(code: str) -> str:
    """Return WWW-Authenticate; it names no error for missing credentials (RFC 6750 section 3.1)."""
    realm = f'realm="{conf.authx_setting("REALM")}"'
    if code == "invalid_client":
        return f"Basic {realm}"
    return (
        f'Bearer {realm}, error="invalid_token"' if code == "invalid_token" else f"Bearer {realm}"
    )
