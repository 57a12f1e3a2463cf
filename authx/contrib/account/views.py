"""Devices, activity, password, sign-in and sign-out."""

import re
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from django.contrib.auth import login, logout
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.encoding import iri_to_uri
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from authx.audit.languages import format_instant
from authx.audit.links import not_me_token
from authx.contrib.account.forms import ChangePasswordForm, RenameForm, SignInForm
from authx.contrib.account.pages import PageView, SignedInView
from authx.contrib.account.sentences import SENTENCES, device_label
from authx.devices import mint_credential
from authx.errors import WrongPasswordError
from authx.models import DeviceSession, EventKind, SecurityEvent
from authx.passwords.sign_in import change_password_in_browser
from authx.sessions.browsers import PLATFORM
from authx.sessions.cookies import DEVICE_SESSION_KEY, NEW_DEVICE_COOKIE
from authx.sessions.revoke import revoke_all, revoke_session
from authx.sessions.update import update_device

# What is marked as new, or as just ended.
RECENTLY: Final = timedelta(days=1)
EVENTS_ON_A_PAGE: Final = 30
ASKED_ABOUT: Final = frozenset({EventKind.SIGNED_IN, EventKind.NEW_DEVICE})


class SignInView(PageView):
    template_name = "authx_account/sign_in.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated and DEVICE_SESSION_KEY in request.session:
            return self._onward()
        return self.page(form=SignInForm(request), done=request.GET.get("done", ""))

    def post(self, request: HttpRequest) -> HttpResponse:
        form = SignInForm(request, data=request.POST)
        if not form.is_valid():
            return self.page(HTTPStatus.BAD_REQUEST, form=form)
        login(request, form.get_user())
        return self._onward()

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        return super().get_context_data(**context) | {"next": self._next()}

    def _next(self) -> str:
        """Return where to go after the sign-in, "" for the devices; never another host."""
        wanted = self.request.POST.get("next", self.request.GET.get("next", ""))
        is_safe = url_has_allowed_host_and_scheme(
            wanted, {self.request.get_host()}, require_https=self.request.is_secure()
        )
        return wanted if is_safe else ""

    def _onward(self) -> HttpResponse:
        onward = self._next()
        response = self.go_to("devices")
        if onward:
            response["Location"] = iri_to_uri(onward)
        return response


class SignOutView(PageView):
    http_method_names = ("post",)

    def post(self, request: HttpRequest) -> HttpResponse:
        logout(request)
        return self.go_to("sign-in", done="signed-out")


class DevicesView(SignedInView):
    template_name = "authx_account/devices.html"
    here = "devices"

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.page()

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        now = timezone.now()
        user = self.session.user
        live = DeviceSession.objects.live_for(user, now).order_by("-last_used_at", "-created_at")
        ended = DeviceSession.objects.filter(user=user, revoked_at__gt=now - RECENTLY)
        devices = [self._described(session, now) for session in live]
        devices.sort(key=lambda device: not device["is_current"])
        return super().get_context_data(**context) | {
            "devices": devices,
            "others": len(devices) - 1,
            "ended": [self._described(one, now) for one in ended.order_by("-revoked_at")[:10]],
        }

    def _described(self, session: DeviceSession, now: Any) -> dict[str, Any]:
        return {
            "session": session,
            "label": device_label(session.name, session.platform, session.last_user_agent),
            "is_current": session.pk == self.session.pk,
            "is_new": session.created_at > now - RECENTLY,
            "is_browser": session.platform == PLATFORM,
            "last_used": format_instant(session.last_used_at),
            "signed_in": format_instant(session.created_at),
            "ended": format_instant(session.revoked_at) if session.revoked_at else "",
        }


class OwnDeviceView(SignedInView):
    """Acts on a live session of this user; any other one does not exist for it."""

    http_method_names = ("post",)

    def find(self, session_id: UUID) -> DeviceSession:
        found = DeviceSession.objects.live_for(self.session.user, timezone.now())
        session = found.filter(pk=session_id).first()
        if session is None:
            raise Http404
        return session


