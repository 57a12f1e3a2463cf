"""Rules of the house that a review would otherwise have to remember; each rule has its own test."""

import ast
import re
from collections import Counter

import pytest

from authx import conf
from tests.source_code import (
    ALL_FILES,
    AUTHX,
    BACKEND,
    ROOT,
    TASKS,
    TESTS,
    calls_in,
    check_ids_in,
    functions_in,
    names_in,
    offenders,
)

SERVICE_CREDENTIALS = ROOT / "authx/contrib/introspection/services.py"

SECRET = re.compile(r"raw_|digest")
OF_SESSIONS = re.compile(r"DeviceSession|SweepLease|session")
OF_AUDIT = re.compile(r"SecurityEvent|Notification|event|notification")
OVERRIDES = "authx/models/events.py"
WRITES = frozenset(
    [
        *("save", "create", "update", "delete", "bulk_create", "bulk_update"),
        *("get_or_create", "update_or_create", "asave", "acreate", "aupdate", "adelete"),
        *("abulk_create", "abulk_update", "aget_or_create", "aupdate_or_create", "_raw_delete"),
    ]
)


def logged_secrets(source: str) -> list[str]:
    """Return the names of secrets that log calls and printed forms mention."""
    tree = ast.parse(source)
    calls = [call for call in calls_in(tree) if re.match("log", ast.unparse(call.func))]
    arguments = [part for call in calls for part in [*call.args, *call.keywords]]
    printed = [one for one in functions_in(tree) if one.name in {"__str__", "__repr__"}]
    return [name for name in names_in(*arguments, *printed) if SECRET.search(name)]


def writes(source: str) -> list[str]:
    """Return what the source writes to the database through."""
    return [
        ast.unparse(call.func)
        for call in calls_in(ast.parse(source))
        if isinstance(call.func, ast.Attribute) and call.func.attr in WRITES
    ]


def local_imports(source: str) -> list[str]:
    """Return the functions that import."""
    return [
        function.name
        for function in functions_in(ast.parse(source))
        if any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(function))
    ]


def careless_locks(source: str) -> list[str]:
    """Return the row locks that say neither `no_key=` nor `skip_locked=`."""
    return [
        ast.unparse(call)
        for call in calls_in(ast.parse(source))
        if ast.unparse(call.func).endswith("select_for_update")
        and not {"no_key", "skip_locked"} & {word.arg for word in call.keywords}
    ]


def settings_read(source: str) -> set[str]:
    """Return the settings of AUTHX that the source asks for by name."""
    return {
        ast.literal_eval(call.args[0])
        for call in calls_in(ast.parse(source))
        if re.fullmatch(r"(conf\.)?authx_setting", ast.unparse(call.func))
        and isinstance(call.args[0], ast.Constant)
    }


def error_codes(source: str) -> set[str]:
    """Return the codes of all `ErrorResponse(status, code, description)` of a source."""
    calls = [
        call for call in calls_in(ast.parse(source)) if ast.unparse(call.func) == "ErrorResponse"
    ]
    # A code that is no literal is that of another app's own exception.
    named = [call.args[1] for call in calls]
    return {str(code.value) for code in named if isinstance(code, ast.Constant)}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("logger.info('%s', raw_token)", ["raw_token"]),
        ("logger.info('x', extra={'a': row.digest})", ["digest"]),
        ("logging.error(f'{self.refresh_digest}')", ["refresh_digest"]),
        ("log(digest_of(x))", ["digest_of"]),
        ("class A:\n def __str__(self): return self.digest", ["digest"]),
        ("class A:\n def __repr__(self): return f'{self.raw_token}'", ["raw_token"]),
        ("logger.info('the digest of %s', session.pk)\ndigest = raw_token", []),
    ],
)
def test_the_rule_on_secrets_sees_them(source: str, expected: list[str]) -> None:
    assert logged_secrets(source) == expected


def test_no_log_call_and_no_printed_form_mentions_a_secret() -> None:
    assert offenders(ALL_FILES, logged_secrets) == {}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("DeviceSession.objects.filter(pk=1).update(a=1)", 1),
        ("DeviceSession.objects.create()", 1),
        ("DeviceSession.objects.bulk_create([x], ignore_conflicts=True)", 1),
        ("session.save()\nsession.delete()", 2),
        ("DeviceSession.objects.filter(pk=1)\ndef delete(self): ...", 0),
    ],
)
def test_the_rule_on_writes_sees_them(source: str, expected: int) -> None:
    assert len(writes(source)) == expected


