"""The page sets what the words recommend beside what the photos do, for an index that keeps vectors of photos."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser import AXE, Page, why_not
from made_photos import write_photo_shop
from pictures import encoded, swatch
from running_server import Server, running

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())
needs_axe = pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed (make test-pages)")

LINK = "#h=item-0&h=item-21&h=item-40"
HISTORY = ["item-0", "item-21", "item-40"]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A shop whose photos have vectors, served."""
    folder = write_photo_shop(tmp_path_factory.mktemp("seen") / "seen.index")
    (folder / "none.png").write_bytes(encoded(swatch(120, 90, 40)))
    with running(folder) as served:
        yield served


def _hits(server: Server, way: str, **more: object) -> list[dict]:
    body = {"history": HISTORY, "k": 12, "explain": True, "representation": way, **more}
    return list(server.ask("v1/recommend", body).json["recommendations"])


def _shown(page: Page, way: str) -> list[str]:
    page.until(lambda: page.all(".offer") and not page.all("#recommended[aria-busy]"), "both ways")
    found = page.js("return [...document.querySelectorAll(arguments[0])].map((e) => e.dataset.id)", _in(way, ".offer"))
    return list(found)


def _in(way: str, selector: str) -> str:
    return f'.way[data-way="{way}"] {selector}'


def test_both_ways_stand_side_by_side_with_the_shared_words_underlined(page: Page, seen: Server) -> None:
    page.open(seen.address + LINK)
    for way in ("words", "photos"):
        hits = _hits(seen, way)
        page.until(lambda way=way, hits=hits: _shown(page, way) == [hit["item_id"] for hit in hits], way)
        assert page.texts(_in(way, ".said")) == [hit["caption"] for hit in hits]
        underlined = page.js(
            "return [...document.querySelectorAll(arguments[0])].map((e) => [...e.querySelectorAll('u')].map((u) => "
            "u.textContent.toLowerCase()))",
            _in(way, ".said"),
        )
        assert [set(words) for words in underlined] == [set(hit["shared"]) for hit in hits]
        assert any(underlined)
    both = {hit["item_id"] for hit in _hits(seen, "words")} & {hit["item_id"] for hit in _hits(seen, "photos")}
    assert page.texts("#recommended .hint")[0].startswith(f"{len(both)} of 12 are recommended by both.")
    assert len(page.all("#recommended .both")) == 2 * len(both)
    assert page.texts(".way h3") == ["By the words", "By the photos"]
    left, right = (
        page.js("const b = document.querySelector(arguments[0]).getBoundingClientRect(); return [b.top, b.left]", name)
        for name in ('.way[data-way="words"]', '.way[data-way="photos"]')
    )
    assert left[0] == right[0]
    assert left[1] < right[1]
    assert page.complaints() == []


def test_what_is_chosen_holds_for_both_and_stands_in_the_link(page: Page, seen: Server) -> None:
    page.open(seen.address + LINK)
    page.js("const s = document.getElementById('variety'); s.value = 0.8; s.dispatchEvent(new Event('input'))")
    for way in ("words", "photos"):
        expected = [hit["item_id"] for hit in _hits(seen, way, diversity=0.8)]
        page.until(lambda way=way, expected=expected: _shown(page, way) == expected, f"other {way}")
    page.click('#controls input[value="photos"]')
    names = [hit["title"] or hit["item_id"] for hit in _hits(seen, "photos", diversity=0.8)]
    page.until(lambda: page.all(".hit") and page.recommended() == names, "the photos alone, with their reasons")
    assert page.all("#recommended .why li")
    assert "by=photos" in page.driver.current_url
    page.open(page.driver.current_url)
    page.until(lambda: page.all(".hit") and page.recommended() == names, "the same by the link")
    page.click('#controls input[value="both"]')
    page.until(lambda: page.all(".offer"), "both again")
    assert "by=" not in page.driver.current_url


def test_an_item_of_either_way_is_put_into_the_history(page: Page, seen: Server) -> None:
    page.open(seen.address + LINK)
    first = _hits(seen, "photos")[0]["item_id"]
    page.until(lambda: page.all(".offer"), "both ways")
    page.click(_in("photos", ".offer .round"))
    page.until(lambda: len(page.all("#history .strip li")) == 4, "four items")
    page.until(lambda: first not in _shown(page, "words") + _shown(page, "photos"), "it among the bought")


def test_where_one_way_cannot_answer_the_other_does(page: Page, seen: Server) -> None:
    page.open(seen.address + "#h=item-7")
    page.until(lambda: page.all(_in("words", ".offer")) and page.all(_in("photos", ".fault")), "one of them")
    assert "No item of this history has a vector of its photo" in page.texts(_in("photos", ".fault"))[0]


def test_without_vectors_of_photos_nothing_is_different(page: Page, server: Server) -> None:
    item = server.ask("v1/items").json["items"][0]["id"]
    page.open(f"{server.address}#h={item}&by=both")
    page.until(lambda: page.all(".hit"), "recommendations")
    assert not page.all(".way")
    assert not page.all('#controls input[value="photos"]')


@pytest.mark.parametrize(
    ("width", "height"), [(360, 740), (390, 844), (768, 1024), (1024, 768), (1280, 800), (1440, 900), (2200, 1200)]
)
def test_it_fits_every_screen(page: Page, seen: Server, width: int, height: int) -> None:
    page.size(width, height)
    page.open(seen.address + LINK)
    if width <= 1020:
        page.click('.views [data-view="shopper"]')
    page.until(lambda: page.all(".offer"), "both ways")
    assert page.js("return document.documentElement.scrollWidth <= innerWidth")
    assert page.js(
        "return [...document.querySelectorAll('.offer')].every((e) => { const b = e.getBoundingClientRect(); "
        "return b.left >= 0 && b.right <= innerWidth && b.width > 130; })"
    )


@needs_axe
@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_axe_finds_no_serious_fault(page: Page, seen: Server, width: int, is_dark: bool) -> None:
    page.size(width, 900)
    page.dark(is_dark)
    page.open(seen.address + LINK)
    if width == 390:
        page.click('.views [data-view="shopper"]')
    page.until(lambda: page.all(".offer"), "both ways")
    assert page.faults() == []
