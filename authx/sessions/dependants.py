"""Deletes sessions that rows of other apps refer to."""

import logging
from typing import Any

from django.db import IntegrityError, models, transaction

from authx.models import DeviceSession

logger = logging.getLogger(__name__)


def has_dependants(model: type[models.Model]) -> bool:
    """Return whether another model has a foreign key to this one."""
    return bool(_relations(model))


def without_protected(sessions: models.QuerySet[DeviceSession]) -> models.QuerySet[DeviceSession]:
    """Leave out the sessions that a foreign key with PROTECT or RESTRICT keeps."""
    for relation in _relations(DeviceSession):
        if relation.on_delete in (models.PROTECT, models.RESTRICT):
            refers = models.Q(**{relation.field.name: models.OuterRef("pk")})
            rows = relation.related_model._base_manager.filter(refers)
            sessions = sessions.exclude(models.Exists(rows))
    return sessions


def _relations(model: type[models.Model]) -> list[Any]:
    fields = model._meta.get_fields(include_hidden=True)
    return [field for field in fields if field.auto_created and not field.concrete]


def delete_with_dependants(sessions: models.QuerySet[DeviceSession], keys: list[Any]) -> list[Any]:
    """Delete sessions and what hangs on them; return the keys of those that stay.

    A foreign key with PROTECT, RESTRICT or a constraint of the database alone keeps its session,
    and no other one. A row that a request has locked is left for the next sweep.
    """
    try:
        deleted = _delete(sessions, keys)
    # ProtectedError and RestrictedError are subclasses.
    except IntegrityError:
        deleted = set()
        for key in keys:
            try:
                deleted |= _delete(sessions, [key])
            except IntegrityError as error:
                logger.warning("sweep: session %s stays, %s", key, type(error).__name__)
    return [key for key in keys if key not in deleted]


def _delete(sessions: models.QuerySet[DeviceSession], keys: list[Any]) -> set[Any]:
    with transaction.atomic(using=sessions.db):
        free = sessions.filter(pk__in=keys).select_for_update(skip_locked=True, of=("self",))
        found = set(free.values_list("pk", flat=True))
        DeviceSession._base_manager.using(sessions.db).filter(pk__in=found).delete()
    return found
