"""The first authentication class of a view decides whether an app learns that it has to refresh."""

from typing import Any

import pytest
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView
from rest_framework.views import exception_handler as handler_of_drf

from authx.rest.authentication import TokenAuthentication
from authx.rest.exceptions import exception_handler

pytestmark = pytest.mark.django_db

OURS_FIRST = (TokenAuthentication, SessionAuthentication)
OURS_LAST = (SessionAuthentication, TokenAuthentication)


class OwnView(APIView):
    permission_classes = (IsAuthenticated,)

    def get(self, _: Any) -> Response:
        return Response({})


@pytest.mark.parametrize(
    ("schemes", "handler", "status"),
    [
        (OURS_FIRST, handler_of_drf, 401),
        (OURS_FIRST, exception_handler, 401),
        (OURS_LAST, exception_handler, 401),
        # Check authx.W022.
        (OURS_LAST, handler_of_drf, 403),
    ],
)
def test_a_refused_token_is_a_401_if_the_first_class_has_a_challenge(
    monkeypatch: pytest.MonkeyPatch, schemes: tuple[Any, ...], handler: Any, status: int
) -> None:
    monkeypatch.setattr(OwnView, "authentication_classes", schemes)
    monkeypatch.setattr(OwnView, "get_exception_handler", lambda _: handler)
    request = APIRequestFactory().get("/", headers={"authorization": "Bearer axa_expired"})
    assert OwnView.as_view()(request).status_code == status
