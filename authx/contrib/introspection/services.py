"""The credentials of services: create, revoke and authenticate; the only writer of Service."""

from datetime import datetime, timedelta
from typing import Final

from django.db.models import Q
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from authx import tokens
from authx.codec import digest_of, token_codec
from authx.contrib.introspection.models import Service
from authx.errors import ForgedTokenError, InvalidServiceError
from authx.tokens import RawToken, Token, TokenKind

LAST_USED_INTERVAL: Final = timedelta(minutes=1)


def create_service(*, service: Service) -> None:
    """Write a new service and set its `raw_secret`, which cannot be read again.

    Raises Django's ValidationError for an invalid name.
    """
    token = Token(TokenKind.SERVICE, service.pk, 0, tokens.new_secret())
    service.raw_secret = token_codec().mint(token)
    service.digest = digest_of(service.raw_secret)
    service.clean_fields()
    service.save(force_insert=True)


def revoke_service(*, service: Service) -> bool:
    """Revoke a service's credential; return whether this call revoked it."""
    unrevoked = Service.objects.filter(pk=service.pk, revoked_at__isnull=True)
    return bool(unrevoked.update(revoked_at=timezone.now()))


@sensitive_variables()
def authenticate_service(*, client_id: str, raw_secret: str) -> Service:
    """Return the live service that a credential belongs to (RFC 6749 section 2.3.1).

    Raises InvalidServiceError; a forged secret costs no query.
    """
    try:
        token = token_codec().parse(raw_secret, TokenKind.SERVICE)
    except ForgedTokenError as error:
        raise InvalidServiceError(error.reason) from error
    if client_id.lower() != str(token.session_id):
        raise InvalidServiceError("another service's secret")
    digest = digest_of(RawToken(raw_secret))
    service = Service.objects.filter(pk=token.session_id, digest=digest).first()
    if service is None or service.revoked_at is not None:
        raise InvalidServiceError("unknown" if service is None else "revoked")
    _update_last_used(service, timezone.now())
    return service


def _update_last_used(service: Service, now: datetime) -> None:
    long_ago = now - LAST_USED_INTERVAL
    if service.last_used_at is None or service.last_used_at <= long_ago:
        outdated = Q(last_used_at__isnull=True) | Q(last_used_at__lte=long_ago)
        Service.objects.filter(outdated, pk=service.pk).update(last_used_at=now)
