"""The only check of a password: consecutive failures are counted, and their number is bounded."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model, hashers
from django.db import IntegrityError
from django.db.models import F, QuerySet
from django.utils.functional import LazyObject, empty
from django.views.decorators.debug import sensitive_variables

from authx import conf
from authx.audit.events import record_daily, record_event
from authx.errors import ConflictError, CredentialsChangedError
from authx.models import EventKind, PasswordFailures, all_users, auth_hashes
from authx.passwords.bulkhead import place_for_hashing
from authx.sessions.locking import atomic, lock_user, retry_on_conflict
from authx.sessions.update import update_auth_hash

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class AttemptBudget(Enum):
    """How many attempts were left before one more was counted."""

    SOME = "some"
    LAST = "last"
    NONE = "none"


@sensitive_variables()
def check_password(user: "User", password: str) -> bool:
    """Return whether a password is right, unless the limit of consecutive failures is reached.

    In that case the password is locked, which looks like a wrong password, until it is changed in
    any way or an operator unlocks it (NIST SP 800-63B-4 section 3.2.2). Sessions are not affected.
    Raises OverloadedError, before anything is counted, while as many are checked as may be at once.
    """
    # `request.user` of Django's middleware is a wrapper, on which no method can be replaced.
    user = _unwrapped(user)
    try:
        with place_for_hashing():
            return _check_counted(user, password)
    except CredentialsChangedError:
        # The owner changed the password while it was hashed anew: what is stored now decides.
        stored = all_users().values_list("password", flat=True).filter(pk=user.pk).first()
        if stored is None:
            return False
        user.password = stored
        return check_password(user, password)


def _check_counted(user: "User", password: str) -> bool:
    # Counted as a failure before the result is known: parallel guesses cannot exceed the limit.
    try:
        budget = retry_on_conflict(lambda: _count_failure(user))
    except IntegrityError:
        # The user was deleted meanwhile, and nobody is left to count for.
        budget = AttemptBudget.NONE
    if budget is AttemptBudget.NONE:
        _hash(password)
        return False
    is_right = _verify(user, password)
    if not is_right and budget is AttemptBudget.LAST:
        _record_locked(user)
    return is_right


def _unwrapped(user: Any) -> Any:
    """Return the user inside a lazy wrapper."""
    if isinstance(user, LazyObject):
        lazy: Any = user
        if lazy._wrapped is empty:
            lazy._setup()
        return lazy._wrapped
    return user


def _verify(user: "User", password: str) -> bool:
    verified = user.password
    is_right = _matches(user, password)
    if is_right:
        # Reset only the failures of the password that was verified; an upgrade has changed the
        # fingerprint of its hash.
        stored = [hash_fingerprint(one) for one in (verified, user.password)]
        counted = _failures(user).filter(fingerprint__in=stored)
        counted.update(count=0, fingerprint=hash_fingerprint(user.password))
    return is_right


def _matches(user: "User", password: str) -> bool:
    """Check the password as Django does, but store an upgraded hash safely."""
    # The method of the user decides. Django's, which it may call, upgrades a hash in the setter
    # that it gives to `hashers.check_password`: set_password(), then save().
    with _upgrades_stored_safely(user):
        # That of its class: the user of a cookie counts attempts in its own (backends.py).
        return bool(type(user).check_password(user, password))


def upgrade_outdated_hash(user: "User", password: str) -> None:
    """Upgrade the hash of a right password before other code does, which would end the sessions.

    Raises CredentialsChangedError as `check_password` does. A wrong password has no effect.
    """
    try:
        algorithm = hashers.identify_hasher(user.password).algorithm
    except ValueError:
        return
    preferred = hashers.get_hasher()
    if algorithm != preferred.algorithm or preferred.must_update(user.password):
        with place_for_hashing():
            hashers.check_password(password, user.password, _upgrade_of(user))


def _upgrade_of(user: "User") -> Callable[[str], None]:
    """Return the setter for Django's check_password, which it calls with the raw password."""
    verified = user.password

    def upgrade(raw_password: str) -> None:
        user.set_password(raw_password)
        # As Django does: the instance no longer says that a password was set.
        vars(user)["_password"] = None
        _store_upgraded_hash(user, verified=verified)

    return upgrade


