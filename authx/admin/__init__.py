"""What operators see: to look at and to end, never to edit; no digest anywhere."""

from authx.admin import events, passwords, services, sessions

__all__ = ["events", "passwords", "services", "sessions"]
