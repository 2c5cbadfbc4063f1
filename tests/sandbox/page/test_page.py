"""The page of a running sandbox, in headless Chromium and by requests of other pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.deployment import SECRET, Deployment
from rotation.sandbox.page.server import SandboxPage
from rotation.sandbox.vendor import Outage, VendorPortal
from tests.browser import PATIENCE, Browser, chromium
from tests.harness.screenshots.pictures import take
from tests.paths import ROOT
from tests.privacy.canary import Canary

pytestmark = pytest.mark.slow

#: What Chromium shows a PDF with.
VIEWER = "chrome-extension://"
TOKEN = re.compile(r'name="token" value="([^"]+)"')
RETRIES = RetryPolicy(delays=(timedelta(milliseconds=50),) * 4)


@dataclass
class Seen:
    """A person in front of the page."""

    deployment: Deployment
    portal: VendorPortal
    page: SandboxPage
    browser: Browser

    def open(self) -> None:
        self.browser.show(1280)
        self.browser.driver.get(self.page.url)

    def text(self, part: str) -> str:
        """What a part of the page says at this moment."""
        script = "return document.getElementById(arguments[0]).innerText"
        return str(self.browser.driver.execute_script(script, part))

    def wait_for(self, part: str, pattern: str) -> str:
        """The text of a part of the page, once it matches; the page changes by itself."""
        WebDriverWait(self.browser.driver, PATIENCE).until(
            lambda _: re.search(pattern, self.text(part)), f"{part} has no {pattern}"
        )
        return self.text(part)

    def act(self, button: str, *, says: str) -> None:
        """Press a button and wait until the page answers."""
        script = "document.getElementById(arguments[0]).click()"
        self.browser.driver.execute_script(script, f"act-{button}")
        self.wait_for("notice", says)

    def rotate(self) -> str:
        """Rotate and wait for the end of it; the id of the new key."""
        cloud = self.deployment.cloud
        before = {version.id for version in cloud.versions(SECRET)}
        self.act("rotate", says="A rotation has begun")
        [token] = WebDriverWait(self.browser.driver, PATIENCE).until(
            lambda _: {version.id for version in cloud.versions(SECRET)} - before
        )
        cloud.wait_for_rotation(SECRET, token, timedelta(seconds=PATIENCE))
        cloud.wait_for_events(timedelta(seconds=PATIENCE))
        return self.deployment.key_id("AWSCURRENT")

    def timeline_of(self, key_id: str) -> list[str]:
        """The texts of a key's phases, as the timeline shows them."""
        phases: list[str] = self.browser.driver.execute_script(
            "return [...document.querySelectorAll('.timeline tbody tr')]"
            ".filter((row) => row.innerText.startsWith(arguments[0]))"
            ".flatMap((row) => [...row.querySelectorAll('.phase')].map((one) => one.innerText))",
            key_id[:8],
        )
        return phases


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """A sandbox as `rotation sandbox` starts it, and a browser; one for all tests."""
    with ExitStack() as undo:
        deployment = undo.enter_context(
            Deployment(tmp_path_factory.mktemp("page"), retries=RETRIES)
        )
        portal = undo.enter_context(VendorPortal(deployment.vendor.keys))
        page = undo.enter_context(SandboxPage(deployment, portal))
        deployment.store_first_key()
        deployment.turn_on_rotation()
        deployment.cloud.watch_rotations(lambda _: page.observe())
        browser = undo.enter_context(chromium())
        yield Seen(deployment, portal, page, browser)


@pytest.fixture
def seen(running: Seen) -> Iterator[Seen]:
    """The page, just opened. Whatever was done on it: no error, no foreign request, no key."""
    running.open()
    yield running
    assert running.browser.complaints() == []
    requested = running.browser.requests()
    assert [one for one in requested if not one.startswith((running.page.url, VIEWER))] == []
    assert keys_in(running, running.browser.driver.page_source) == []


def keys_in(seen: Seen, text: str) -> list[str]:
    """Which keys of the vendor, of either role, are in a text, whole or in pieces."""
    found = []
    for key in seen.deployment.vendor.keys.all():
        canary = Canary()
        canary.plant(key.material, key.id)
        if canary.find(text.encode()):
            found.append(key.id)
    return found


@pytest.fixture
def form(running: Seen) -> dict[str, str]:
    """What every form of the page bears."""
    found = TOKEN.search(requests.get(running.page.url, timeout=PATIENCE).text)
    assert found
    return {"token": found.group(1)}


