"""Accepts tokens of stock Knox until the date."""

from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed

from authx.contrib.sunset.authentication import SunsetAuthentication
from knox.auth import TokenAuthentication
from knox.crypto import hash_token

from .models import OldToken


class OldTokenAuthentication(SunsetAuthentication, TokenAuthentication):
    """Knox's own class would look for the token among the device sessions."""

    def authenticate_credentials(self, token):
        digest = hash_token(token.decode("latin-1"))
        found = OldToken.objects.select_related("user").filter(digest=digest).first()
        if found is None or (found.expiry and found.expiry <= timezone.now()):
            raise AuthenticationFailed("Invalid token.")  # the same words as Knox
        return self.validate_user(found)
