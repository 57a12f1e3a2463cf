"""The HTTP side, on Django REST Framework."""
