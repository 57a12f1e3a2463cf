"""Ends access tokens, as time would."""

from django.apps import apps
from django.conf import settings
from django.utils import timezone


def expire_access_tokens() -> None:
    """Let every access token expire at this moment."""
    apps.get_model(settings.KNOX_TOKEN_MODEL)._default_manager.update(expiry=timezone.now())
