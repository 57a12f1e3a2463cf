"""Credentials of other services, for operators: to create and to revoke, never to read again."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from authx.models import Service
from authx.service_credentials import create_service, revoke_service

if TYPE_CHECKING:
    ServiceModelAdmin = admin.ModelAdmin[Service]
else:
    ServiceModelAdmin = admin.ModelAdmin


@admin.register(Service)
class ServiceAdmin(ServiceModelAdmin):
    actions = ("revoke",)
    ordering = ("-created_at",)
    list_display = ("name", "id", "created_at", "last_used_at", "revoked_at")
    search_fields = ("id", "name")
    fields = ("name", "id", "created_at", "last_used_at", "revoked_at")
    readonly_fields = fields[1:]

    def get_fields(self, request: HttpRequest, obj: Service | None = None) -> Any:  # noqa: ARG002
        return self.fields if obj else ("name",)

    def save_model(
        self,
        request: HttpRequest,  # noqa: ARG002
        obj: Service,
        form: Any,  # noqa: ARG002
        change: bool,  # noqa: ARG002, FBT001
    ) -> None:
        # Only ever a new one: nobody may change what there is.
        create_service(service=obj)

    def response_add(
        self,
        request: HttpRequest,
        obj: Service,
        post_url_continue: str | None = None,  # noqa: ARG002
    ) -> TemplateResponse:
        # Shown in this very answer: as a message, the secret would be kept in a cookie or a table.
        context = self.admin_site.each_context(request) | {"service": obj, "opts": self.opts}
        return TemplateResponse(request, "authx/service_created.html", context)

    @admin.action(description=_("Revoke the selected services"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, services: QuerySet[Service]) -> None:
        revoked = [service for service in services if revoke_service(service=service)]
        for service in revoked:
            self.log_change(request, service, "Revoked.")
        sentence = ngettext("%d service revoked.", "%d services revoked.", len(revoked))
        self.message_user(request, sentence % len(revoked), messages.SUCCESS)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("authx.revoke_service")

    def has_change_permission(
        self,
        request: HttpRequest,  # noqa: ARG002
        obj: Service | None = None,  # noqa: ARG002
    ) -> bool:
        return False

    def has_delete_permission(
        self,
        request: HttpRequest,  # noqa: ARG002
        obj: Service | None = None,  # noqa: ARG002
    ) -> bool:
        return False
