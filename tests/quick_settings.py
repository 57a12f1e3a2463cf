"""Django's settings of a server whose sign-ins a test needs, and not its hashes."""

from backend import settings as backend

globals().update({name: value for name, value in vars(backend).items() if name.isupper()})

# As in the process of the tests; the others for a user whom the server's own commands made.
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.MD5PasswordHasher",
    *backend.PASSWORD_HASHERS,
]
