"""Password backends of projects, for tests of what is counted for whom."""

from typing import Any

from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.models import User

from authx.passwords.backends import ModelBackend

HERE = __name__
current_tenant = "one"


class EmailBackend(ModelBackend):
    """Signs users in by their address."""

    def find_user(self, username: str) -> Any:
        return User.objects.filter(email__iexact=username).first()


class CaseInsensitiveBackend(ModelBackend):
    """Signs users in by their name in whatever case."""

    def find_user(self, username: str) -> Any:
        return User.objects.filter(username__iexact=username).first()


def tenant() -> str:
    return current_tenant


class GateBackend(BaseBackend):
    """Refuses before others check, and knows no user itself, as that of django-axes does."""
