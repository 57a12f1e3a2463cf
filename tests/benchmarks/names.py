"""What the operations and the systems are called, in commands, results and the table."""

from typing import Final

AUTHENTICATE: Final = "authenticate a request"
REFRESH: Final = "refresh that rotates"
RETRY: Final = "retry of a refresh"
SIGN_IN: Final = "sign in"
LIST_DEVICES: Final = "list 5 devices"
SIGN_OUT_ALL: Final = "sign out 5 devices"
SWEEP: Final = "sweep 2,000 ended sessions"

AUTHX: Final = "authx"
KNOX: Final = "django-rest-knox"
STATELESS: Final = "SimpleJWT, stateless"
USER_QUERY: Final = "SimpleJWT, with its user query"
BLACKLIST: Final = "SimpleJWT, rotation with blacklist"
DOT: Final = "django-oauth-toolkit"
ALLAUTH: Final = "django-allauth, JWT"
ALLAUTH_STATEFUL: Final = "django-allauth, JWT with its session"

PROJECTS: Final = ("authx", "knox", "simplejwt", "toolkit", "allauth")

# SimpleJWT with its user query once more, in each process.
YARDSTICK: Final = "yardstick"

# How many devices a user has where an operation is about all of them.
DEVICES: Final = 5
SWEPT_ROWS: Final = 2000
PASSWORD: Final = "correct horse battery staple"
