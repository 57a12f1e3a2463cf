"""The URLs of the service."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

handler400 = "authx.rest.error_views.bad_request"
handler403 = "authx.rest.error_views.permission_denied"
handler404 = "authx.rest.error_views.page_not_found"
handler500 = "authx.rest.error_views.server_error"

urlpatterns = [
    path("users/", include("authx.urls")),
    path("users/", include("authx.contrib.introspection.urls")),
    path("users/", include("authx.contrib.account.api_urls")),
    path("account/", include("authx.contrib.account.urls")),
    path(".well-known/", include("authx.well_known")),
    path("api/schema", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs", SpectacularSwaggerSplitView.as_view(template_name_js="docs.js"), name="docs"),
    path("admin/", admin.site.urls),
]
