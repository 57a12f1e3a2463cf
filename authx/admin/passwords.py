"""Passwords that were guessed at, for operators: to look at, and to switch on again."""

from typing import TYPE_CHECKING

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from authx.models import PasswordFailures
from authx.sessions.passwords import is_off, restore_password
from authx.throttling.passwords import forget_attempts

if TYPE_CHECKING:
    FailuresAdmin = admin.ModelAdmin[PasswordFailures]
else:
    FailuresAdmin = admin.ModelAdmin


@admin.register(PasswordFailures)
class PasswordFailuresAdmin(FailuresAdmin):
    """Whose password was guessed at, and whose is off; a list only."""

    actions = ("restore",)
    ordering = ("-count",)
    list_display = ("user", "count", "is_off")
    list_display_links = None
    list_select_related = ("user",)

    @admin.display(description=_("off"), boolean=True)
    def is_off(self, failures: PasswordFailures) -> bool:
        return is_off(failures.user)

    @admin.action(
        description=_("Let the selected people sign in again"), permissions=["restore_password"]
    )
    def restore(self, request: HttpRequest, selected: QuerySet[PasswordFailures]) -> None:
        for failures in selected.select_related("user"):
            restore_password(user_id=failures.user_id)
            forget_attempts(failures.user.get_username())
            self.log_change(request, failures, "Restored.")
        self.message_user(request, gettext("Restored."), messages.SUCCESS)

    def has_restore_password_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("authx.restore_password")

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        return False

    def has_change_permission(
        self,
        request: HttpRequest,  # noqa: ARG002
        obj: PasswordFailures | None = None,  # noqa: ARG002
    ) -> bool:
        return False

    def has_delete_permission(
        self,
        request: HttpRequest,
        obj: PasswordFailures | None = None,  # noqa: ARG002
    ) -> bool:
        # Rows go with their user, whoever deletes that one, and never alone.
        match = request.resolver_match
        return not (match and (match.url_name or "").startswith("authx_passwordfailures"))