def test_a_rotation_by_keyboard_is_seen_as_it_happens(seen: Seen) -> None:
    """Tab, Enter: the timeline shows the new key through its phases, and the focus stays."""
    old = seen.deployment.key_id("AWSCURRENT")
    seen.browser.press(Keys.TAB)
    assert seen.browser.focused().text == "Rotate"
    seen.browser.press(Keys.ENTER)
    seen.wait_for("notice", "A rotation has begun")
    seen.wait_for("timeline", r"issued\s+pending\s+current")
    seen.wait_for("timeline", "grace until")
    new = seen.deployment.key_id("AWSCURRENT")
    assert seen.timeline_of(new) == ["issued", "pending", "current"]
    assert seen.timeline_of(old)[:2] == ["issued", "current"]
    assert f"AWSCURRENT\t{new[:8]}" in seen.text("versions")
    assert f"AWSPREVIOUS\t{old[:8]}" in seen.text("versions")
    assert re.search(f"{old[:8]}\\s+first seen .* to be revoked after", seen.text("journal"))
    assert "finishSecret, attempt 1" in seen.text("steps")
    assert f"key promoted key {new[:8]}" in seen.text("log")
    assert seen.browser.focused().text == "Rotate"


def test_the_order_of_the_keyboard_is_that_of_the_page(seen: Seen) -> None:
    """Every button and link is reached, once, from the top to the bottom."""
    reached = []
    for _ in range(40):
        seen.browser.press(Keys.TAB)
        name = seen.browser.focused().get_attribute("id")
        if not name:
            break
        reached.append(name)
    everything = seen.browser.driver.find_elements("css selector", "button, a, [tabindex='0']")
    assert reached == [one.get_attribute("id") for one in everything if one.is_displayed()]
    assert reached[:6] == [
        f"act-{name}" for name in ("rotate", "leak", "vendor-down", "throttle", "clock", "kill")
    ]


def test_every_button_is_explained(seen: Seen) -> None:
    """In the table of docs/sandbox.md."""
    seen.act("leak", says="A thief signs")
    seen.wait_for("thief", "leaked")
    page = (ROOT / "docs" / "sandbox.md").read_text()
    table = page.partition("| button | what happens |\n|---|---|\n")[2].partition("\n\n")[0]
    names = re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)
    explained = {name for several in names for name in several.split(", ")}
    script = "return [...document.querySelectorAll('button')].map((one) => one.firstChild.data)"
    buttons = {text.strip() for text in seen.browser.driver.execute_script(script)}
    assert buttons == explained


def test_a_leaked_key_signs_until_it_is_revoked(seen: Seen) -> None:
    """The thief's signature is the vendor's own answer; the page says how to end it."""
    leaked = seen.deployment.key_id("AWSCURRENT")
    seen.act("leak", says=f"A thief signs with key {leaked[:8]}: the vendor signed")
    assert "leaked" in seen.wait_for("timeline", "leaked")
    assert f"rotation force {SECRET} --reason key-compromise" in seen.text("thief")
    seen.rotate()
    seen.wait_for("portal", "by a rotation")
    seen.act(f"revoke-key-{leaked}", says="is revoked")
    seen.act(f"sign-with-leaked-key-{leaked}", says=r"the vendor refused \(401\)")
    assert "the vendor refused (401)" in seen.wait_for("thief", "refused")


def test_the_focus_goes_to_the_title_where_its_button_is_gone(seen: Seen) -> None:
    """Who revokes a key by keyboard is not thrown back to the top of the page."""
    key_id = seen.portal.make()
    seen.wait_for("portal", key_id[:8])
    seen.browser.driver.find_element("id", f"act-revoke-key-{key_id}").send_keys(Keys.ENTER)
    seen.wait_for("portal", f"{key_id[:8]}\\s+revoked")
    assert seen.browser.focused().get_attribute("id") == "portal-title"


def test_the_vendor_can_be_down(seen: Seen) -> None:
    """A button that is pressed stays so, for who hears the page too, until it is pressed again."""
    seen.act("vendor-down", says="The vendor is down")
    assert seen.deployment.vendor.outage is Outage.UNAVAILABLE
    pressed = "return document.getElementById('act-vendor-down').ariaPressed"
    assert seen.browser.driver.execute_script(pressed) == "true"
    seen.act("leak", says="the vendor answered 503")
    seen.act("vendor-down", says="The vendor is up again")
    assert seen.deployment.vendor.outage is None


