"""Device sessions for mobile apps on Django REST Framework."""

__version__ = "0.1.0"
