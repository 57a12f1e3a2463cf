"""Which hosts are this machine: what only other machines can reach needs more protection."""

from ipaddress import ip_address

from django.conf import settings


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine; a socket file and an empty name are."""
    name = host.strip("[]")
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name in {"", "localhost"} or name.endswith(".localhost") or name.startswith("/")


def is_public() -> bool:
    """Return whether ALLOWED_HOSTS admits other machines."""
    return not all(is_loopback(host) for host in settings.ALLOWED_HOSTS)
