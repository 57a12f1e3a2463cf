"""The one way to check a password: wrong ones in a row are counted, and their number is bounded."""

from enum import Enum
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.db.models import F, QuerySet
from django.views.decorators.debug import sensitive_variables

from authx import conf
from authx.audit.events import record_event
from authx.errors import ConflictError, CredentialsChangedError
from authx.models import EventKind, PasswordFailures
from authx.passwords.hash_upgrades import hash_upgrades_followed
from authx.sessions.locking import atomic, retry_on_conflict

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class AttemptBudget(Enum):
    """What room there was for one more wrong password."""

    SOME = "some"
    LAST = "last"
    NONE = "none"


@sensitive_variables()
def check_password(user: "User", password: str) -> bool:
    """Check a password, unless too many wrong ones in a row went before it.

    Then it is off, which looks like a wrong password, until it is set anew by whatever means, or an
    operator restores it (NIST SP 800-63B-4 section 3.2.2). Sessions go on.
    """
    # Counted as wrong before it is known: guesses at the same moment cannot pass the bound.
    room = retry_on_conflict(lambda: _count(user))
    if room is AttemptBudget.NONE:
        hash_dummy_password(password)
        return False
    try:
        right = _check(user, password)
    except CredentialsChangedError:
        # Changed by the owner while the old one was hashed anew: what is stored now decides.
        user.refresh_from_db(fields=["password"])
        return check_password(user, password)
    if not right and room is AttemptBudget.LAST:
        _record_off(user)
    return right


def _check(user: "User", password: str) -> bool:
    checked = user.password
    with hash_upgrades_followed(lambda stored: stored.password == checked):
        right: bool = user.check_password(password)
    if right:
        # Only what counts against the password that was checked, and with the fingerprint of a
        # hash that the check upgraded.
        counted = _failures(user).filter(fingerprint=hash_fingerprint(checked))
        counted.update(count=0, fingerprint=hash_fingerprint(user.password))
    return right


def hash_dummy_password(password: str) -> None:
    """Take as long as a check does, as Django does for unknown names."""
    get_user_model()().set_password(password)


def is_password_locked(user: "User") -> bool:
    """Say whether a password opens nothing any more, right or wrong."""
    return _spent(user).exists()


def _spent(user: "User") -> QuerySet[PasswordFailures]:
    bound = conf.own("MAX_PASSWORD_FAILURES")
    return _failures(user).filter(fingerprint=hash_fingerprint(user.password), count__gte=bound)


def _record_off(user: "User") -> None:
    with atomic():
        # Held while it is told: a right password that was checked beside this one may have
        # switched it on again.
        if _spent(user).update(count=F("count")):
            record_event(kind=EventKind.PASSWORD_LOCKED, user_id=user.pk)


def _failures(user: "User") -> QuerySet[PasswordFailures]:
    return PasswordFailures.objects.filter(user_id=user.pk)


def _count(user: "User") -> AttemptBudget:
    """Count one more failure, and say what room there was for it; raises ConflictError."""
    known, limit = hash_fingerprint(user.password), conf.own("MAX_PASSWORD_FAILURES")
    counted = _failures(user).filter(fingerprint=known)
    if counted.filter(count__lt=limit - 1).update(count=F("count") + 1):
        return AttemptBudget.SOME
    if counted.filter(count=limit - 1).update(count=limit):
        return AttemptBudget.LAST
    first = AttemptBudget.LAST if limit == 1 else AttemptBudget.SOME
    # Set anew since the last count: nothing is known against this password.
    if _failures(user).exclude(fingerprint=known).update(fingerprint=known, count=1):
        return first
    row, created = PasswordFailures.objects.get_or_create(
        user_id=user.pk, defaults={"fingerprint": known, "count": 1}
    )
    if created:
        return first
    if row.fingerprint == known and row.count >= limit:
        return AttemptBudget.NONE
    raise ConflictError


def hash_fingerprint(stored_hash: str) -> str:
    """Return what tells one stored password from the next, whoever sets it, and nothing of it.

    Of the salted hash, and under no key of ours: a change of SECRET_KEY must restore nothing.
    """
    return sha256(stored_hash.encode()).hexdigest()


def unlock_password(*, user_id: Any) -> bool:
    """Forget the wrong passwords of an account, and say whether there were any."""
    with atomic():
        failures = PasswordFailures.objects.filter(user_id=user_id, count__gt=0)
        restored = bool(failures.update(count=0))
        if restored:
            record_event(kind=EventKind.PASSWORD_UNLOCKED, user_id=user_id)
    return restored
