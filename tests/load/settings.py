"""Django's settings of the measured cluster: passwords are hashed as in production."""

from backend import settings as backend
from tests.cluster import settings as cluster

globals().update({name: value for name, value in vars(cluster).items() if name.isupper()})

PASSWORD_HASHERS = backend.PASSWORD_HASHERS
