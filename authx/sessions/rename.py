"""Renames a device, the one thing about it that its owner may say."""

from authx.models import DeviceSession


def rename_session(*, session: DeviceSession, name: str) -> None:
    """Write a user's name for a device."""
    DeviceSession.objects.filter(pk=session.pk).update(name=name)
    session.name = name
