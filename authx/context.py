"""The context of the current request: set by the middleware, read by sessions, audit and logs."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final


@dataclass(frozen=True, slots=True)
class RequestContext:
    """Where a request comes from, as far as the network shows, and its id in the logs."""

    ip: str | None = None
    user_agent: str = ""
    request_id: str = ""
    method: str = ""
    path: str = ""


# The size of the network from which one household or phone can choose its addresses (RFC 6177).
IPV6_NETWORK_BITS: Final = 64
# What a provider gives to one household at most, and what a hoster or a company may have.
IPV6_SUBNET_BITS: Final = 56
IPV6_SITE_BITS: Final = 48
IPV4_SITE_BITS: Final = 24

# The key in `request.META` for log records that are written after the context has been left.
CONTEXT_KEY: Final = "authx.context"

# A command or a task has no request, and so an empty context, which is frozen.
_current: ContextVar[RequestContext] = ContextVar("authx_context", default=RequestContext())  # noqa: B039


def current_context() -> RequestContext:
    """Return the context of the current request; an empty one outside of requests."""
    return _current.get()


@contextmanager
def use_context(context: RequestContext) -> Iterator[None]:
    """Make a context the current one for a block."""
    marker = _current.set(context)
    try:
        yield
    finally:
        _current.reset(marker)


def network_of(ip: str) -> str:
    """Return a string that stands for a client's network: an IPv4 address, or an IPv6 /64."""
    address = _unmapped(ip)
    if isinstance(address, IPv6Address):
        return _prefix(address, IPV6_NETWORK_BITS)
    return str(address)


def subnets_of(ip: str) -> dict[str, str]:
    """Return the networks around that of a client.

    "subnet" is an IPv6 /56; "site" is an IPv6 /48, or an IPv4 /24.
    """
    address = _unmapped(ip)
    if isinstance(address, IPv6Address):
        return {
            "subnet": _prefix(address, IPV6_SUBNET_BITS),
            "site": _prefix(address, IPV6_SITE_BITS),
        }
    return {"site": _prefix(address, IPV4_SITE_BITS)}


def _unmapped(ip: str) -> IPv4Address | IPv6Address:
    address = ip_address(ip)
    return getattr(address, "ipv4_mapped", None) or address


def _prefix(address: IPv4Address | IPv6Address, bits: int) -> str:
    return str(int(address) >> (address.max_prefixlen - bits))