def test_the_vendor_can_throttle(seen: Seen) -> None:
    """Every request is answered with 429 until the button is pressed again."""
    seen.act("throttle", says="The vendor throttles:")
    seen.act("leak", says="the vendor answered 429")
    seen.act("throttle", says="throttles no more")
    seen.act("leak", says="the vendor signed")


def test_the_function_can_be_killed(seen: Seen) -> None:
    """It dies with a key in its hands; AWS repeats the rotation, and the stray key is revoked."""
    before = {key.id for key in seen.deployment.vendor.keys.all()}
    seen.act("kill", says="is idle")
    assert "It will die in its next rotation" in seen.text("actions")
    current = seen.rotate()
    seen.wait_for("steps", r"createSecret, attempt 1.*Runtime\.ExitError")
    assert "finishSecret, attempt 2" in seen.wait_for("steps", "finishSecret, attempt 2")
    assert "It will die in its next rotation" not in seen.text("actions")
    [stray] = {key.id for key in seen.deployment.vendor.keys.all()} - before - {current}
    assert seen.timeline_of(stray) == ["issued", "dead"]


def test_three_hours_later_a_displaced_key_is_proven_dead(seen: Seen) -> None:
    """The clock of AWS, the vendor and the functions moves, and the reconciliation runs."""
    old = seen.deployment.key_id("AWSCURRENT")
    seen.rotate()
    ahead = seen.deployment.ahead
    seen.act("clock", says="The hourly reconciliation has begun")
    assert seen.deployment.ahead == ahead + timedelta(hours=3)
    seen.wait_for("timeline", f"(?s){old[:8]}.*dead, proven")
    assert seen.timeline_of(old)[-2:] == ["grace", "dead, proven"]
    assert re.search(f"{old[:8]}\\s.*proven dead", seen.text("journal"))
    assert "3 h ahead of this machine" in seen.text("clock")
    seen.rotate()


def test_a_key_that_is_made_is_shown_elsewhere_once(seen: Seen) -> None:
    """The page says where; what it says works, once, and the page never has the key."""
    before = seen.portal.not_shown()
    seen.act("make-key", says="The portal says how to take it")
    [key_id] = seen.portal.not_shown() - before
    assert f'curl -s "$VENDOR_PORTAL/{key_id}"' in seen.wait_for("portal", "shown once")
    shown = requests.get(f"{seen.portal.url}/{key_id}", timeout=PATIENCE)
    assert shown.json()["apiKeyId"] == key_id
    held = seen.deployment.vendor.keys.accepted(key_id)
    assert held is not None
    assert held.material == shown.json()["apiKey"]
    assert requests.get(f"{seen.portal.url}/{key_id}", timeout=PATIENCE).status_code == 404


def test_a_document_is_sealed_and_opens(seen: Seen, form: dict[str, str]) -> None:
    """With the current key, as an application does it."""
    document = ROOT / "tests" / "data" / "minimal-linearized.pdf"
    seen.deployment.cloud.client("s3").put_object(
        Bucket="documents-to-seal", Key="inspection.pdf", Body=document.read_bytes()
    )
    seen.act("seal", says=r"inspection\.pdf is sealed as inspection-\d{6}\.pdf")
    seen.wait_for("documents", r"inspection-\d{6}\.pdf")
    link = seen.browser.driver.find_element("css selector", "#documents a").get_attribute("href")
    opened = requests.get(str(link), timeout=PATIENCE)
    assert opened.headers["Content-Type"] == "application/pdf"
    assert opened.content.startswith(b"%PDF")
    assert b"/Type /Sig" in opened.content or b"/Type/Sig" in opened.content
    seen.browser.driver.get(str(link))
    shown = seen.browser.driver.execute_script("return document.contentType")
    assert shown == "application/pdf"
    missing = requests.get(f"{seen.page.url}sealed/nothing.pdf", timeout=PATIENCE)
    assert missing.status_code == 404


def test_what_cannot_be_done_is_said(seen: Seen) -> None:
    """In the words of the service that refused."""
    seen.deployment.vendor.keys.quota = 0
    seen.act("make-key", says="The account has 0 active keys already")
    seen.deployment.vendor.keys.quota = 20


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits(seen: Seen, width: int, scheme: Any) -> None:
    """Nothing is wider than the window, and the colours are those that the system asks for."""
    seen.browser.show(width, scheme)
    root = "document.documentElement"
    assert seen.browser.driver.execute_script(f"return {root}.scrollWidth") == width
    colour = seen.browser.driver.execute_script("return getComputedStyle(document.body).color")
    assert (max(map(int, re.findall(r"\d+", colour)[:3])) > 128) == (scheme == "dark")


