"""Device sessions with rotating refresh tokens for Django REST Framework."""
