"""A real Chromium with the page of a real server in it (Debian: apt-get install chromium chromium-driver)."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# `make test-pages` puts it there, from npm.
AXE = ROOT / "build" / "pages" / "node_modules" / "axe-core" / "axe.min.js"
SECONDS = 20
# Chromium asks its maker for this and that, which a test machine has no way to answer.
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *(
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--force-device-scale-factor=1",
    ),
)


def why_not() -> str:
    """Return why no browser can be tested with here; empty if one can."""
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "Selenium is not installed (make test-pages)"
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"{' and '.join(missing)} not installed (apt-get install chromium chromium-driver)" if missing else ""


class Page:
    """A page in a browser: what a person can do with it, each step waiting until the page has followed."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, address: str) -> None:
        """Go to an address, and wait until the first items are there."""
        self.driver.get("about:blank")
        self.driver.get(address)
        self.until(lambda: self.texts("#grid .words b"), "the first items")

    def size(self, width: int, height: int) -> None:
        """Take the size of a device; the window alone stops at 500 pixels."""
        device = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", device)

    def dark(self, is_dark: bool) -> None:
        """Prefer dark, or light."""
        feature = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def js(self, script: str, *given: Any) -> Any:
        """Run a script in the page and return what it returns."""
        return self.driver.execute_script(script, *given)

    def all(self, selector: str) -> list[Any]:
        """Return the elements of a CSS selector."""
        return list(self.driver.find_elements("css selector", selector))

    def texts(self, selector: str) -> list[str]:
        """Return the texts of elements, as they are in the page."""
        return list(self.js("return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)", selector))

    def until(self, holds: Callable[[], Any], what: str) -> Any:
        """Wait until something holds, and return it."""
        from selenium.common.exceptions import StaleElementReferenceException
        from selenium.webdriver.support.ui import WebDriverWait

        wait = WebDriverWait(self.driver, SECONDS, 0.05, ignored_exceptions=[StaleElementReferenceException])
        return wait.until(lambda _: holds(), f"waited for {what}")

    def click(self, selector: str) -> None:
        """Click the first element of a selector, once it is there."""
        self.until(lambda: self.all(selector), selector)[0].click()

    def keys(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        from selenium.webdriver.common.action_chains import ActionChains

        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def type(self, selector: str, text: str) -> None:
        """Write a text into a field, in place of what stands there."""
        (field,) = self.all(selector)
        field.clear()
        field.send_keys(text)

    def recommended(self) -> list[str]:
        """Return the titles that are recommended, once the page has asked for them."""
        self.until(lambda: not self.all("#recommended[aria-busy]"), "recommendations")
        return self.texts("#recommended .hit .title")

    def complaints(self) -> list[str]:
        """Return what the browser complained of: errors of scripts, of the policy, files that are not there."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    def faults(self) -> list[str]:
        """Return the serious faults that axe-core finds."""
        self.js(AXE.read_text(encoding="utf-8"))
        found = self.driver.execute_async_script("axe.run(document).then(arguments[arguments.length - 1])")
        return [
            f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]} ({len(one['nodes'])})"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
        ]


@contextmanager
def opened() -> Iterator[Page]:
    """A browser, closed at the end."""
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = str(shutil.which("chromium"))
    for flag in _FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(shutil.which("chromedriver"))))
    try:
        yield Page(driver)
    finally:
        driver.quit()