def test_pictures_are_taken_of_it(seen: Seen, tmp_path: Path) -> None:
    """As `make screenshots` takes them for the documentation, in the widths that it shows."""
    pictures = take(seen.browser, seen.page.url, tmp_path, "sandbox")
    assert [path.name.removeprefix("sandbox-") for path in pictures] == [
        *("light.png", "dark.png", "narrow.png")
    ]
    # The PNG specification, 5.2 and 11.2.1: the signature, then IHDR, which begins with the width.
    heads = [path.read_bytes()[:20] for path in pictures]
    assert {head[:8] for head in heads} == {b"\x89PNG\r\n\x1a\n"}
    assert [int.from_bytes(head[16:]) for head in heads] == [1280, 1280, 390]


def test_nothing_moves_where_that_is_not_wanted(seen: Seen) -> None:
    """For people whom motion makes ill."""
    for preference, moves in (("no-preference", True), ("reduce", False)):
        feature = {"name": "prefers-reduced-motion", "value": preference}
        seen.browser.command("Emulation.setEmulatedMedia", features=[feature])
        durations = seen.browser.driver.execute_script(
            "return [...document.querySelectorAll('*')]"
            ".map((one) => getComputedStyle(one).transitionDuration)"
            ".filter((text) => text !== '0s').length"
        )
        assert (durations > 0) == moves


def test_without_script_the_buttons_work(running: Seen, form: dict[str, str]) -> None:
    """A form answers with the page, which tells what came of it."""
    answer = requests.post(
        f"{running.page.url}act/throttle", data={**form, "on": "no"}, timeout=PATIENCE
    )
    assert [one.status_code for one in answer.history] == [303]
    assert "The vendor throttles no more." in answer.text


def test_another_page_of_the_browser_can_do_nothing(running: Seen, form: dict[str, str]) -> None:
    """Without the token of the page no form counts, and no name but loopback's leads to it."""
    act = f"{running.page.url}act/vendor-down"
    for data in ({}, {"token": "guessed"}, {"token": "é"}):
        refused = requests.post(act, data={**data, "on": "yes"}, timeout=PATIENCE)
        assert refused.status_code == 403
    stranger = {"Host": "rebound.example"}
    for path in ("", "static/page.js", "sealed/a.pdf"):
        asked = requests.get(running.page.url + path, headers=stranger, timeout=PATIENCE)
        assert asked.status_code == 400
        assert form["token"] not in asked.text
    refused = requests.post(act, data={**form, "on": "yes"}, headers=stranger, timeout=PATIENCE)
    assert refused.status_code == 400
    assert running.deployment.vendor.outage is None
    assert requests.get(act, timeout=PATIENCE).status_code == 405
    assert requests.post(f"{running.page.url}act/x", data=form, timeout=PATIENCE).ok is False
    headers = requests.get(running.page.url, timeout=PATIENCE).headers
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "script-src 'self'" in headers["Content-Security-Policy"]
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_the_page_says_when_the_sandbox_has_ended(running: Seen) -> None:
    """It stays as it was, so that what it showed can still be read."""
    with SandboxPage(running.deployment, running.portal) as page:
        running.browser.driver.get(page.url)
    running.wait_for("notice", "The sandbox does not answer")
    assert "current" in running.text("timeline")
    running.browser.driver.get("about:blank")
    running.browser.complaints()
    running.browser.requests()


def test_nothing_is_loaded_from_elsewhere(running: Seen) -> None:
    """One page, one file of styles, one script."""
    running.open()
    files = ("", "static/page.css", "static/page.js", "favicon.ico")
    loaded = {*running.browser.requests(), running.page.url + "favicon.ico"}
    assert loaded == {running.page.url + file for file in files}


def test_a_key_that_leaked_is_not_on_the_page(seen: Seen) -> None:
    """Nor is one that was made there: the page knows where they are, and not what they are."""
    seen.act("leak", says="A thief signs")
    seen.act("make-key", says="is made")
    answer = requests.get(seen.page.url, timeout=PATIENCE)
    assert keys_in(seen, answer.text + repr(answer.headers)) == []
    first = seen.deployment.vendor.keys.all()[0]
    assert keys_in(seen, f"x{first.material[5:30]}x") == [first.id]