def test_only_sessions_audit_and_passwords_write() -> None:
    # `testing` lets sessions expire, and refuses to run outside of tests.
    writers = {"sessions", "audit", "passwords", "testing"}
    others = [
        path
        for path in [*AUTHX, *TASKS]
        if path.parent.name not in writers and path != SERVICE_CREDENTIALS
    ]
    # What overrides a way to write, to forbid it, calls it.
    assert offenders(others, writes) == {OVERRIDES: ["super().bulk_create", "super().save"]}


@pytest.mark.parametrize(
    ("package", "foreign"),
    [("sessions", OF_AUDIT), ("audit", OF_SESSIONS), ("passwords", OF_SESSIONS)],
)
def test_each_package_writes_what_is_its_own(package: str, foreign: re.Pattern[str]) -> None:
    own = [path for path in AUTHX if path.parent.name == package]
    assert own
    assert offenders(own, lambda source: list(filter(foreign.search, writes(source)))) == {}


def test_service_credentials_write_services_and_nothing_else() -> None:
    targets = writes(SERVICE_CREDENTIALS.read_text())
    assert {re.split(r"\W", target)[0] for target in targets} == {"Service", "service", "unrevoked"}
    assert [target for target in targets if OF_SESSIONS.search(target)] == []


def test_the_backend_writes_no_session() -> None:
    assert offenders(BACKEND, lambda source: list(filter(OF_SESSIONS.search, writes(source)))) == {}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f():\n import os", ["f"]),
        ("class A:\n def g(self):\n  if x:\n   from a import b", ["g"]),
        ("import os\ndef f(): ...", []),
    ],
)
def test_the_rule_on_local_imports_sees_them(source: str, expected: list[str]) -> None:
    assert local_imports(source) == expected


def test_no_function_imports_except_ready_of_apps() -> None:
    found = offenders(ALL_FILES, local_imports)
    apps = {name: functions for name, functions in found.items() if name.endswith("/apps.py")}
    assert found == apps
    assert {*map(tuple, apps.values())} == {("ready",)}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("rows.select_for_update()", ["rows.select_for_update()"]),
        ("a.b.select_for_update(of=('self',)).get()", ["a.b.select_for_update(of=('self',))"]),
        ("rows.select_for_update(no_key=True)\nrows.select_for_update(skip_locked=True)", []),
    ],
)
def test_the_rule_on_locks_sees_them(source: str, expected: list[str]) -> None:
    assert careless_locks(source) == expected


def test_every_row_lock_says_how_it_waits() -> None:
    assert offenders(ALL_FILES, careless_locks) == {}


def test_the_rule_on_settings_sees_them() -> None:
    source = "conf.authx_setting('A')\nauthx_setting('B')\nconf.authx_setting(name)\n{'D': 1}"
    assert settings_read(source) == {"A", "B"}


def test_every_setting_is_used_and_every_used_one_has_a_default() -> None:
    # That a check looks at a setting does not mean that anything obeys it.
    sources = [path.read_text() for path in AUTHX if path.parent.name != "checks"]
    assert set().union(*map(settings_read, sources)) == set(conf.DEFAULTS)


def test_ids_of_checks_are_unique_in_all_of_the_code() -> None:
    ids = sum((check_ids_in(path.read_text()) for path in ALL_FILES), Counter())
    assert ids.total() >= 19
    assert [name for name, count in ids.items() if count > 1] == []


def test_the_rule_on_error_codes_sees_them() -> None:
    assert error_codes(
        "A = ErrorResponse(S.X, 'gone', 'Text.')\nf({E: ErrorResponse(1, 'b', 'T')})"
    ) == {
        "gone",
        "b",
    }


def test_every_error_code_is_in_the_schema() -> None:
    schema = (ROOT / "schema.yaml").read_text()
    codes = error_codes((ROOT / "authx/rest/exceptions.py").read_text())
    assert codes
    assert [code for code in sorted(codes) if not re.search(rf"\b{code}\b", schema)] == []


def imported_tests(source: str) -> list[str]:
    """Return the test modules that a source imports."""
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    modules = [f"{node.module}.{alias.name}" for node in imports for alias in node.names]
    return [module for module in modules if re.match(r"tests\.test_", module)]


def test_the_rule_on_tests_that_import_tests_sees_them() -> None:
    source = "from tests.test_a import b\nfrom tests import test_c as d\nfrom tests.phone import e"
    assert imported_tests(source) == ["tests.test_a.b", "tests.test_c"]


def test_no_test_imports_another_test() -> None:
    assert offenders(TESTS, imported_tests) == {}


def test_at_most_two_context_variables() -> None:
    sources = "".join(path.read_text() for path in AUTHX)
    assert len(re.findall(r"\bContextVar\(", sources)) <= 2
