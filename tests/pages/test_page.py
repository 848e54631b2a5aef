"""What a person does with the page, in a real browser: look, search, filter, build a history, see why, share, anywhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from browser import AXE, Page, why_not
from running_server import Server, running

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())
needs_axe = pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed (make test-pages)")

ENTER, ESCAPE, TAB, RIGHT, LEFT, DOWN, SPACE = "\ue007", "\ue00c", "\ue004", "\ue014", "\ue012", "\ue015", " "


def _ids(server: Server) -> list[str]:
    return [item["id"] for item in server.ask("v1/items?limit=100").json["items"]]


def _recommended_by_the_api(server: Server, history: list[str], **more: object) -> list[dict]:
    return list(server.ask("v1/recommend", {"history": history, "k": 12, **more}).json["recommendations"])


def _name(hit: dict) -> str:
    return hit["title"] or hit["item_id"]


def test_looking_shows_every_item_with_photo_and_words_and_nobody_complains(page: Page, server: Server) -> None:
    page.open(server.address)
    items = server.ask("v1/items").json["items"]
    shown = page.texts("#grid .words b")
    assert shown == [item["title"] or item["id"] for item in items[: len(shown)]]
    assert page.texts("#grid .words span:last-child")[0] == items[0]["caption"]
    page.until(lambda: page.all("#grid img.there"), "photos")
    assert page.texts("#count") == [f"{len(items)} items"]
    page.until(lambda: page.texts("#status-text") == [f"{len(items)} items"], "the state")
    assert page.texts("#recommended .empty b") == ["Nothing is known of this shopper yet"]
    assert page.complaints() == []


def test_a_click_puts_an_item_into_the_history_and_recommends_at_once_with_the_reasons(
    page: Page, server: Server
) -> None:
    page.open(server.address)
    ids = _ids(server)[:2]
    for item in ids:
        page.click(f'.tile[data-id="{item}"] .pick')
    expected = _recommended_by_the_api(server, ids, explain=True)
    page.until(lambda: page.recommended() == [_name(hit) for hit in expected], "the recommendations of both")
    assert page.texts("#recommended .score span:last-child") == [f"{hit['score']:.3f}" for hit in expected]
    assert page.texts("#recommended .hit:first-child .said") == [expected[0]["caption"]]
    amounts = [float(text.replace("\u2212", "-")) for text in page.texts("#recommended .hit:first-child .amount")]
    assert amounts == pytest.approx([reason["amount"] for reason in expected[0]["because"]], abs=0.006)
    words = page.texts("#recommended .hit:first-child .shared span:not(.unseen)")
    assert words == [word for reason in expected[0]["because"] for word in reason["words"]]
    page.click(f'.tile[data-id="{ids[0]}"] .pick')  # once more, and it is taken out
    page.until(lambda: len(page.all("#history .strip li")) == 1, "one item left")
    assert page.complaints() == []


def test_a_history_is_reordered_disliked_and_emptied(page: Page, server: Server) -> None:
    ids = _ids(server)[:3]
    page.open(server.address + "#" + "&".join(f"h={item}" for item in ids))

    def order() -> list[str]:
        return list(
            page.js("return [...document.querySelectorAll('#history .show')].map((e) => e.dataset.key.slice(5))")
        )

    page.until(lambda: order() == ids, "the history of the link")
    page.click("#history li:nth-child(1) .tools button:nth-child(2)")
    page.until(lambda: order() == [ids[1], ids[0], ids[2]], "the first moved later")
    page.click("#history li:nth-child(3) .tools button:nth-child(3)")
    page.until(lambda: page.all("#history li:nth-child(3).away"), "the third disliked")
    expected = [_name(hit) for hit in _recommended_by_the_api(server, [ids[1], ids[0]], disliked=[ids[2]])]
    page.until(lambda: page.recommended() == expected, "recommendations away from it")
    page.click("#history li:nth-child(1) .tools button:nth-child(4)")
    page.until(lambda: order() == [ids[0], ids[2]], "the first taken out")
    page.click('#history [data-key="empty"]')
    page.until(lambda: not order(), "an empty history")
    assert page.all("#recommended .empty")


def test_words_and_ids_are_searched_for(page: Page, server: Server) -> None:
    page.open(server.address)
    item = server.ask("v1/items").json["items"][3]
    page.type("#query", item["id"])
    page.until(lambda: len(page.all("#grid .tile")) == 1, "one item of that id")
    page.type("#query", "red")
    total = server.ask("v1/items?text=red").json["total"]
    counted = f"{total} item{'s' if total != 1 else ''} with \u201cred\u201d"
    page.until(lambda: page.texts("#count") == [counted], "items that say red")
    nearest = [_name(hit) for hit in server.ask("v1/search?q=red&k=12").json["recommendations"]]
    page.until(lambda: page.texts("#meaning .words b") == nearest, "the nearest in meaning")
    page.type("#query", "zzz no such words")
    page.until(lambda: page.texts("#notice b") == ["No item contains these words"], "the empty state")
    assert "q=zzz" in page.driver.current_url
    page.type("#query", "")
    page.keys(ENTER)
    page.until(lambda: page.all("#meaning[hidden]"), "everything again")


def test_photos_alone_are_compared_by_captions_and_have_no_filters(page: Page, untitled_server: Server) -> None:
    page.open(untitled_server.address)
    page.until(lambda: len(page.all("#grid .tile")) == 2, "both photos")
    page.until(lambda: "captions of the photos" in page.texts("#controls")[0], "what items are compared by")
    assert "titles" not in page.texts("#controls")[0]
    assert not page.all("#filters")[0].is_displayed()


def test_filters_are_made_of_the_columns(page: Page, large_server: Server) -> None:
    page.open(large_server.address)
    page.until(lambda: len(page.all("#filters .filter")) == 2, "the filters")
    page.click('[data-column="colour"] summary')
    page.click('[data-column="colour"] label:nth-child(2) input')
    page.until(lambda: page.texts("#count") == ["1,500 items, filtered"], "half of them")
    assert page.texts('[data-column="colour"] summary') == ["Colour: blue"]
    page.keys(ESCAPE)
    assert page.js("return document.activeElement.tagName") == "SUMMARY"
    page.click('[data-column="price"] summary')
    page.type('[data-key="price most"]', "10")
    page.keys(TAB)
    expected = large_server.ask("v1/items?where=colour+%3D+%27blue%27+and+price+%3C%3D+10").json["total"]
    page.until(lambda: page.texts("#count") == [f"{expected} items, filtered"], "fewer of them")
    page.click('#filters [data-key="clear"]')
    page.until(lambda: page.texts("#count") == ["3,000 items"], "all of them")


def test_columns_whose_names_mean_something_to_javascript_are_filters_as_others_are(
    page: Page, odd_server: Server
) -> None:
    page.open(odd_server.address)
    page.until(lambda: len(page.all("#filters .filter")) == 2, "the filters")
    assert page.texts("#filters summary") == ["_ proto  ", "Constructor"]  # of neither anything is chosen
    assert page.all("#filters .on, #filters [data-key='clear']") == []
    page.click('[data-column="__proto__"] summary')
    page.click('[data-column="__proto__"] label:nth-child(1) input')
    page.until(lambda: page.texts("#count") == ["4 items, filtered"], "half of them")
    page.click('[data-column="constructor"] summary')
    page.click('[data-column="constructor"] label:nth-child(1) input')
    page.until(lambda: page.texts("#count") == ["2 items, filtered"], "a quarter of them")
    chosen = page.texts("#filters summary")
    page.open(page.driver.current_url)  # from the link alone
    page.until(lambda: page.texts("#count") == ["2 items, filtered"], "the same ones")
    assert page.texts("#filters summary") == chosen
    page.click('#filters [data-key="clear"]')
    page.until(lambda: page.texts("#count") == ["8 items"], "all of them")
    assert page.texts("#filters summary") == ["_ proto  ", "Constructor"]


def test_diversity_and_how_many_are_controls(page: Page, server: Server) -> None:
    ids = _ids(server)[:2]
    page.open(f"{server.address}#h={ids[0]}&h={ids[1]}")
    page.until(lambda: len(page.recommended()) == 12, "twelve")
    page.js("const s = document.getElementById('variety'); s.value = 0.8; s.dispatchEvent(new Event('input'))")
    expected = [_name(hit) for hit in _recommended_by_the_api(server, ids, diversity=0.8)]
    page.until(lambda: page.recommended() == expected, "different ones")
    page.click('#controls input[value="6"]')
    page.until(lambda: page.recommended() == expected[:6] or len(page.recommended()) == 6, "six")
    assert page.texts("#controls .wide")[0].startswith("titles (0.9) and captions")


def test_a_link_holds_all_that_was_chosen(page: Page, large_server: Server) -> None:
    page.open(large_server.address)
    for number in (1, 3):
        page.click(f'.tile[data-id="item-0000{number}"] .pick')
    page.type("#query", "number 7")
    page.click('[data-column="colour"] summary')
    page.click('[data-column="colour"] label:nth-child(2) input')
    page.until(lambda: "filtered" in page.texts("#count")[0], "the filter")
    page.js("const s = document.getElementById('variety'); s.value = 0.5; s.dispatchEvent(new Event('input'))")
    page.until(lambda: "v=0.5" in page.driver.current_url, "the diversity in the link")
    page.until(lambda: len(page.recommended()) == 12, "recommendations")
    seen = [page.texts(one) for one in ("#count", "#grid .words b", "#history .label", "#recommended .title")]
    link = page.driver.current_url
    assert "?" not in link, "what was chosen stands behind the #, which no server and no log sees"
    page.open(link)
    page.until(lambda: len(page.recommended()) == 12, "recommendations")
    page.until(lambda: page.texts("#history .label") == seen[2], "the history")
    assert [page.texts(one) for one in ("#count", "#grid .words b", "#history .label", "#recommended .title")] == seen
    assert page.js("return document.getElementById('query').value") == "number 7"


def test_an_items_own_page_shows_what_is_known_of_it_and_back_closes_it(page: Page, server: Server) -> None:
    page.open(server.address)
    item = server.ask("v1/items").json["items"][0]
    page.js("document.querySelector('#grid .more').click()")
    page.until(lambda: page.texts("#item .id") == [item["id"]], "the item")
    assert page.texts("#item .caption") == [item["caption"]]
    page.until(lambda: "prompt" in page.texts("#item dt"), "what made it")
    assert set(page.texts("#item dt")) >= {
        *(name.replace("_", " ") for name in item["attributes"]),
        "caption",
        "vector",
    }
    near = server.ask(f"v1/items/{item['id']}/similar?k=10").json["recommendations"]
    page.until(lambda: page.texts("#item .neighbours b") == [_name(hit) for hit in near], "its neighbours")
    page.click("#item .do button")
    page.until(lambda: page.texts("#item .do button") == ["Remove from the history"], "it in the history")
    page.driver.back()
    page.until(lambda: not page.all("#item[open]"), "the catalog")
    assert page.all(f'.tile[data-id="{item["id"]}"] [aria-pressed="true"]')
    assert page.complaints() == []


def test_many_items_are_scrolled_through_without_loading_them_all_and_nothing_shifts(
    page: Page, large_server: Server
) -> None:
    page.open(large_server.address)
    page.js(
        "window.shifts = 0; new PerformanceObserver((list) => { for (const one of list.getEntries()) "
        "if (!one.hadRecentInput) window.shifts += one.value; }).observe({ type: 'layout-shift', buffered: true });"
    )
    page.js("scrollTo(0, document.body.scrollHeight / 2)")
    page.until(lambda: any(1400 < int(text[-5:]) < 1700 for text in page.texts("#grid .words b")), "the middle")
    page.js("scrollTo(0, document.body.scrollHeight)")
    page.until(lambda: "title of item-02999" in page.texts("#grid .words b"), "the last item")
    assert len(page.all("#grid .tile")) < 120
    asked = page.js(
        "return performance.getEntriesByType('resource').filter((e) => e.name.includes('v1/items?')).length"
    )
    assert asked < 20, "3,000 items are 50 pages"
    assert page.js("return window.shifts") < 0.02


def test_titles_that_are_scripts_are_texts(page: Page, large_server: Server) -> None:
    page.open(large_server.address + "#i=item-00000&h=item-00000")
    page.until(lambda: page.texts("#item .caption"), "the item")
    assert "<script>" in page.texts("#item .caption")[0]
    assert page.driver.title.startswith("large")
    assert page.js("return document.querySelectorAll('main img[src=x], dialog img[src=x], main script').length") == 0
    assert page.complaints() == []


def test_everything_can_be_done_by_keyboard(page: Page, server: Server) -> None:
    page.open(server.address)
    ids = _ids(server)
    page.js("document.body.focus()")
    page.keys(TAB)
    assert page.js("return document.activeElement.textContent") == "To the catalog"
    page.keys(ENTER)
    assert page.js("return document.activeElement.id") == "catalog"
    page.until(
        lambda: page.js("return document.activeElement.closest('.pick') !== null") or page.keys(TAB), "the first item"
    )
    page.keys(RIGHT, RIGHT, LEFT, SPACE)
    page.until(
        lambda: (
            page.js("return [...document.querySelectorAll('#history .show')].map((e) => e.dataset.key)")
            == [f"show {ids[1]}"]
        ),
        "the second",
    )
    focused = "return document.activeElement.closest('.tile').dataset.id"
    assert page.js(focused) == ids[1]
    page.keys(DOWN)
    columns = page.js("return document.activeElement.closest('.tile').dataset.place")
    assert int(columns) > 1
    page.keys(TAB, ENTER)
    page.until(lambda: page.texts("#item .id"), "the item's own page")
    page.keys(ESCAPE)
    page.until(lambda: not page.all("#item[open]"), "the page closed")
    assert page.js("return document.activeElement.classList.contains('more')"), "the focus is back where it was"
    outline = page.js("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


@pytest.mark.parametrize(
    ("width", "height"), [(360, 740), (390, 844), (768, 1024), (1024, 768), (1440, 900), (2200, 1200)]
)
def test_it_fits_every_screen(page: Page, server: Server, width: int, height: int) -> None:
    page.size(width, height)
    ids = _ids(server)[:2]
    page.open(f"{server.address}#h={ids[0]}&h={ids[1]}")
    assert page.js("return document.documentElement.scrollWidth <= innerWidth")
    lefts = page.js(
        "const tiles = [...document.querySelectorAll('#grid .tile')];"
        "return new Set(tiles.map((e) => Math.round(e.getBoundingClientRect().left))).size"
    )
    assert lefts >= 2
    if width <= 1020:
        page.click('.views [data-view="shopper"]')
        assert page.texts("#history-count") == ["2"]
    page.until(lambda: len(page.recommended()) == 12, "recommendations")
    assert page.js("return document.documentElement.scrollWidth <= innerWidth")
    shown = page.js(
        "const b = document.querySelector('.hit').getBoundingClientRect(); return b.left >= 0 && b.right <= innerWidth"
    )
    assert shown


@needs_axe
@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_axe_finds_no_serious_fault(page: Page, server: Server, width: int, is_dark: bool) -> None:
    page.size(width, 900)
    page.dark(is_dark)
    ids = _ids(server)[:3]
    page.open(f"{server.address}#h={ids[0]}&h={ids[1]}&n={ids[2]}&q=red")
    page.until(lambda: page.all("#meaning .tile"), "the nearest in meaning")
    page.until(page.recommended, "recommendations")
    assert page.faults() == []
    if width == 390:
        page.click('.views [data-view="shopper"]')
        assert page.faults() == []
    page.js("document.getElementById('status').click()")
    assert page.faults() == []
    page.open(f"{server.address}#i={ids[0]}")
    page.until(lambda: page.all("#item .neighbours b"), "an item's page")
    assert page.faults() == []
    page.driver.get(f"{server.address}reference")
    assert page.faults() == []


def test_a_server_that_is_gone_is_told_and_an_error_can_be_tried_again(page: Page, shop_index: Path) -> None:
    with running(shop_index) as server:
        page.open(server.address)
        page.click("#grid .pick")
        page.until(page.recommended, "recommendations")
        server.process.kill()
        server.process.wait()
        page.click('#controls input[value="24"]')
        page.until(lambda: page.all("#recommended .fault"), "the failing state")
        assert "The server does not answer" in page.texts("#recommended .fault")[0]
        page.until(lambda: page.texts("#status-text") == ["No answer"], "the state")
        page.click("#recommended .fault button")
        page.until(lambda: page.all("#recommended .fault"), "the failing state, again")


def test_new_items_appear_while_the_page_is_open(page: Page, own_index: Path) -> None:
    from vlm4rec_edge import IndexFolder

    with running(own_index) as server:
        page.open(server.address)
        before = server.ask("v1/items").json["total"]
        with IndexFolder(own_index) as index:
            index.remove(_ids(server)[:1])
        page.until(lambda: page.texts("#count") == [f"{before - 1} items"], "one item fewer")


def test_a_server_with_a_token_asks_for_it_once(page: Page, shop_index: Path) -> None:
    token = "a token that nobody guesses"
    with running(shop_index, environment={"VLM4REC_EDGE_TOKEN": token}) as server:
        page.driver.get(server.address)
        page.until(lambda: page.all("#token"), "the question")
        page.type("#token", "a wrong one, just as long")
        page.keys(ENTER)
        page.until(lambda: page.all("#sign-in [role=alert]"), "the refusal")
        page.type("#token", token)
        page.keys(ENTER)
        page.until(lambda: page.texts("#grid .words b"), "the items")
        page.until(lambda: page.all("#grid img.there"), "photos, which the cookie lets in")
        page.driver.refresh()
        page.until(lambda: page.texts("#grid .words b"), "the items")
        assert not page.all("#sign-in[open]")
        assert page.js("return document.cookie") == "", "no script can read it"


def test_a_bundle_without_pictures_has_frames_for_them(page: Page, shop_index: Path, tmp_path: Path) -> None:
    from vlm4rec_edge import make_bundle

    make_bundle(shop_index, tmp_path / "shop.zip")
    with running(tmp_path / "shop.zip") as server:
        page.open(server.address)
        page.until(lambda: len(page.all("#grid .frame.none")) == len(page.all("#grid .frame")), "frames")
    shutil.rmtree(tmp_path)
