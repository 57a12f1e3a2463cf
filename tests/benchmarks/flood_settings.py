"""Django's settings of the flooded server: those of production, for clients of one network."""

from backend import settings as backend

globals().update({name: value for name, value in vars(backend).items() if name.isupper()})

AUTHX = backend.AUTHX | {"SIGN_IN_RATES_PER_SITE": ["1000000/minute"]}