class EndDeviceView(OwnDeviceView):
    def post(self, request: HttpRequest, id: UUID) -> HttpResponse:  # noqa: A002 -- the URL's name
        session = self.find(id)
        if session.pk == self.session.pk:
            logout(request)
            return self.go_to("sign-in", done="signed-out")
        revoke_session(session=session, reason=EventKind.ENDED_BY_USER)
        return self.go_to("devices", done="ended")


class RenameDeviceView(OwnDeviceView):
    def post(self, request: HttpRequest, id: UUID) -> HttpResponse:  # noqa: A002 -- the URL's name
        session = self.find(id)
        form = RenameForm(request.POST)
        if not form.is_valid():
            return self.refuse(_("This name cannot be used."), HTTPStatus.BAD_REQUEST)
        update_device(session=session, name=form.cleaned_data["name"])
        return self.go_to("devices", done="renamed")


class EndOthersView(SignedInView):
    http_method_names = ("post",)

    def post(self, request: HttpRequest) -> HttpResponse:
        end_everything(self.session, keep=self.session.pk)
        return self.go_to("devices", done="others-ended")


class EndAllView(SignedInView):
    http_method_names = ("post",)

    def post(self, request: HttpRequest) -> HttpResponse:
        end_everything(self.session)
        logout(request)
        return self.go_to("sign-in", done="all-ended")


def end_everything(session: DeviceSession, keep: UUID | None = None) -> None:
    """End the sessions of a user, as this device of theirs asks for."""
    revoke_all(
        user_id=session.user_id, reason=EventKind.SIGNED_OUT_EVERYWHERE, keep=keep, by=session
    )


class ActivityView(SignedInView):
    template_name = "authx_account/activity.html"
    here = "activity"

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.page()

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        own = SecurityEvent.objects.filter(user_id=self.session.user_id)
        page = self._page_number()
        start = (page - 1) * EVENTS_ON_A_PAGE
        found = list(own.order_by("-created_at", "-pk")[start : start + EVENTS_ON_A_PAGE + 1])
        return super().get_context_data(**context) | {
            "events": [self._described(event) for event in found[:EVENTS_ON_A_PAGE]],
            "newer": page - 1,
            "older": page + 1 if len(found) > EVENTS_ON_A_PAGE else 0,
        }

    def _page_number(self) -> int:
        given = self.request.GET.get("page", "")
        return int(given) if re.fullmatch(r"[1-9][0-9]{0,3}", given) else 1

    def _described(self, event: SecurityEvent) -> dict[str, Any]:
        is_asked = event.kind in ASKED_ABOUT and event.session_id is not None
        return {
            "event": event,
            "time": format_instant(event.created_at),
            "sentence": SENTENCES[EventKind(event.kind)],
            "label": device_label(event.device_name, event.platform, event.user_agent),
            "is_current": event.session_id == self.session.pk,
            "not_me": not_me_token(event) if is_asked else "",
        }


class PasswordView(SignedInView):
    template_name = "authx_account/password.html"
    here = "password"

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.page(form=ChangePasswordForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        form = ChangePasswordForm(request.POST)
        if not (form.is_valid() and self._is_changed(form)):
            return self.page(HTTPStatus.BAD_REQUEST, form=form)
        return self.go_to("devices", done="password")

    def _is_changed(self, form: ChangePasswordForm) -> bool:
        try:
            session = change_password_in_browser(session=self.session, **form.cleaned_data)
        except WrongPasswordError:
            form.add_error("current_password", _("This is not the current password."))
        except ValidationError as error:
            form.add_error("new_password", error)
        else:
            # Another key for the cookie, as after any sign-in.
            self.request.session.cycle_key()
            self.request.session[DEVICE_SESSION_KEY] = str(session.pk)
            # The credential of a known device ends with the password.
            raw_credential = mint_credential(session.user, session.device_id)
            vars(self.request)[NEW_DEVICE_COOKIE] = raw_credential
        return form.is_valid()
