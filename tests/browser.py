"""Headless Chromium for the tests of pages: what they say, the keyboard, errors, requests.

Debian's chromium and chromium-driver, driven by Selenium. No name can be resolved in it, so that a
page which asks another machine for something fails.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.remote.webelement import WebElement

#: How long a page may take for anything, in seconds; generous, since the machine may be busy.
PATIENCE = 300.0


@dataclass(frozen=True)
class Browser:
    """One window of a browser.

    Attributes:
        driver: Selenium's.
    """

    driver: Chrome

    def command(self, name: str, **parameters: object) -> dict[str, Any]:
        """Carry out a command of the DevTools protocol."""
        answer: dict[str, Any] = self.driver.execute_cdp_cmd(name, parameters)
        return answer

    def show(self, width: int, scheme: Literal["light", "dark"] = "light") -> None:
        """Be so many CSS pixels wide, in a system that prefers these colours."""
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.command("Emulation.setEmulatedMedia", features=[feature])

    def screenshot(self, *, whole: bool) -> bytes:
        """What the window shows as PNG, or the whole page."""
        shot = self.command("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(shot["data"])

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def focused(self) -> WebElement:
        """The element that has the keyboard's focus."""
        return self.driver.switch_to.active_element

    def complaints(self) -> list[str]:
        """What the console of the page said since the last call: errors, refusals, warnings."""
        return [entry["message"] for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]

    def requests(self) -> list[str]:
        """The address of every request since the last call."""
        entries = self.driver.get_log("performance")  # type: ignore[no-untyped-call]
        messages = [json.loads(entry["message"])["message"] for entry in entries]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser, which takes a second or two to start: one for a module is enough."""
    found = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    assert all(found.values()), f"Debian's chromium and chromium-driver are needed: {found}"
    options = ChromeOptions()
    options.binary_location = found["chromium"] or ""
    for argument in (
        "--headless=new",
        "--no-sandbox",  # Chromium refuses to run as root with it, and CI is root
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options, ChromeService(found["chromedriver"]))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
