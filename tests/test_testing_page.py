"""The code of "Test your project" runs in a fresh project with the built wheel."""

import re
from pathlib import Path

import pytest

from tests.shop import BLOCK, ROOT, Shop

pytestmark = pytest.mark.waits

PAGE = ROOT / "docs" / "testing.md"
HEADINGS = ("With pytest", "With Django's TestCase", "Clients")


@pytest.fixture(scope="module")
def shop(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    shop = Shop(tmp_path_factory.mktemp("tested"), wheel)
    shop.follow("Install")
    shop.follow(*HEADINGS, guide=PAGE)
    return shop


def test_the_suites_of_the_page_pass_with_pytest(shop: Shop) -> None:
    words = ("-m", "pytest", "-p", "no:cacheprovider", "--ds=shop.settings", "accounts")
    assert re.search(r"^4 passed", shop.run(*words, "-q", "-p", "no:randomly"), re.MULTILINE)


def test_the_suite_of_the_page_passes_with_the_runner_of_django(shop: Shop) -> None:
    shop.manage("test", "accounts.tests")


def test_the_suite_of_an_app_has_fewer_than_twenty_lines() -> None:
    suites = [
        block["code"].strip().splitlines()
        for block in BLOCK.finditer(PAGE.read_text())
        if Path(block["path"]).name in {"test_sessions.py", "tests.py"}
    ]
    assert [len(lines) < 20 for lines in suites] == [True, True]


def test_a_suite_fails_where_authx_does_not_do_what_it_says(tmp_path: Path, shop: Shop) -> None:
    broken = shop.copy(tmp_path)
    broken.append("shop/settings.py", "AUTHX = {'API_PATHS': '^/users/', 'RETRY': 'strict'}")
    broken.append("shop/settings.py", "from datetime import timedelta")
    broken.append("shop/settings.py", "AUTHX['REFRESH_TOKEN_GRACE_PERIOD'] = timedelta(0)")
    with pytest.raises(AssertionError, match="a_lost_answer"):
        broken.run("-m", "pytest", "--ds=shop.settings", "accounts", "-q")
