"""Names the node and its version in every response, so that the phones can count them."""

import os
from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponse

SERVED_BY: Final = "X-Served-By"


class ServedByMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.name = f"{os.environ['NODE']} version {os.environ['RELEASE']}"

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response[SERVED_BY] = self.name
        return response
