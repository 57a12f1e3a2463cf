"""Parameters of operations."""

from typing import Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

# JSON Schema cannot say "both quotes or none", so without quotes.
IDEMPOTENCY_KEY_PATTERN: Final = r"^[!#-~]{16,128}$"
IDEMPOTENCY_KEY: Final = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    pattern=IDEMPOTENCY_KEY_PATTERN,
    description="A random value, stored before the first attempt and sent with every attempt of "
    "this refresh: 16 to 128 visible ASCII characters.",
)
DEVICE_ID: Final = OpenApiParameter(
    "id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="The `device.id` of a pair."
)
CURSOR: Final = OpenApiParameter(
    "cursor", str, description="From `next` or `previous` of another page."
)
