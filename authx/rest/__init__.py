"""The HTTP side of authx: Django REST Framework, and nothing else in authx imports it."""
