"""The forms of the pages; Django's own, where Django has them."""

from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.password_validation import password_validators_help_text_html
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException
from rest_framework.exceptions import ValidationError as FieldError

from authx.policy import require_may_sign_in
from authx.rest.serializers import MAX_PASSWORD_LENGTH, MAX_USERNAME_LENGTH, LabelField


class PasswordField(forms.CharField):
    """A password, exactly as typed; `autocomplete` tells password managers which one."""

    def __init__(self, *, autocomplete: str, **options: Any) -> None:
        widget = forms.PasswordInput(attrs={"autocomplete": autocomplete})
        super().__init__(strip=False, max_length=MAX_PASSWORD_LENGTH, widget=widget, **options)


class SignInForm(AuthenticationForm):
    """Django's form, with what a project says about who may sign in."""

    error_messages = {
        "invalid_login": _("The user name or the password is wrong."),
        "inactive": _("The user name or the password is wrong."),
    }

    def confirm_login_allowed(self, user: Any) -> None:
        super().confirm_login_allowed(user)
        raise_refusal(user, self.request)


def raise_refusal(user: Any, request: HttpRequest | None) -> None:
    """Raise what SIGN_IN_POLICY raises, as an error of the form in its own words."""
    try:
        require_may_sign_in(user, request)
    except (APIException, PermissionDenied) as error:
        sentence = str(getattr(error, "detail", None) or error)
        raise ValidationError(sentence or _("You may not sign in.")) from error


class NewPasswordForm(forms.Form):
    """A new password, which is shown on demand instead of being typed twice."""

    new_password = PasswordField(
        label=_("New password"),
        autocomplete="new-password",
        help_text=password_validators_help_text_html,
    )


class ChangePasswordForm(NewPasswordForm):
    current_password = PasswordField(label=_("Current password"), autocomplete="current-password")
    field_order = ("current_password", "new_password")


class RecoverForm(forms.Form):
    username = forms.CharField(
        label=_("User name or email address"),
        max_length=MAX_USERNAME_LENGTH,
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none"}),
    )

    def clean_username(self) -> str:
        name: str = get_user_model().normalize_username(self.cleaned_data["username"])
        return name


class RenameForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=100)

    def clean_name(self) -> str:
        # Without what would turn the list around, as at the endpoint.
        try:
            label: str = LabelField(max_length=100).run_validation(self.cleaned_data["name"])
        except FieldError as error:
            raise ValidationError([str(one) for one in error.args[0]]) from error
        return label
