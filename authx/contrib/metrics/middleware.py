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

# A path that no URL pattern matches; the path itself could be anything.
NO_ROUTE: Final = "none"


class MetricsMiddleware:
    """Counts each request by route (the name of its URL), method and status, with its duration."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = perf_counter()
        route = NO_ROUTE
        try:
            response = self.get_response(request)
        finally:
            if request.resolver_match is not None:
                route = request.resolver_match.view_name
                REQUESTS_IN_PROGRESS.labels(route).dec()
        method = request.method if request.method in METHODS else OTHER
        status = str(response.status_code)
        REQUEST_DURATION.labels(route, method, status).observe(perf_counter() - began)
        return response

    def process_view(self, request: HttpRequest, *_: Any) -> None:
        # Only now is the route known.
        match: Any = request.resolver_match
        REQUESTS_IN_PROGRESS.labels(match.view_name).inc()
