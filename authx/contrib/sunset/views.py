"""Views of an older authentication scheme.

Apart from the authentication class, which DRF loads before its own views where a project names it
among its default authentication classes.
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
