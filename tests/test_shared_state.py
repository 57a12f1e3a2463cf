"""What processes and threads share and must not confuse."""

import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, cast

import pytest
from django.utils import timezone

from authx.clock import database_now
from authx.models import DeviceSession
from authx.rest.serializers import LoginSerializer, TokenSerializer
from authx.rest.views import base
from authx.sessions import sweep
from tests.processes import Processes

# Other tests cover the same lines, at less cost.
pytestmark = pytest.mark.no_cover


def _revive(ids: list[Any]) -> list[Any]:
    until = timezone.now() + timedelta(days=1)
    return [pk for pk in ids if DeviceSession.objects.filter(pk=pk).update(idle_expires_at=until)]


def _sweep() -> list[Any]:
    for _ in range(6):
        rows = sweep._ended_sessions(database_now())
        while sweep._delete_batch(sweep._prepare(rows), 50):
            pass
    return []


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_row_that_came_alive_beside_a_sweep_is_never_deleted(alice: Any) -> None:
    ago = timezone.now() - timedelta(days=30)
    rows = [
        DeviceSession(
            user=alice,
            digest=f"{number:0128x}",
            refresh_digest=f"{number + 10**6:0128x}",
            access_nonce=b"n" * 16,
            expiry=ago,
            auth_hash="x",
            idle_expires_at=ago,
            absolute_expires_at=timezone.now() + timedelta(days=9),
        )
        for number in range(3000)
    ]
    DeviceSession.objects.bulk_create(rows)
    ids = [row.pk for row in rows]
    with Processes(3) as processes:
        revived, *_ = processes.together([(_revive, (ids[::-1],)), (_sweep, ()), (_sweep, ())])
    assert DeviceSession.objects.filter(pk__in=revived).count() == len(revived)
    assert 0 < len(revived) < 3000


def test_threads_that_share_a_serializer_get_each_their_own_answer() -> None:
    sys.setswitchinterval(1e-6)

    def check(number: int) -> bool:
        token, name = f"{uuid.uuid4()}", f"name-{number}"
        body = {"grant_type": "refresh_token", "refresh_token": token}
        device = {"name": name, "installation_id": token[:20]}
        login = {"username": name, "password": token, "device": device}
        grant = cast("Any", base.shared(TokenSerializer)).run_validation(body)
        credentials = cast("Any", base.shared(LoginSerializer)).run_validation(login)
        return bool(grant["refresh_token"] == token and credentials == login)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(check, range(3000)))
    sys.setswitchinterval(0.005)
