"""A service that may introspect tokens; only a digest of its secret is stored."""

import uuid
from typing import ClassVar

from django.db import models, router
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from knox.settings import CONSTANTS

from authx.tokens import RawToken


class PrimaryServiceManager(models.Manager["Service"]):
    """Reads from the write database: a lagging replica would accept a revoked service."""

    def get_queryset(self) -> models.QuerySet["Service"]:
        return super().get_queryset().using(router.db_for_write(self.model))


class Service(models.Model):
    """A service with one credential; a second one of the same name can replace it without a gap."""

    # DRF reads it from `request.user`, which is the service at introspection.
    is_authenticated = True
    # Not a column: set on the object that was just created.
    raw_secret: RawToken | None = None

    id = models.UUIDField(_("client ID"), primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("service name"), max_length=100)
    digest = models.CharField(max_length=CONSTANTS.DIGEST_LENGTH, unique=True, editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    # Written at most once a minute; shows whether a replaced credential is still in use.
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True, editable=False)

    objects = PrimaryServiceManager()

    class Meta:
        verbose_name = _("service")
        verbose_name_plural = _("services")
        permissions: ClassVar = [("revoke_service", "Can revoke service")]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=~models.Q(digest="") & ~models.Q(name=""),
                name="authx_service_has_name_and_digest",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.pk})"
