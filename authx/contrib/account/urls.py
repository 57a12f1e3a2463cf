"""The pages, relative to where a project mounts them; AUTHX["ACCOUNT_URL"] says where that is."""

from django.urls import path

from authx.contrib.account import views
from authx.contrib.account.recovery import NotMeView, RecoverPasswordView, RecoverView

app_name = "authx_account"

urlpatterns = [
    path("", views.DevicesView.as_view(), name="devices"),
    path("devices/end-others/", views.EndOthersView.as_view(), name="end-others"),
    path("devices/end-all/", views.EndAllView.as_view(), name="end-all"),
    path("devices/<uuid:id>/end/", views.EndDeviceView.as_view(), name="end-device"),
    path("devices/<uuid:id>/rename/", views.RenameDeviceView.as_view(), name="rename-device"),
    path("activity/", views.ActivityView.as_view(), name="activity"),
    path("password/", views.PasswordView.as_view(), name="password"),
    path("sign-in/", views.SignInView.as_view(), name="sign-in"),
    path("sign-out/", views.SignOutView.as_view(), name="sign-out"),
    # Mails link to these: audit/links.py writes the paths out.
    path("recover/", RecoverView.as_view(), name="recover"),
    path("recover/password/", RecoverPasswordView.as_view(), name="recover-password"),
    path("not-me/", NotMeView.as_view(), name="not-me"),
]
