"""Passwords that were guessed at, for operators: to look at, and to switch on again."""

from typing import TYPE_CHECKING

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from authx.models import PasswordFailures
from authx.passwords.check import is_password_locked, unlock_password
from authx.passwords.limits import reset_attempts

if TYPE_CHECKING:
    FailuresAdmin = admin.ModelAdmin[PasswordFailures]
else:
    FailuresAdmin = admin.ModelAdmin


@admin.register(PasswordFailures)
class PasswordFailuresAdmin(FailuresAdmin):
    """Whose password was guessed at, and whose is off; a list only."""

    actions = ("restore",)
    ordering = ("-count",)
    list_display = ("user", "count", "is_password_locked")
    list_display_links = None
    list_select_related = ("user",)

    @admin.display(description=_("off"), boolean=True)
    def is_password_locked(self, failures: PasswordFailures) -> bool:
        return is_password_locked(failures.user)

    @admin.action(
        description=_("Let the selected users sign in again"), permissions=["unlock_password"]
    )
    def restore(self, request: HttpRequest, selected: QuerySet[PasswordFailures]) -> None:
        for failures in selected.select_related("user"):
            unlock_password(user_id=failures.user_id)
            reset_attempts(failures.user.get_username())
            self.log_change(request, failures, "Restored.")
        self.message_user(request, gettext("Restored."), messages.SUCCESS)

    def has_unlock_password_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("authx.unlock_password")

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
