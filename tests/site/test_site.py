"""The built site: complete, self-sufficient, and readable on a desk and on a phone (``make test-docs``)."""

from __future__ import annotations

import functools
import http.server
import re
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
SITE = ROOT / "build" / "site"
sys.path.append(str(ROOT / "packaging"))
sys.path.append(str(ROOT / "tests" / "pages"))

from browser import Page, opened, why_not  # noqa: E402

# What a browser loads by itself, as opposed to what a person clicks.
_LOADED = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "link": ("href",),
    "video": ("src", "poster"),
    "object": ("data",),
}
# Relations of a link that name an address and load nothing.
_NAMES_ONLY = {"canonical", "next", "prev"}
OPENED = (
    *("index.html", "tutorial.html", "guides/device.html", "reference/cli.html", "reference/profiles.html"),
    *("explanation/quality.html", "explanation/how-it-works.html", "glossary.html"),
)


class _Read(HTMLParser):
    """What a page loads, where its links lead, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if not (tag == "link" and set(found.get("rel", "").split()) & _NAMES_ONLY):
            self.loads += [found[name] for name in _LOADED.get(tag, ()) if name in found]


@pytest.fixture(scope="session")
def site() -> Path:
    """The site as ``make docs`` builds it."""
    if find_spec("zensical") is None:
        pytest.skip("Zensical is not installed (make test-docs)")
    import documentation

    documentation.main()
    return SITE


@pytest.fixture(scope="session")
def pages(site: Path) -> dict[Path, _Read]:
    """Every page of the site, read."""
    return {path: _Read(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


def _outside(address: str) -> bool:
    return bool(urlsplit(address).netloc)


def test_no_page_loads_a_script_a_font_a_style_or_a_picture_from_elsewhere(
    site: Path, pages: dict[Path, _Read]
) -> None:
    assert len(pages) > 50
    assert {
        (path.name, address) for path, page in pages.items() for address in page.loads if _outside(address)
    } == set()
    for style in site.rglob("*.css"):
        loaded = re.findall(r"(?:url\(|@import\s+)[\"']?([^\"')\s]+)", style.read_text(encoding="utf-8"))
        assert [address for address in loaded if _outside(address)] == []


def test_every_link_of_the_site_leads_to_a_page_and_a_heading(site: Path, pages: dict[Path, _Read]) -> None:
    for path, page in pages.items():
        if path.name == "404.html":  # whose links are as from the root of a host
            continue
        for link in {*page.links, *page.loads}:
            if _outside(link) or link.startswith(("mailto:", "data:")):
                continue
            target, anchor = urldefrag(link)
            there = (path.parent / unquote(target)).resolve() if target else path
            there = there / "index.html" if there.is_dir() else there
            assert there.is_file(), f"{path.relative_to(site)} links {link}"
            if anchor and there in pages:
                assert unquote(anchor) in pages[there].anchors, f"{path.relative_to(site)} links {link}"


def test_what_is_written_by_the_code_is_on_the_site_and_nothing_is_left_to_write(
    pages: dict[Path, _Read], site: Path
) -> None:
    import vlm4rec_edge
    from vlm4rec_edge.documents import PRINTED

    commands, python, documents = (pages[site / "reference" / f"{name}.html"] for name in ("cli", "python", "json"))
    assert {command.replace(" ", "-") for command in PRINTED} <= commands.anchors
    assert {name.lower() for name in vlm4rec_edge.__all__ if name != "__version__"} <= {
        anchor.lower() for anchor in python.anchors
    }
    assert {"recommendations", "index-report", "error"} <= documents.anchors
    for path in pages:
        text = path.read_text(encoding="utf-8")
        assert "<!-- generated" not in text
        assert "\\lVert" not in text


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """Where a server of the site is, on this machine."""
    handler = functools.partial(_Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture(scope="session")
def browser() -> Iterator[Page]:
    """A browser that keeps a list of what it asked for."""
    if reason := why_not():
        pytest.skip(reason)
    with opened() as page:
        page.driver.execute_cdp_cmd("Network.enable", {})
        yield page


def _asked(page: Page) -> list[str]:
    return list(page.js("return performance.getEntriesByType('resource').map((entry) => entry.name)"))


@pytest.mark.parametrize("name", OPENED)
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)], ids=["desk", "phone"])
def test_an_opened_page_asks_no_other_address_and_fits(
    browser: Page, address: str, name: str, width: int, height: int
) -> None:
    browser.size(width, height)
    browser.driver.get(address + name)
    browser.until(lambda: browser.js("return document.readyState === 'complete'"), "the page")
    browser.js("window.scrollTo(0, document.body.scrollHeight)")
    asked = _asked(browser)
    assert asked
    assert [one for one in asked if not one.startswith((address, "data:", "blob:"))] == []
    wide = browser.js("return document.documentElement.scrollWidth")
    assert wide <= width, f"{name} is {wide} pixels wide on a screen of {width}"
    complaints = [one for one in browser.complaints() if "favicon" not in one]
    assert complaints == []
