"""The table of stock Knox, which Knox itself does not use any more."""

from django.conf import settings
from django.db import models

from knox.models import AbstractAuthToken


class OldToken(AbstractAuthToken):
    """A token of the older scheme; deleted with its user, as before."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="old_tokens")

    class Meta:
        db_table = "knox_authtoken"
