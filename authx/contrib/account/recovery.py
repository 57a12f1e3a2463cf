"""The pages of the way back in, and of "this wasn't me"."""

from http import HTTPStatus
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import load_backend, login
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse

from authx.audit.languages import format_instant
from authx.audit.links import read_not_me_token, read_recovery_token
from authx.contrib.account.forms import NewPasswordForm, RecoverForm, raise_refusal
from authx.contrib.account.pages import PageView
from authx.contrib.account.sentences import SENTENCES, device_label
from authx.errors import InvalidRecoveryTokenError
from authx.models import DeviceSession, EventKind, SecurityEvent
from authx.passwords.backends import ModelBackend
from authx.passwords.recovery import recover, request_recovery
from authx.sessions.revoke import revoke_all, revoke_session
from authx.throttling.classes import count_forged_token

NOT_ME: Final = "not_me"


class RecoverView(PageView):
    """Asks for a mail; the answer is the same for every name."""

    template_name = "authx_account/recover.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.page(form=RecoverForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        form = RecoverForm(request.POST)
        if not form.is_valid():
            return self.page(HTTPStatus.BAD_REQUEST, form=form)
        request_recovery(form.cleaned_data["username"])
        return self.page(is_sent=True)


class RecoverPasswordView(PageView):
    """Where the mailed link leads: nothing happens before the form is sent."""

    template_name = "authx_account/recover_password.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        raw_token = request.GET.get("token", "")
        if not raw_token:
            # Such as a page that is loaded again, whose script has removed the token.
            return self.go_to("recover")
        if read_recovery_token(raw_token) is None:
            return self._invalid()
        return self.page(form=NewPasswordForm(), token=raw_token)

    def post(self, request: HttpRequest) -> HttpResponse:
        raw_token = request.POST.get("token", "")
        form = NewPasswordForm(request.POST)
        try:
            if form.is_valid():
                user = recover(raw_token=raw_token, new_password=form.cleaned_data["new_password"])
        except InvalidRecoveryTokenError:
            return self._invalid()
        except ValidationError as error:
            form.add_error("new_password", error)
        if not form.is_valid():
            return self.page(HTTPStatus.BAD_REQUEST, form=form, token=raw_token)
        return self._signed_in(user)

    def _signed_in(self, user: Any) -> HttpResponse:
        backend = backend_of(user)
        try:
            raise_refusal(user, self.request)
        except ValidationError:
            # The password is set; what else a project asks for, its sign-in asks for.
            backend = None
        if backend is None:
            return self.go_to("sign-in", done="recovered")
        login(self.request, user, backend=backend)
        return self.go_to("devices", done="recovered")

    def _invalid(self) -> HttpResponse:
        count_forged_token()
        return self.page(HTTPStatus.BAD_REQUEST, is_invalid=True)


def is_before_the_password(event: SecurityEvent) -> bool:
    """Return whether the user has set a new password since an event."""
    user_id: Any = event.user_id
    changes = SecurityEvent.objects.filter(user_id=user_id, kind=EventKind.PASSWORD_CHANGED)
    return changes.filter(created_at__gt=event.created_at).exists()


def backend_of(user: Any) -> str | None:
    """Return the path of the backend for a user who has set a password, None without any.

    It has to find the user again at each request, which one that only refuses does not; those of
    authx come first, because it is a password that was set.
    """
    backends = [(path, load_backend(path)) for path in settings.AUTHENTICATION_BACKENDS]
    backends.sort(key=lambda named: not isinstance(named[1], ModelBackend))
    return next((path for path, backend in backends if backend.get_user(user.pk)), None)


class NotMeView(PageView):
    """Where "this wasn't me" leads. Mail scanners open links, so only a form ends anything."""

    template_name = "authx_account/not_me.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(request.GET.get("token", ""))

    def post(self, request: HttpRequest) -> HttpResponse:
        token = request.POST.get("token", "")
        event = read_not_me_token(token)
        if event is None:
            return self._page(token)
        if "everything" in request.POST:
            if is_before_the_password(event):
                # Whoever has kept an old link must not sign its user out again and again.
                return self._page(token)
            revoke_all(user_id=event.user_id, reason=EventKind.SIGNED_OUT_EVERYWHERE)
            return self._page(token, is_done=True, is_everything=True)
        session = _session_of(event)
        if session is not None:
            revoke_session(session=session, reason=EventKind.ENDED_BY_USER, detail=NOT_ME)
        return self._page(token, is_done=True)

    def _page(self, token: str, **context: Any) -> HttpResponse:
        event = read_not_me_token(token)
        if event is None:
            count_forged_token()
            return self.page(HTTPStatus.BAD_REQUEST)
        session = _session_of(event)
        return self.page(
            event=event,
            token=token,
            time=format_instant(event.created_at),
            sentence=SENTENCES[EventKind(event.kind)],
            label=device_label(event.device_name, event.platform, event.user_agent),
            has_session=session is not None,
            has_ended=session is not None and session.revoked_at is not None,
            **context,
        )


def _session_of(event: SecurityEvent) -> DeviceSession | None:
    if event.session_id is None:
        return None
    return DeviceSession.objects.filter(pk=event.session_id).first()
