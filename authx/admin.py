"""Sessions for operators: to look at and to end, never to edit; no digest anywhere."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from authx.models import DeviceSession, RevocationReason, SecurityEvent
from authx.sessions.revocation import revoke_session

if TYPE_CHECKING:
    SessionAdmin = admin.ModelAdmin[DeviceSession]
    EventAdmin = admin.ModelAdmin[SecurityEvent]
else:
    SessionAdmin = EventAdmin = admin.ModelAdmin


@admin.register(DeviceSession)
class DeviceSessionAdmin(SessionAdmin):
    """Access tokens are shown inside: their own pages would carry digests in the address."""

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
        "rotated_at",
        "confirmed_at",
        "last_used_at",
        "last_ip",
        "last_user_agent",
        "idle_expires_at",
        "absolute_expires_at",
        "revoked_at",
        "revoked_reason",
        "access_token_list",
    )
    readonly_fields = fields

    @admin.display(description=_("device"))
    def label(self, session: DeviceSession) -> str:
        return session.name or session.platform or session.last_user_agent or "?"

    @admin.display(description=_("live"), boolean=True)
    def live(self, session: DeviceSession) -> bool:
        return session.is_live(timezone.now())

    @admin.display(description=_("access tokens"))
    def access_token_list(self, session: DeviceSession) -> str:
        def lines() -> Iterator[tuple[int, Any, Any]]:
            for token in session.access_tokens.order_by("-generation"):
                yield token.generation, token.created, token.expiry

        line = gettext("generation {}, issued {}, expires {}<br>")
        return format_html_join("", line, lines()) or "-"

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


@admin.register(SecurityEvent)
class SecurityEventAdmin(EventAdmin):
    """The trail, to read: nothing is added, changed or deleted by hand."""

    date_hierarchy = "created_at"
    ordering = ("-created_at", "-pk")
    list_display = ("created_at", "kind", "user_id", "device_name", "ip", "reason")
    list_filter = ("kind",)
    # Finds a person by id: their row may be gone, and the trail knows them by nothing else.
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
