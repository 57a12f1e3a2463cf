"""The page of settings says what the code does: every key, its default, its checks."""

import re

from authx import conf
from tests.settings_page import PAGE, defaults_on_the_page, named_checks
from tests.source_code import ALL_FILES


def test_every_key_of_authx_is_there_with_its_default() -> None:
    assert defaults_on_the_page("AUTHX") == conf.DEFAULTS


def test_every_key_of_knox_that_has_a_default_of_ours_is_there_with_it() -> None:
    assert defaults_on_the_page("REST_KNOX") == conf.KNOX_DEFAULTS


def test_every_check_is_on_the_page_and_no_other() -> None:
    source = "".join(path.read_text() for path in ALL_FILES)
    numbered = {f"authx.E{int(number):03}" for number in re.findall(r"_error\(\s*(\d+),", source)}
    named = set(re.findall(r"\bid=\"([a-z_]+\.[EW]\d{3})\"", source))
    assert named_checks(PAGE) == numbered | named
