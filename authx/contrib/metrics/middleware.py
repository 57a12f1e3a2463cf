"""Measures requests; belongs first, before RequestContextMiddleware."""

from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

from django.http import HttpRequest, HttpResponse

from authx.contrib.metrics.instruments import (
    METHODS,
    OTHER,
    REQUEST_DURATION,
    REQUESTS_IN_PROGRESS,
)
from authx.rest.middleware import Middleware

# A path that no URL pattern matches; the path itself could be anything.
NO_ROUTE: Final = "none"


class MetricsMiddleware(Middleware):
    """Counts each request by route (the name of its URL), method and status, with its duration."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        if self.is_async:
            # Django would call the other one in a thread.
            vars(self)["process_view"] = self._process_view

    def __call__(self, request: HttpRequest) -> Any:
        if self.is_async:
            return self.__acall__(request)
        began = perf_counter()
        try:
            response = self.get_response(request)
        finally:
            route = _leave(request)
        _observe(request, response, route, perf_counter() - began)
        return response

    async def __acall__(self, request: HttpRequest) -> HttpResponse:
        began = perf_counter()
        try:
            response: HttpResponse = await self.get_response(request)
        finally:
            route = _leave(request)
        _observe(request, response, route, perf_counter() - began)
        return response

    def process_view(self, request: HttpRequest, *_: Any) -> None:
        # Only now is the route known.
        _enter(request)

    async def _process_view(self, request: HttpRequest, *_: Any) -> None:
        _enter(request)


def _enter(request: HttpRequest) -> None:
    match: Any = request.resolver_match
    REQUESTS_IN_PROGRESS.labels(match.view_name).inc()


def _leave(request: HttpRequest) -> str:
    """Note that a request is no longer in progress; return its route."""
    if request.resolver_match is None:
        return NO_ROUTE
    route: str = request.resolver_match.view_name
    REQUESTS_IN_PROGRESS.labels(route).dec()
    return route


def _observe(request: HttpRequest, response: HttpResponse, route: str, seconds: float) -> None:
    method = request.method if request.method in METHODS else OTHER
    REQUEST_DURATION.labels(route, method, str(response.status_code)).observe(seconds)
