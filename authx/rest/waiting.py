"""How long a request has waited for this server, where the kernel or the proxy can say."""

import re
import socket
import struct
import sys
import time
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from django.http import HttpRequest

from authx import conf

# Of `struct tcp_info` in linux/tcp.h: when the last byte arrived, in milliseconds before now.
LAST_DATA_RECEIVED: Final = struct.Struct("=52xI")
# Seconds with a fraction (nginx: t=${msec}), or milliseconds (HAProxy: t=%[date(0,ms)]).
START: Final = re.compile(r"(?:t=)?(?:(\d{10}(?:\.\d+)?)|(\d{13}))")
# No proxy waits longer. More is the clock of another machine, which says nothing.
LONGEST: Final = timedelta(minutes=5)
NONE: Final = timedelta(0)


def time_waited(request: HttpRequest) -> timedelta:
    """Return the time since the request arrived, at the proxy or here; zero if it is unknown.

    A client cannot lengthen it: what counts at the socket is the last byte, and the proxy replaces
    the header REQUEST_START_HEADER.
    """
    return max(_since_proxy(request), _since_last_byte(request.META.get("gunicorn.socket")))


def _since_proxy(request: HttpRequest) -> timedelta:
    name: str | None = conf.authx_setting("REQUEST_START_HEADER")
    found = name and START.fullmatch(request.headers.get(name, ""))
    if not found:
        return NONE
    seconds = float(found[1]) if found[1] else int(found[2]) / 1000
    waited = timedelta(seconds=time.time() - seconds)
    return waited if NONE < waited < LONGEST else NONE


def _since_last_byte(connection: Any) -> timedelta:
    if connection is None or sys.platform != "linux":
        return NONE
    # A Unix socket has no such option.
    with suppress(OSError, struct.error):
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, LAST_DATA_RECEIVED.size)
        return timedelta(milliseconds=LAST_DATA_RECEIVED.unpack(info)[0])
    return NONE
