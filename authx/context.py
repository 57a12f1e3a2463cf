"""What is known of the request under way: set where it enters, read by the trail and the logs."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final


@dataclass(frozen=True, slots=True)
class RequestContext:
    """Where a request came from, as far as the network tells, and how it is called in the logs."""

    ip: str | None = None
    user_agent: str = ""
    request_id: str = ""
    method: str = ""
    path: str = ""


# What one household or one phone can choose its IPv6 addresses from (RFC 6177).
IPV6_NETWORK_BITS: Final = 64

# Where a request carries its own, for what is said of it when the context is left already.
CONTEXT_KEY: Final = "authx.source"

# A command or a task has no request: its source says nothing.
_current: ContextVar[RequestContext] = ContextVar("authx_source", default=RequestContext())  # noqa: B039 -- frozen


def current_context() -> RequestContext:
    return _current.get()


def network_of(ip: str) -> str:
    """Return what stands for a client's network: an IPv4 address, or the /64 of an IPv6 one."""
    address = ip_address(ip)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return str(int(address) >> (128 - IPV6_NETWORK_BITS))
    return str(getattr(address, "ipv4_mapped", None) or address)


@contextmanager
def within(source: RequestContext) -> Iterator[None]:
    """Make a source the current one for a block."""
    marker = _current.set(source)
    try:
        yield
    finally:
        _current.reset(marker)
