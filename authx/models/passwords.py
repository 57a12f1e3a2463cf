"""What is kept of guesses at a password."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class PasswordFailures(models.Model):
    """How many wrong passwords in a row an account has seen, counted against one stored hash."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="password_failures",
    )
    count = models.PositiveIntegerField()
    fingerprint = models.CharField(max_length=64)

    class Meta:
        verbose_name = _("wrong passwords")
        verbose_name_plural = _("wrong passwords")
        permissions: ClassVar = [("unlock_password", "Can switch password sign-in on again")]

    def __str__(self) -> str:
        return f"{self.count} wrong passwords of user {self.user_id}"
