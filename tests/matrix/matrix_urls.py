"""URLs of the project of the matrix."""

from django.urls import include, path

urlpatterns = [
    path("users/", include("authx.urls")),
    path(".well-known/", include("authx.well_known")),
]