@contextmanager
def _upgrades_stored_safely(user: "User") -> Iterator[None]:
    """Let this instance store an upgraded hash safely instead of saving itself."""
    verified, made = user.password, ""
    plain_save, plain_set_password = user.save, user.set_password

    def set_password(*args: Any, **options: Any) -> None:
        nonlocal made
        plain_set_password(*args, **options)
        made = user.password

    def save(*args: Any, **options: Any) -> None:
        nonlocal verified
        is_upgrade = (
            list(options.get("update_fields") or ()) == ["password"]
            # Otherwise a password was set, which ends the sessions.
            and getattr(user, "_password", None) is None
            # Only what set_password() made just now is a hash of the password that was checked.
            and user.password == made != verified
            and hashers.is_password_usable(made)
        )
        if is_upgrade:
            _store_upgraded_hash(user, verified=verified)
            verified = made
        else:
            plain_save(*args, **options)

    vars(user).update(save=save, set_password=set_password)
    try:
        yield
    finally:
        del vars(user)["save"], vars(user)["set_password"]


def _store_upgraded_hash(user: "User", *, verified: str) -> None:
    """Store `user.password`, a new hash of the same password, and keep the user's sessions valid.

    Raises CredentialsChangedError if the stored hash is not the one that was verified: hashing
    takes long, and the old password must not be written back over a new one.
    """
    with atomic():
        stored = lock_user(user.pk)
        if stored is None:
            return
        if stored.password != verified:
            raise CredentialsChangedError
        old = auth_hashes(stored)
        stored.password = user.password
        all_users().filter(pk=user.pk).update(password=user.password)
        # An upgrade is not a new password: it neither unlocks the old one nor resets its count.
        counted = _failures(user).filter(fingerprint=hash_fingerprint(verified))
        counted.update(fingerprint=hash_fingerprint(user.password))
        update_auth_hash(user_id=user.pk, old=old, new=stored.get_session_auth_hash())


def hash_dummy_password(password: str) -> None:
    """Take as long as a check does, as Django does for an unknown user name.

    Raises OverloadedError as a check does.
    """
    with place_for_hashing():
        _hash(password)


def _hash(password: str) -> None:
    get_user_model()().set_password(password)


def is_password_locked(user: "User") -> bool:
    """Return whether the user cannot sign in by password because of too many failures."""
    return _locked(user).exists()


def _locked(user: "User") -> QuerySet[PasswordFailures]:
    bound = conf.authx_setting("MAX_PASSWORD_FAILURES")
    return _failures(user).filter(fingerprint=hash_fingerprint(user.password), count__gte=bound)


def _record_locked(user: "User") -> None:
    with atomic():
        # Locked while it is recorded: a parallel check of the right password may reset the count.
        if _locked(user).update(count=F("count")):
            record_daily(kind=EventKind.PASSWORD_LOCKED, user_id=user.pk)


def _failures(user: "User") -> QuerySet[PasswordFailures]:
    return PasswordFailures.objects.filter(user_id=user.pk)


def _count_failure(user: "User") -> AttemptBudget:
    """Count one failure; return how many were left before it. Raises ConflictError."""
    known, limit = hash_fingerprint(user.password), conf.authx_setting("MAX_PASSWORD_FAILURES")
    counted = _failures(user).filter(fingerprint=known)
    if counted.filter(count__lt=limit - 1).update(count=F("count") + 1):
        return AttemptBudget.SOME
    if counted.filter(count=limit - 1).update(count=limit):
        return AttemptBudget.LAST
    first = AttemptBudget.LAST if limit == 1 else AttemptBudget.SOME
    # The password has changed since the last failure.
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
    """Return a value that differs for each stored password, whoever sets it.

    It is a hash of the salted hash, under no key: a change of SECRET_KEY must unlock nothing.
    """
    return sha256(stored_hash.encode()).hexdigest()


def unlock_password(*, user_id: Any) -> bool:
    """Reset the failures of an account; return whether there were any."""
    with atomic():
        failures = PasswordFailures.objects.filter(user_id=user_id, count__gt=0)
        unlocked = bool(failures.update(count=0))
        if unlocked:
            record_event(kind=EventKind.PASSWORD_UNLOCKED, user_id=user_id)
    return unlocked
