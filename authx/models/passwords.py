"""Consecutive failures of a password."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from authx.models.sessions import PrimaryManager


class PasswordFailures(models.Model):
    """The consecutive failed attempts at one stored password of an account."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="+",
        verbose_name=_("user"),
    )
    count = models.PositiveIntegerField(_("failed attempts in a row"))
    fingerprint = models.CharField(max_length=64)

    objects = PrimaryManager["PasswordFailures"]()

    class Meta:
        verbose_name = _("account with failed sign-ins")
        verbose_name_plural = _("accounts with failed sign-ins")
        permissions: ClassVar = [("unlock_password", "Can unlock sign-in by password")]

    def __str__(self) -> str:
        sentence = ngettext(
            "%(count)d failed password attempt of user %(user)s",
            "%(count)d failed password attempts of user %(user)s",
            self.count,
        )
        return sentence % {"count": self.count, "user": self.user_id}
