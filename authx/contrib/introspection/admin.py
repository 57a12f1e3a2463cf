"""The credentials of services: operators create and revoke them, and see a secret only once."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from authx.admin import ReadOnlyAdmin
from authx.contrib.introspection.models import Service
from authx.contrib.introspection.services import create_service, revoke_service


@admin.register(Service)
class ServiceAdmin(ReadOnlyAdmin):
    actions = ("revoke",)
    ordering = ("-created_at",)
    list_display = ("name", "id", "created_at", "last_used_at", "revoked_at")
    search_fields = ("id", "name")
    fields = ("name", "id", "created_at", "last_used_at", "revoked_at")
    readonly_fields = fields[1:]

    def get_fields(self, request: HttpRequest, obj: Service | None = None) -> Any:
        return self.fields if obj else ("name",)

    def save_model(
        self,
        request: HttpRequest,
        obj: Service,
        form: Any,
        change: bool,  # noqa: FBT001
    ) -> None:
        # Always a new one, because nothing may be changed.
        create_service(service=obj)

    def response_add(
        self,
        request: HttpRequest,
        obj: Service,
        post_url_continue: str | None = None,
    ) -> TemplateResponse:
        # Shown in this response: a message would store the secret in a cookie or a table.
        context = self.admin_site.each_context(request) | {"service": obj, "opts": self.opts}
        return TemplateResponse(request, "authx_introspection/service_created.html", context)

    @admin.action(description=_("Revoke the selected services"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, services: QuerySet[Service]) -> None:
        revoked = [service for service in services if revoke_service(service=service)]
        for service in revoked:
            self.log_change(request, service, gettext("Revoked."))
        sentence = ngettext("%d service revoked.", "%d services revoked.", len(revoked))
        self.message_user(request, sentence % len(revoked), messages.SUCCESS)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("authx_introspection.revoke_service")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("authx_introspection.add_service")
