"""A real browser over the pages of an account; without Chromium, its tests are skipped."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import element_to_be_clickable
from selenium.webdriver.support.wait import WebDriverWait

from tests.source_code import ROOT

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
AXE = ROOT / "tests/clients/node_modules/axe-core/axe.min.js"
PATIENCE = 20  # seconds
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]
needs_chromium = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="no Chromium with its driver here"
)
needs_axe = pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: no Node here")
# WCAG 2.2 AA, and what axe recommends beside it.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


class Page:
    """A window, in the words of whoever sits in front of it."""

    def __init__(self, chrome: Chrome, base: str) -> None:
        self.chrome, self.base = chrome, base

    def open(self, path: str) -> "Page":
        self.chrome.get(path if path.startswith("http") else self.base + path)
        return self

    def fill(self, name: str, text: str) -> "Page":
        self.chrome.find_element(By.NAME, name).send_keys(text)
        return self

    def press(self, text: str) -> "Page":
        """Press the button, link or summary with this text, and wait for the next page."""
        parts = "|".join(f"//{tag}[normalize-space()='{text}']" for tag in ("button", "a"))
        wait = WebDriverWait(self.chrome, PATIENCE)
        button = wait.until(element_to_be_clickable((By.XPATH, parts)))
        button.click()
        wait.until(lambda _: is_gone(button))
        return self

    @property
    def text(self) -> str:
        return self.chrome.find_element(By.TAG_NAME, "main").text

    @property
    def complaints(self) -> list[str]:
        """What the browser holds for an error, such as what the policy has refused."""
        log: list[dict[str, Any]] = self.chrome.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in log if entry["level"] == "SEVERE"]

    def look(self, *, width: int, dark: bool = False, language: str = "en") -> "Page":
        """Let the window be that wide, and the browser prefer these."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.command("Network.enable", {})
        wanted = {"headers": {"Accept-Language": language}}
        self.command("Network.setExtraHTTPHeaders", wanted)
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
        self.command("Emulation.setDeviceMetricsOverride", size)
        return self

    def command(self, name: str, options: dict[str, Any]) -> None:
        self.chrome.execute_cdp_cmd(name, options)

    def violations(self) -> list[str]:
        """Return what axe-core finds wrong with the page as it is now."""
        self.chrome.execute_script(AXE.read_text())
        found: Any = self.chrome.execute_async_script(
            "axe.run({runOnly: arguments[0]}).then(arguments[1])", RULES
        )
        return [
            f"{one['id']}: {node['html']}" for one in found["violations"] for node in one["nodes"]
        ]

    def picture(self, path: Path) -> None:
        height = self.chrome.execute_script("return document.documentElement.scrollHeight")
        width = self.chrome.execute_script("return window.innerWidth")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.command("Emulation.setDeviceMetricsOverride", size)
        self.chrome.save_screenshot(str(path))


def is_gone(element: WebElement) -> bool:
    """Return whether an element is no longer on the page."""
    try:
        element.is_enabled()
    # In the middle of a navigation, Chromium's driver has other words for it than "stale".
    except WebDriverException:
        return True
    return False


@contextmanager
def window(base: str) -> Iterator[Page]:
    options = ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with Chrome(options, ChromeService(DRIVER)) as chrome:
        yield Page(chrome, base)
