"""User names as typed: finds the user; an unknown name is not stored."""

import logging
import unicodedata
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.contrib.auth import get_backends, get_user_model
from django.core.exceptions import ValidationError

from authx.models import user_manager

if TYPE_CHECKING:
    from django.contrib.auth.models import User

logger = logging.getLogger(__name__)

# Raised for a text that cannot be a name where names are numbers, UUIDs or of a project's format.
NOT_A_NAME: Final = (ValueError, OverflowError, ValidationError)


class ResolvedName(NamedTuple):
    """A user name as typed, the user whom it signs in, and the backend that says so, if any."""

    name: str
    user: "User | None" = None
    backend: Any = None


def resolve_name(name: str) -> ResolvedName:
    """Ask whom a name signs in.

    The backends that have a method `find_user` decide, in their order, as at a sign-in; without
    any, the natural key does.
    """
    backends = [one for one in get_backends() if hasattr(one, "find_user")]
    for backend in backends:
        user = backend.find_user(name)
        if user is not None:
            return ResolvedName(name, user, backend)
    return ResolvedName(name) if backends else ResolvedName(name, find_by_natural_key(name))


def find_user_by_name(name: str) -> "User | None":
    """Return the user whom a name signs in, or None."""
    return resolve_name(name).user


def find_by_natural_key(name: str) -> "User | None":
    """Return the user with a natural key, or None; also if several have it."""
    users = get_user_model()
    try:
        user: User = user_manager().get_by_natural_key(name)
    except (users.DoesNotExist, *NOT_A_NAME):
        return None
    except users.MultipleObjectsReturned:
        # Where case does not matter, but the stored names differ in nothing else.
        logger.error("several users have one natural key, and none of them can sign in")  # noqa: TRY400
        return None
    return user


def normalize_username(name: str) -> str:
    """Return a user name without differences of case, compatibility form and outer blanks."""
    # A user model may have names that are no texts.
    folded = unicodedata.normalize("NFKC", str(name)).casefold()
    return unicodedata.normalize("NFKC", folded).strip()
