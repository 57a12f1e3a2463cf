"""The addresses of a project that does not mount authx."""

from typing import Any

urlpatterns: list[Any] = []
