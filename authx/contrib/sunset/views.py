"""Views of an older authentication scheme.

They are in a module of their own because DRF imports default authentication classes before its
views, so the module of the authentication class must not import views.
"""

from typing import Any

from rest_framework.request import Request
from rest_framework.views import APIView

from authx.contrib.sunset.authentication import announce_sunset


class SunsetView(APIView):
    """A mixin for a view of the older scheme, such as its sign-in, which ends with it."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        announce_sunset(request)
        super().initial(request, *args, **kwargs)
