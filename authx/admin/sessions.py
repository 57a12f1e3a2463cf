"""Sessions for operators: to look at and to end, never to edit."""

from typing import TYPE_CHECKING

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from authx.models import DeviceSession, RevocationReason
from authx.sessions.revoke import revoke_session

if TYPE_CHECKING:
    SessionAdmin = admin.ModelAdmin[DeviceSession]
else:
    SessionAdmin = admin.ModelAdmin


@admin.register(DeviceSession)
class DeviceSessionAdmin(SessionAdmin):
    actions = ("end_sessions",)
    date_hierarchy = "created_at"
    ordering = ("-last_used_at",)
    list_display = ("user", "label", "live", "last_used_at", "last_ip", "revoked_reason")
    list_filter = ("revoked_reason", "platform")
    list_select_related = ("user",)
    search_fields = ("id", "name", "installation_id", "last_ip")
    fields = (
        "id",
        "user",
        "installation_id",
        "name",
        "platform",
        "app_version",
        "live",
        "generation",
        "created_at",
        "authenticated_at",
        "rotated_at",
        "confirmed_at",
        "last_used_at",
        "last_ip",
        "last_user_agent",
        "idle_expires_at",
        "absolute_expires_at",
        "revoked_at",
        "revoked_reason",
        "created",
        "expiry",
    )
    readonly_fields = fields

    @admin.display(description=_("device"))
    def label(self, session: DeviceSession) -> str:
        return session.name or session.platform or session.last_user_agent or "?"

    @admin.display(description=_("live"), boolean=True)
    def live(self, session: DeviceSession) -> bool:
        return session.is_live(timezone.now())

    @admin.action(description=_("End the selected sessions"), permissions=["revoke"])
    def end_sessions(self, request: HttpRequest, sessions: QuerySet[DeviceSession]) -> None:
        ended = [
            session
            for session in sessions
            if revoke_session(session=session, reason=RevocationReason.ENDED_BY_OPERATOR)
        ]
        for session in ended:
            self.log_change(request, session, "Ended.")
        sentence = ngettext("%d session ended.", "%d sessions ended.", len(ended)) % len(ended)
        self.message_user(request, sentence, messages.SUCCESS)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("authx.revoke_devicesession")

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        return False

    def has_change_permission(
        self,
        request: HttpRequest,  # noqa: ARG002
        obj: DeviceSession | None = None,  # noqa: ARG002
    ) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: DeviceSession | None = None) -> bool:
        # Denied on these pages only: a user who is deleted takes the sessions along, and Django
        # asks for this permission then too.
        match = request.resolver_match
        own_page = match is not None and (match.url_name or "").startswith("authx_devicesession")
        return not own_page and super().has_delete_permission(request, obj)
