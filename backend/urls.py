"""Every address of the service."""

from django.contrib import admin
from django.urls import include, path

handler400 = "authx.handlers.bad_request"
handler403 = "authx.handlers.permission_denied"
handler404 = "authx.handlers.page_not_found"
handler500 = "authx.handlers.server_error"

urlpatterns = [
    path("users/", include("authx.urls")),
    path("admin/", admin.site.urls),
]
