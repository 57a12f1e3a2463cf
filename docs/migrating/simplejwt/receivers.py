"""What ends every session of a user also ends the old refresh tokens.

Without token_blacklist, there is nothing that could: leave this file out.
"""

from django.dispatch import receiver
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from authx.api import sessions_revoked


@receiver(sessions_revoked)
def end_old_tokens(user_id, everywhere, **_):
    """Revoke the refresh tokens of one user, or without a user_id those of all users."""
    if everywhere:
        owner = {} if user_id is None else {"user_id": user_id}
        live = OutstandingToken.objects.filter(blacklistedtoken=None, **owner)
        BlacklistedToken.objects.bulk_create(
            [BlacklistedToken(token=token) for token in live], ignore_conflicts=True
        )
