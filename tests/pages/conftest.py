"""A browser, and real servers of a small shop and of a large one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Page, opened
from made_store import random_vectors, write_store
from pictures import captioned_photos, encoded, swatch
from program import program

sys.path.append(str(Path(__file__).parents[1] / "serve"))

from running_server import Server, running

SCRIPT = "<img src=x onerror=\"document.title='broken in'\"><script>document.title='broken in'</script>"
MANY = 3_000


@pytest.fixture(scope="session")
def one_browser() -> Iterator[Page]:
    """A browser for all tests."""
    with opened() as page:
        yield page


@pytest.fixture
def page(one_browser: Page) -> Page:
    """The browser, as wide as a desk's, light, with nothing said yet and no cookie."""
    one_browser.size(1440, 900)
    one_browser.dark(False)
    one_browser.driver.delete_all_cookies()
    one_browser.complaints()
    return one_browser


@pytest.fixture(scope="session")
def server(shop_index: Path) -> Iterator[Server]:
    """The small shop, with real captions."""
    with running(shop_index) as served:
        yield served


@pytest.fixture(scope="session")
def odd_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Items with columns whose names mean something to JavaScript."""
    folder = tmp_path_factory.mktemp("odd") / "odd.index"
    ids = [f"item-{row}" for row in range(8)]
    attributes = {
        name: {"__proto__": "even" if row % 2 else "odd", "constructor": "AB"[row // 4]} for row, name in enumerate(ids)
    }
    write_store(folder, random_vectors(8), attributes=attributes)
    (folder / "none.png").write_bytes(encoded(swatch(120, 90, 40)))
    with running(folder) as served:
        yield served


@pytest.fixture(scope="session")
def untitled_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A folder of two photos: items without a title or any column."""
    folder = tmp_path_factory.mktemp("untitled")
    photos, captions = captioned_photos(folder)
    done = program("index", photos, "--out", folder / "photos.index", "--captions", captions)
    assert done.code == 0, done.err
    with running(folder / "photos.index") as served:
        yield served


@pytest.fixture(scope="session")
def large_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Many items, the first of which has a script for a caption."""
    folder = tmp_path_factory.mktemp("large") / "large.index"
    ids = [f"item-{row:05d}" for row in range(MANY)]
    captions = {name: SCRIPT if name == ids[0] else f"A thing, number {row}." for row, name in enumerate(ids)}
    attributes = {name: {"price": str(row % 90), "colour": ("red", "blue")[row % 2]} for row, name in enumerate(ids)}
    items = [(name, row) for row, name in enumerate(ids)]
    write_store(folder, random_vectors(MANY), items, attributes=attributes, captions=captions)
    (folder / "none.png").write_bytes(encoded(swatch(120, 90, 40)))
    with running(folder) as served:
        yield served
