"""What operators see: to look at and to end, never to edit; no digest anywhere."""

from authx.admin import passwords, services, sessions

__all__ = ["passwords", "services", "sessions"]
