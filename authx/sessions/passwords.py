"""The one way to check a password: wrong ones in a row are counted, and their number is bounded."""

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import F, QuerySet

from authx import conf
from authx.models import EventKind, PasswordFailures
from authx.sessions.contention import until_settled
from authx.sessions.hash_upgrades import hash_upgrades_followed
from authx.trail.recording import record

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def is_password_right(user: "User", password: str) -> bool:
    """Check a password, unless too many wrong ones in a row went before it.

    Then it is off, which looks like a wrong password, until it is set anew by whatever means, or an
    operator restores it (NIST SP 800-63B-4 section 3.2.2). Sessions go on.
    """
    # Counted as wrong before it is known: guesses at the same moment cannot pass the bound.
    if not until_settled(lambda: _count(user)):
        _record_off(user)
        waste_a_check(password)
        return False
    with hash_upgrades_followed():
        right: bool = user.check_password(password)
    if right:
        # With the fingerprint of a hash that the check upgraded.
        _failures(user).update(count=0, fingerprint=fingerprint_of(user))
    return right


def waste_a_check(password: str) -> None:
    """Take as long as a check does, as Django does for unknown names."""
    get_user_model()().set_password(password)


def _record_off(user: "User") -> None:
    """Record, once, that a password is off; the count beyond its bound is the note of that."""
    bound = conf.own("MAX_PASSWORD_FAILURES")
    with transaction.atomic():
        if _failures(user).filter(count=bound).update(count=bound + 1):
            record(kind=EventKind.PASSWORD_SIGN_IN_OFF, user_id=user.pk)


def _failures(user: "User") -> QuerySet[PasswordFailures]:
    return PasswordFailures.objects.filter(user_id=user.pk)


def _count(user: "User") -> int | None:
    """Return 1 if there was room for one more failure, 0 if not; None if the row changed."""
    known, limit = fingerprint_of(user), conf.own("MAX_PASSWORD_FAILURES")
    room = _failures(user).filter(fingerprint=known, count__lt=limit)
    if room.update(count=F("count") + 1):
        return 1
    # Set anew since the last count: nothing is known against this password.
    if _failures(user).exclude(fingerprint=known).update(fingerprint=known, count=1):
        return 1
    row, created = PasswordFailures.objects.get_or_create(
        user_id=user.pk, defaults={"fingerprint": known, "count": 1}
    )
    if created:
        return 1
    return 0 if row.fingerprint == known and row.count >= limit else None


def fingerprint_of(user: "User") -> str:
    """Return what tells one stored password from the next, whoever sets it, and nothing of it.

    Of the salted hash, and under no key of ours: a change of SECRET_KEY must restore nothing.
    """
    return sha256(user.password.encode()).hexdigest()


def restore_password(*, user_id: Any) -> bool:
    """Forget the wrong passwords of an account, and say whether there were any."""
    with transaction.atomic():
        failures = PasswordFailures.objects.filter(user_id=user_id, count__gt=0)
        restored = bool(failures.update(count=0))
        if restored:
            record(kind=EventKind.PASSWORD_SIGN_IN_ON, user_id=user_id)
    return restored
