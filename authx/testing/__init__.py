"""Helpers for the tests of a project; needs neither pytest nor httpx, and nothing of authx uses it.

`authx.testing.httpx_client` and `authx.testing.pytest_plugin` are imported by name.
"""

from authx.testing.clients import DeviceClient, LostAnswerError, SignedInDevice, new_pair
from authx.testing.clock import follow_python_clock
from authx.testing.expiry import expire_access_token, expire_refresh_token, expire_session
from authx.testing.limits import count_separately, without_rate_limits

__all__ = [
    "DeviceClient",
    "LostAnswerError",
    "SignedInDevice",
    "count_separately",
    "expire_access_token",
    "expire_refresh_token",
    "expire_session",
    "follow_python_clock",
    "new_pair",
    "without_rate_limits",
]
