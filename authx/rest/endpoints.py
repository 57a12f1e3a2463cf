"""Where a project has mounted endpoints of authx, under whatever prefixes and namespaces.

Django's `reverse` needs the namespaces of a mount, and cannot name some at all.
"""

import re
from collections.abc import Iterator
from itertools import product
from typing import Final, NamedTuple
from uuid import UUID

from django.urls import URLResolver, get_resolver, get_script_prefix, get_urlconf
from django.utils.regex_helper import normalize

from authx.rest.views.base import AuthxView

# What may stand for an argument of a path, such as the name of a tenant.
ARGUMENTS: Final = ("x", "1", str(UUID(int=0)))


class Endpoint(NamedTuple):
    """A view at one URL; `path` is an example that begins with a slash, without script prefix."""

    view: type[AuthxView]
    path: str
    # Whether the path has no arguments.
    is_fixed: bool

    @property
    def takes_tokens(self) -> bool:
        return not self.view.is_public_data


def find_endpoints() -> Iterator[Endpoint]:
    """Yield every view of authx, and a project's subclasses, in the order of the URLs.

    Not found are those behind a regular expression with alternatives, as with `reverse`, and those
    in a decorator that hides the view.
    """
    yield from _endpoints_in(get_resolver(get_urlconf()), "")


def metadata_paths() -> dict[str, str]:
    """Return the paths of the endpoints that the metadata name, with the script prefix.

    Of several mounts, the first one without arguments.
    """
    paths: dict[str, str] = {}
    for endpoint in find_endpoints():
        if endpoint.is_fixed and endpoint.view.metadata_name:
            path = get_script_prefix() + endpoint.path.removeprefix("/")
            paths.setdefault(endpoint.view.metadata_name, path)
    return paths


def _endpoints_in(resolver: URLResolver, prefix: str) -> Iterator[Endpoint]:
    for pattern in resolver.url_patterns:
        regex = prefix + pattern.pattern.regex.pattern.removeprefix("^")
        if isinstance(pattern, URLResolver):
            yield from _endpoints_in(pattern, regex)
            continue
        view = getattr(pattern.callback, "view_class", None)
        if isinstance(view, type) and issubclass(view, AuthxView):
            # As Django itself does for `reverse`: the simplest path that matches.
            path, names = normalize(regex)[0]
            if path:
                yield Endpoint(view, f"/{_filled(path, names, regex)}", is_fixed=not names)


def _filled(path: str, names: list[str], regex: str) -> str:
    """Return a path with arguments that its converters accept."""
    choices = product(ARGUMENTS, repeat=len(names))
    filled = [path % dict(zip(names, one, strict=True)) for one in choices]
    return next((one for one in filled if re.match(regex, one)), filled[0])
