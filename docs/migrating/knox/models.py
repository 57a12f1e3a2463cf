"""The table of stock Knox, which Knox itself does not use any more."""

from django.conf import settings
from django.db import models
from django.dispatch import receiver

from authx.api import sessions_revoked
from knox.models import AbstractAuthToken


class OldToken(AbstractAuthToken):
    """A token of the older scheme; deleted with its user, as before."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="old_tokens")

    class Meta:
        db_table = "knox_authtoken"


@receiver(sessions_revoked)
def end_old_tokens(user_id, everywhere, **_):
    """Delete the tokens of one user, or without a user_id those of all users."""
    if everywhere:
        owner = {} if user_id is None else {"user_id": user_id}
        OldToken.objects.filter(**owner).delete()
