"""The way back in for apps, beside the endpoints of authx."""

from django.urls import re_path

from authx.contrib.account.endpoints import RecoverConfirmEndpoint, RecoverEndpoint

app_name = "authx_account_api"

urlpatterns = [
    re_path(r"^recover/?$", RecoverEndpoint.as_view(), name="recover"),
    re_path(r"^recover/confirm/?$", RecoverConfirmEndpoint.as_view(), name="recover-confirm"),
]
