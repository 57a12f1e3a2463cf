"""User names as typed: known ones lead to a user, unknown ones are kept only as a keyed hash."""

import unicodedata
from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model
from django.utils.crypto import salted_hmac

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def find_user_by_name(name: str) -> "User | None":
    """Return whoever would sign in under a name."""
    users = get_user_model()
    try:
        user: User = users._default_manager.get_by_natural_key(name)
    except users.DoesNotExist:
        return None
    return user


def normalize_username(name: str) -> str:
    """Return what all spellings of a user name share: compatibility forms, case, outer blanks."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return unicodedata.normalize("NFKC", folded).strip()


def username_hash(name: str) -> str:
    """Return a keyed hash that is the same however a name is spelled."""
    return salted_hmac("authx.audit.name", normalize_username(name), algorithm="sha256").hexdigest()
