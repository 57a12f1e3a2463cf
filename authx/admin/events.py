"""The trail, for operators: to read."""

from typing import TYPE_CHECKING

from django.contrib import admin
from django.http import HttpRequest

from authx.models import SecurityEvent

if TYPE_CHECKING:
    EventAdmin = admin.ModelAdmin[SecurityEvent]
else:
    EventAdmin = admin.ModelAdmin


@admin.register(SecurityEvent)
class SecurityEventAdmin(EventAdmin):
    """The trail, to read: nothing is added, changed or deleted by hand."""

    date_hierarchy = "created_at"
    ordering = ("-created_at", "-pk")
    list_display = ("created_at", "kind", "user_id", "device_name", "ip", "reason")
    list_filter = ("kind",)
    # Finds a user by id: their row may be gone, and the trail knows them by nothing else.
    search_fields = (
        "user_id__exact",
        "session_id__iexact",
        "ip__startswith",
        "request_id__exact",
        "installation_id__exact",
    )
    # One count less over a table that grows.
    show_full_result_count = False
    fields = (
        "created_at",
        "kind",
        "user_id",
        "name_hash",
        "session_id",
        "reason",
        "ip",
        "user_agent",
        "request_id",
        "installation_id",
        "device_name",
        "platform",
    )
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        return False

    def has_change_permission(
        self,
        request: HttpRequest,  # noqa: ARG002
        obj: SecurityEvent | None = None,  # noqa: ARG002
    ) -> bool:
        return False

    def has_delete_permission(
        self,
        request: HttpRequest,  # noqa: ARG002
        obj: SecurityEvent | None = None,  # noqa: ARG002
    ) -> bool:
        return False
