"""What ends every session of a user also ends the old token."""

from django.dispatch import receiver
from rest_framework.authtoken.models import Token

from authx.api import sessions_revoked


@receiver(sessions_revoked)
def end_old_tokens(user_id, everywhere, **_):
    """Delete the token of one user, or without a user_id those of all users."""
    if everywhere:
        owner = {} if user_id is None else {"user_id": user_id}
        Token.objects.filter(**owner).delete()
