"""Views of authx are found wherever a project mounts them."""

from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import include, path, re_path
from django.views.generic import View

from authx.checks.endpoints import check_endpoints
from authx.rest.endpoints import find_endpoints
from authx.rest.views.account import MeView
from tests.no_urls import urlpatterns as no_urls


def logged(view: Any) -> Any:
    @wraps(view)
    def wrapper(request: HttpRequest, **arguments: Any) -> Any:
        return view(request, **arguments)

    return wrapper


class OwnMeView(MeView):
    """A project's subclass."""


me = re_path("^me/?$", OwnMeView.as_view())
urlpatterns: list[Any] = [
    path("", View.as_view()),
    path("own", lambda _: HttpResponse()),
    path("empty/", include(no_urls)),
    path("plain/me", logged(MeView.as_view())),
    path("shop/<uuid:shop>/<int:floor>/", include([me])),
    re_path(r"^(?P<city>[a-z]{4})-shop/", include([me])),
    re_path(r"^(?:one|another)/", include([me])),
]


@override_settings(ROOT_URLCONF=__name__)
def test_each_is_found_with_a_path_that_leads_to_it() -> None:
    found = list(find_endpoints())
    assert [endpoint.view for endpoint in found] == [MeView, OwnMeView, OwnMeView]
    assert [endpoint.path for endpoint in found] == [
        "/plain/me",
        "/shop/00000000-0000-0000-0000-000000000000/1/me",
        # No example has four letters: then any will do.
        "/x-shop/me",
    ]
    assert [endpoint.is_fixed for endpoint in found] == [True, False, False]


def test_a_mount_that_cannot_be_found_is_said_to_be_missing() -> None:
    with override_settings(ROOT_URLCONF=tuple(urlpatterns[-1:])):
        assert [message.id for message in check_endpoints()] == ["authx.W018"]
