"""What ends every session of a user also ends the old tokens."""

from django.dispatch import receiver

from authx.api import sessions_revoked

from .models import OldToken


@receiver(sessions_revoked)
def end_old_tokens(user_id, everywhere, **_):
    """Delete the tokens of one user, or without a user_id those of all users."""
    if everywhere:
        owner = {} if user_id is None else {"user_id": user_id}
        OldToken.objects.filter(**owner).delete()
