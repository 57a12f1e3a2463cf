"""Views of a scheme that authx replaces.

Apart from the authentication class, which DRF loads before its own views where a project names it
among its default authentication classes.
"""

from typing import Any

from rest_framework.request import Request
from rest_framework.views import APIView

from authx.contrib.sunset.authentication import announce_sunset


class SunsetView(APIView):
    """Put before a view of the old scheme (its sign-in, its refresh), which ends with it."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        announce_sunset(request)
        super().initial(request, *args, **kwargs)
