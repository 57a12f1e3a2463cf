"""Who makes a request, for DRF: a user by a bearer token, or a service by its credential."""

from typing import Final
from urllib.parse import unquote_plus

from django.contrib.auth.base_user import AbstractBaseUser
from django.views.decorators.debug import sensitive_variables
from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from rest_framework.authentication import BasicAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from authx import conf
from authx.errors import ForgedTokenError, InvalidAccessTokenError, InvalidServiceError
from authx.models import DeviceSession, Service
from authx.service_credentials import authenticate_service
from authx.sessions.use import use_access_token
from authx.throttling.classes import count_forged_token

# Where the request under way keeps what RequestContextMiddleware adds to its answer; no client can
# set it, for headers begin with HTTP_ there.
AUTHENTICATION_INFO: Final = "authx.authentication_info"


class TokenAuthentication(KnoxTokenAuthentication):
    """Sets `request.user`, and `request.auth` to the DeviceSession, which is the Knox token."""

    @sensitive_variables()
    def authenticate(self, request: Request) -> tuple[AbstractBaseUser, DeviceSession] | None:
        scheme, _, credentials = get_authorization_header(request).partition(b" ")
        # Another scheme may be another backend's; the name is case-insensitive (RFC 9110 11.1).
        if scheme.lower() != conf.knox("AUTH_HEADER_PREFIX").lower().encode():
            return None
        user, session = self.authenticate_credentials(credentials.strip())
        if session.renewed_at is not None:
            left = session.expiry - session.renewed_at
            info = f"expires_in={int(left.total_seconds())}"
            request._request.META[AUTHENTICATION_INFO] = info
        return user, session

    def authenticate_credentials(self, token: bytes) -> tuple[AbstractBaseUser, DeviceSession]:
        # Every refusal is the same to the outside; latin-1 reads any byte that a header can hold.
        try:
            session = use_access_token(raw_token=token.decode("latin-1"))
        except InvalidAccessTokenError as error:
            if isinstance(error.__cause__, ForgedTokenError):
                count_forged_token()
            raise AuthenticationFailed from error
        return session.user, session

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002 -- DRF's signature
        return challenge("unauthorized")


class ServiceAuthentication(BasicAuthentication):
    """Sets `request.user` to the Service (`client_secret_basic`, RFC 6749 section 2.3.1).

    Whoever is no service gets no further, with credentials of another kind or with none.
    """

    @sensitive_variables()
    def authenticate(self, request: Request) -> tuple[Service, None]:
        try:
            authenticated: tuple[Service, None] | None = super().authenticate(request)
        except AuthenticationFailed as error:
            raise InvalidServiceError("malformed") from error
        if authenticated is None:
            raise InvalidServiceError("no credentials")
        return authenticated

    def authenticate_credentials(
        self,
        userid: str,
        password: str,
        request: Request | None = None,  # noqa: ARG002 -- DRF's signature
    ) -> tuple[Service, None]:
        # Both are form-encoded within the header, and some clients encode every "-" and "_".
        try:
            service = authenticate_service(
                client_id=unquote_plus(userid), raw_secret=unquote_plus(password)
            )
        except InvalidServiceError:
            count_forged_token()
            raise
        return service, None


def challenge(code: str) -> str:
    """Return WWW-Authenticate; without credentials it names no error (RFC 6750 section 3.1)."""
    realm = f'realm="{conf.own("REALM")}"'
    if code == "invalid_client":
        return f"Basic {realm}"
    return (
        f'Bearer {realm}, error="invalid_token"' if code == "invalid_token" else f"Bearer {realm}"
    )
