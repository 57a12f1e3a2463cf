"""Authentication and throttling of services, for DRF."""

from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from django.views.decorators.debug import sensitive_variables
from rest_framework.authentication import BasicAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from authx import conf
from authx.contrib.introspection.models import Service
from authx.contrib.introspection.services import authenticate_service
from authx.errors import InvalidServiceError
from authx.throttling.classes import consume_recorded, count_forged_token
from authx.throttling.limits import Limit

if TYPE_CHECKING:
    from rest_framework.views import APIView


class ServiceAuthentication(BasicAuthentication):
    """Sets `request.user` to the Service (`client_secret_basic`, RFC 6749 section 2.3.1).

    Raises InvalidServiceError for any other credentials, and for none.
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
        request: Request | None = None,
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


class ServiceThrottle(BaseThrottle):
    """Limits the requests of one service, from however many machines."""

    def allow_request(self, request: Request, view: "APIView") -> bool:
        service_id = str(request.user.pk)
        consume_recorded(
            Limit("requests of a service", service_id, conf.authx_setting("SERVICE_RATES"))
        )
        return True
