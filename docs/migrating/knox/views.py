"""The sign-in and the sign-outs of old versions of the app."""

from datetime import timedelta

from django.contrib.auth.signals import user_logged_out

from authx.api import EventKind, revoke_all
from authx.contrib.sunset.views import SunsetView
from knox.views import LoginView, LogoutAllView, LogoutView

from .authentication import OldTokenAuthentication
from .models import OldToken


class OldLoginView(SunsetView, LoginView):
    """Replaces Knox's LoginView; a subclass of yours takes the second place."""

    def create_token(self):
        return OldToken.objects.create(user=self.request.user, expiry=timedelta(days=30))


class OldLogoutView(LogoutView):
    """Replaces Knox's LogoutView."""

    authentication_classes = [OldTokenAuthentication]


class OldLogoutAllView(LogoutAllView):
    """Replaces Knox's LogoutAllView, which would delete device sessions."""

    authentication_classes = [OldTokenAuthentication]

    def post(self, request, **_):
        user = request.user
        user.old_tokens.all().delete()
        revoke_all(user_id=user.pk, reason=EventKind.SIGNED_OUT_EVERYWHERE)
        user_logged_out.send(sender=user.__class__, request=request, user=user)
        return self.get_post_response(request)
