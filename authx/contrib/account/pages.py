"""What all pages share: language, headers, and who is signed in."""

from http import HTTPStatus
from secrets import token_urlsafe
from typing import Any, Final
from uuid import UUID

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.db import connections
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.decorators import method_decorator
from django.utils.http import urlencode
from django.utils.translation import get_language, get_language_from_request, ngettext, override
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.generic.base import ContextMixin, View

from authx.errors import OverloadedError, RateLimitError
from authx.models import DeviceSession
from authx.sessions.cookies import DEVICE_SESSION_KEY

# Nothing comes from anywhere but the page itself; its style and script carry the nonce.
POLICY: Final = (
    "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; img-src data:; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Final = {
    "Cache-Control": "no-store",
    # No path and no query, in which a token is. Not `no-referrer`, with which browsers send forms
    # without an Origin that Django could check.
    "Referrer-Policy": "strict-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
MINUTE: Final = 60


# Error reports that Django mails to admins hide forms and variables.
@method_decorator(
    [login_not_required, csrf_protect, sensitive_post_parameters(), sensitive_variables()],
    name="dispatch",
)
class PageView(ContextMixin, View):
    """A page for anyone, in the language that the browser asks for."""

    template_name = ""
    http_method_names: Any = ("get", "post", "head")
    request: HttpRequest

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        view: Any = super().as_view(**initkwargs)
        # With ATOMIC_REQUESTS, an error would roll back the count of a wrong password.
        view._non_atomic_requests = set(connections)
        return view

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        # As LocaleMiddleware would, which a project need not have.
        with override(get_language_from_request(request)):
            try:
                response: HttpResponseBase = self.answer(request, *args, **kwargs)
            except RateLimitError as error:
                response = self.refuse(too_many(error.wait), HTTPStatus.TOO_MANY_REQUESTS)
                response["Retry-After"] = str(error.wait)
            except OverloadedError:
                sentence = _("The service is busy. Try again in a moment.")
                response = self.refuse(sentence, HTTPStatus.SERVICE_UNAVAILABLE)
                response["Retry-After"] = "5"
            nonce = token_urlsafe(16)
            if isinstance(response, TemplateResponse):
                response.context_data = {**(response.context_data or {}), "nonce": nonce}
                response.render()
            response["Content-Language"] = get_language() or ""
        patch_vary_headers(response, ["Accept-Language"])
        response["Content-Security-Policy"] = POLICY.format(nonce=nonce)
        for name, value in HEADERS.items():
            response[name] = value
        return response

    def answer(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return super().dispatch(request, *args, **kwargs)

    def refuse(self, sentence: str, status: HTTPStatus) -> TemplateResponse:
        """Return a page that says why nothing was done."""
        return TemplateResponse(
            self.request,
            "authx_account/refused.html",
            self.get_context_data(sentence=sentence),
            status=status,
        )

    def page(self, status: HTTPStatus = HTTPStatus.OK, **context: Any) -> TemplateResponse:
        return TemplateResponse(
            self.request, [self.template_name], self.get_context_data(**context), status=status
        )

    def go_to(self, name: str, **query: str) -> HttpResponse:
        """Redirect after a form, to a page that says what was done."""
        url = reverse(f"authx_account:{name}", current_app=self._namespace())
        return HttpResponseRedirect(f"{url}?{urlencode(query)}" if query else url)

    def _namespace(self) -> str | None:
        match = self.request.resolver_match
        return match.namespace if match else None


class SignedInView(PageView):
    """A page of the user who is signed in; anybody else signs in first."""

    session: DeviceSession
    # Which part of the navigation this is.
    here = ""

    def answer(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        session = self._own_session()
        if session is None:
            sign_in = reverse("authx_account:sign-in", current_app=self._namespace())
            return redirect_to_login(request.get_full_path(), sign_in)
        self.session = session
        return super().answer(request, *args, **kwargs)

    def _own_session(self) -> DeviceSession | None:
        """Return the device session of this browser, with the user as it is in this request."""
        session_id = self.request.session.get(DEVICE_SESSION_KEY)
        if not self.request.user.is_authenticated or session_id is None:
            return None
        return DeviceSession.objects.select_related("user").filter(pk=UUID(session_id)).first()

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        user = self.session.user
        return super().get_context_data(**context) | {
            "account": user,
            "has_password": user.has_usable_password(),
            "here": self.here,
            "done": self.request.GET.get("done", ""),
        }


def too_many(wait: int) -> str:
    """Return the sentence of a full rate limit."""
    minutes = -(-wait // MINUTE)
    return ngettext(
        "Too many attempts. Try again in %(minutes)d minute.",
        "Too many attempts. Try again in %(minutes)d minutes.",
        minutes,
    ) % {"minutes": minutes}
