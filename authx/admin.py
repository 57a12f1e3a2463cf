"""The admin: operators read, revoke and unlock; they edit nothing, and see no digest."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from authx.models import DeviceSession, EventKind, PasswordFailures, SecurityEvent
from authx.passwords.check import is_password_locked, unlock_password
from authx.passwords.limits import reset_attempts
from authx.sessions.revoke import revoke_session

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin


class ReadOnlyAdmin(ModelAdmin):
    """Lists and shows rows; none is added, changed or deleted by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        # Django filters by any column, so `?digest__startswith=a` would spell a digest out.
        field = lookup.partition("__")[0]
        shown: Any = self.fields
        return field in shown and super().lookup_allowed(lookup, value, request)

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:
        # The index lists a model only for those who may see it.
        return super().get_model_perms(request) | {"delete": False}

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Denied on the pages of this model only. Rows are deleted with their user, for which
        # Django's page of users asks for this permission too.
        match = request.resolver_match
        page = f"{self.opts.app_label}_{self.opts.model_name}"
        return not (match is not None and (match.url_name or "").startswith(page))


@admin.register(DeviceSession)
class DeviceSessionAdmin(ReadOnlyAdmin):
    actions = ("revoke_sessions",)
    date_hierarchy = "created_at"
    ordering = ("-last_used_at",)
    list_display = ("user", "label", "live", "last_used_at", "last_ip", "revoked_reason")
    list_filter = ("revoked_reason", "platform")
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

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeviceSession]:
        # On the page of one session too: a router could read its user elsewhere.
        return super().get_queryset(request).select_related("user")

    @admin.display(description=_("device"))
    def label(self, session: DeviceSession) -> str:
        return session.name or session.platform or session.last_user_agent or "?"

    @admin.display(description=_("active"), boolean=True)
    def live(self, session: DeviceSession) -> bool:
        return session.is_live(timezone.now())

    @admin.action(description=_("End the selected sessions"), permissions=["revoke"])
    def revoke_sessions(self, request: HttpRequest, sessions: QuerySet[DeviceSession]) -> None:
        revoked = [
            session
            for session in sessions
            if revoke_session(session=session, reason=EventKind.ENDED_BY_OPERATOR)
        ]
        for session in revoked:
            self.log_change(request, session, gettext("Ended."))
        sentence = ngettext("%d session ended.", "%d sessions ended.", len(revoked))
        self.message_user(request, sentence % len(revoked), messages.SUCCESS)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("authx.revoke_devicesession")


@admin.register(SecurityEvent)
class SecurityEventAdmin(ReadOnlyAdmin):
    date_hierarchy = "created_at"
    ordering = ("-created_at", "-pk")
    list_display = ("created_at", "kind", "user_id", "device_name", "ip", "reason")
    list_filter = ("kind",)
    # By the id of a user: their row may be gone, and an event stores nothing else of them.
    search_fields = (
        "user_id__exact",
        "session_id__iexact",
        "ip__startswith",
        "request_id__exact",
        "installation_id__exact",
    )
    # Saves a count over a table that grows.
    show_full_result_count = False
    fields = (
        "created_at",
        "kind",
        "user_id",
        "former_user_id",
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


@admin.register(PasswordFailures)
class PasswordFailuresAdmin(ReadOnlyAdmin):
    """A list of the accounts with failed password attempts, and of those that are locked."""

    actions = ("unlock",)
    ordering = ("-count",)
    list_display = ("user", "count", "is_locked")
    list_display_links = None
    # Without the fingerprint, a digest.
    fields = ("user", "count")

    def get_queryset(self, request: HttpRequest) -> QuerySet[PasswordFailures]:
        # On the page of one account too: a router could read the user elsewhere.
        return super().get_queryset(request).select_related("user")

    @admin.display(description=_("password locked"), boolean=True)
    def is_locked(self, failures: PasswordFailures) -> bool:
        return is_password_locked(failures.user)

    @admin.action(
        description=_("Reset the failed attempts of the selected accounts"),
        permissions=["unlock_password"],
    )
    def unlock(self, request: HttpRequest, selected: QuerySet[PasswordFailures]) -> None:
        for failures in selected.select_related("user"):
            unlock_password(user_id=failures.user_id)
            reset_attempts(failures.user)
            self.log_change(request, failures, gettext("Failed attempts reset."))
        sentence = ngettext("%d account unlocked.", "%d accounts unlocked.", len(selected))
        self.message_user(request, sentence % len(selected), messages.SUCCESS)

    def has_unlock_password_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("authx.unlock_password")
