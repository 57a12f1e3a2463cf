"""The description is a page to try things on: a real browser signs in, authorizes, and calls."""

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import element_to_be_clickable
from selenium.webdriver.support.wait import WebDriverWait

from tests.phone import PASSWORD

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
PATIENCE = 20  # seconds

pytestmark = [
    pytest.mark.waits,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="no Chromium with its driver here"),
]

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1300,1400",
]


class Page:
    """The docs page in a browser, in the words of whoever uses it."""

    def __init__(self, browser: Chrome) -> None:
        self.browser = browser

    def click(self, selector: str) -> None:
        wait = WebDriverWait(self.browser, PATIENCE)
        wait.until(element_to_be_clickable((By.CSS_SELECTOR, selector))).click()

    def fill(self, selector: str, text: str) -> None:
        self.click(selector)
        field = self.browser.find_element(By.CSS_SELECTOR, selector)
        field.clear()
        field.send_keys(text)

    def try_out(self, operation: str, body: dict[str, Any] | None = None) -> tuple[str, Any]:
        """Open an operation, execute it, and return status and body of the live answer."""
        here = f"#operations-users-{operation}"
        self.click(f"{here} .opblock-summary-control")
        self.click(f"{here} .try-out__btn")
        if body is not None:
            self.fill(f"{here} textarea.body-param__text", json.dumps(body))
        self.click(f"{here} .execute")
        return self._text(f"{here} .live-responses-table tbody .response-col_status"), json.loads(
            self._text(f"{here} .live-responses-table .highlight-code code")
        )

    def _text(self, selector: str) -> str:
        wait = WebDriverWait(self.browser, PATIENCE)
        return wait.until(lambda page: page.find_element(By.CSS_SELECTOR, selector).text)


@pytest.fixture
def page(live_server: Any, alice: User) -> Iterator[Page]:
    options = ChromeOptions()
    options.binary_location = BROWSER or ""
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    with Chrome(options, ChromeService(DRIVER)) as browser:
        browser.get(f"{live_server.url}/api/docs")
        yield Page(browser)


def hosts_asked(page: Page) -> set[str]:
    log = page.browser.get_log("performance")  # type: ignore[no-untyped-call]
    events = [json.loads(entry["message"])["message"] for entry in log]
    urls = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    return {url.split("/")[2] for url in urls if url.startswith(("http", "ws"))}


def complaints(page: Page) -> list[str]:
    """Return what the browser holds for an error: of a script, of the policy, of an answer."""
    log = page.browser.get_log("browser")  # type: ignore[no-untyped-call]
    return [entry["message"] for entry in log if entry["level"] == "SEVERE"]


def test_the_page_signs_in_authorizes_and_calls_with_nothing_from_another_host(
    page: Page, live_server: Any
) -> None:
    refused = page.try_out("authx_me")
    assert (refused[0], refused[1]["error"]) == ("401", "unauthorized")

    status, pair = page.try_out("authx_login", {"username": "alice", "password": PASSWORD})
    assert (status, pair["token_type"]) == ("200", "Bearer")

    page.click(".auth-wrapper .authorize")
    page.fill(".modal-ux input", pair["access_token"])
    page.click(".modal-ux .authorize")
    page.click(".modal-ux .btn-done")

    status, devices = page.try_out("authx_devices")
    assert (status, [device["id"] for device in devices]) == ("200", [pair["device"]["id"]])

    told = "Failed to load resource: the server responded with a status of 401 (Unauthorized)"
    assert complaints(page) == [f"{live_server.url}/users/me - {told}"]
    assert hosts_asked(page) == {live_server.url.removeprefix("http://")}
    assert page.browser.get_cookies() == []
