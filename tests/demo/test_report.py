"""Claims about the demo's report."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from contrasts import contrast
from PIL import Image

from vlm4rec_edge.demo import report
from vlm4rec_edge.demo.contents import Bar, Count, Offer, ReportData, ReportItem, Shopper, Way
from vlm4rec_edge.demo.report import caption_says, write_report
from vlm4rec_edge.errors import PhotoError

_NO_END_TAG = {"img", "meta", "rect"}
_EVIL = '<script>alert("x")</script> & "quoted"'


class _Page(HTMLParser):
    """Reads a page: its tags in order, its text, and whether every tag is closed where it should be."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.badly_closed: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in _NO_END_TAG:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.badly_closed.append(tag)

    def handle_data(self, data):
        self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(self.text)


@pytest.fixture
def items(tmp_path) -> list[ReportItem]:
    made = []
    for number in range(6):
        image = tmp_path / f"{number}.png"
        Image.new("RGB", (320, 480), (40 * number, 90, 200 - 30 * number)).save(image)
        attributes = {"kind": "dress", "colour": f"colour{number}"}
        made.append(
            ReportItem(f"id{number}", f"Title {number}", f"Blue dress {number}. More of {number}.", image, attributes)
        )
    return made


def _ways(words: list[Offer], photos: list[Offer]) -> list[Way]:
    return [Way("By the words", "1 of 2 for hiking", words), Way("By the photos", "none of them", photos)]


@pytest.fixture
def data(items) -> ReportData:
    fits, not_so = Offer(items[2], 0.9, ("dress",), "for hiking", True), Offer(items[3], 0.7512, (), "not for hiking")
    ada = Shopper("Ada", "likes blue", items[:2], _ways([fits, not_so], [not_so]), "As others do.")
    bo = Shopper("Bo", "likes green", items[4:5], _ways([Offer(items[5], 0.4)], [Offer(items[5], 0.3)]))
    bars = [Bar("words", 7.25, 7.0, 7.5, 10), Bar("chance", 2.5, 2.5, 2.5, 10)]
    return ReportData(
        "The title",
        "The intro",
        facts=[("items", "6")],
        vector=[0.5, -1.0, 0.25],
        shoppers=[ada, bo],
        counts=[Count("Hiking", "20 of 110 items", bars, "Words do better.")],
        counted="Counted so.",
        catalog=items,
        notes=["A note"],
        failures=[("id9", "The file is empty.")],
    )


def _written(folder: Path, data: ReportData) -> str:
    write_report(folder / "report.html", data)
    return (folder / "report.html").read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_every_photo_has_a_text(tmp_path, data):
    page = _Page(_written(tmp_path, data))
    photos = [attributes for tag, attributes in page.tags if tag == "img"]
    assert (page.open, page.badly_closed) == ([], [])
    # Two photos in the head, three in the histories, five recommended, six in the catalog.
    assert len(photos) == 2 + 3 + 5 + 6
    assert all(photo["alt"] for photo in photos)


def test_the_page_holds_everything_it_was_given(tmp_path, data):
    words = _Page(_written(tmp_path, data)).words
    for item in data.catalog:
        assert words.count(item.title) >= 2  # in the catalog, and in a history or a recommendation
        assert f"More of {item.item_id[-1]}." in words
        assert item.attributes["colour"] in words
    for text in ("The title", "The intro", "items", "Ada", "likes blue", "Bo", "likes green", "A note", "id9",
                 "The file is empty.", "0.900", "0.751", "0.400", "By the words", "By the photos", "1 of 2 for hiking",
                 "for hiking", "not for hiking", "As others do.", "Hiking", "20 of 110 items", "Counted so.",
                 "Words do better.", "7.25", "7.00 to 7.50", "2.50", "3 numbers"):  # fmt: skip
        assert text in words


def test_a_photo_in_the_page_is_the_photo_of_the_item(tmp_path, data, items):
    page = _Page(_written(tmp_path, replace(data, shoppers=(), catalog=items[3:4])))
    at_the_top, photo = [attributes for tag, attributes in page.tags if tag == "img"]
    assert at_the_top == photo
    content = base64.b64decode((photo["src"] or "").removeprefix("data:image/jpeg;base64,"))
    with Image.open(io.BytesIO(content)) as image:
        assert image.width <= 220
        assert all(abs(got - want) < 6 for got, want in zip(image.getpixel((5, 5)), (120, 90, 110), strict=True))


def test_the_page_needs_nothing_from_outside(tmp_path, data):
    source = _written(tmp_path, data)
    assert "http:" not in source
    assert "https:" not in source
    assert "url(" not in source
    page = _Page(source)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    for _tag, attributes in page.tags:
        assert (attributes.get("src") or "data:").startswith("data:")
        assert "href" not in attributes


def test_no_text_becomes_markup(tmp_path, items):
    evil = replace(items[0], title=_EVIL, caption=f"{_EVIL}. {_EVIL}", attributes={_EVIL: _EVIL})
    offer = Offer(evil, 0.5, ("script", "quoted"), _EVIL, True)
    shopper = Shopper(_EVIL, _EVIL, [evil], [Way(_EVIL, _EVIL, [offer])], _EVIL)
    count = Count(_EVIL, _EVIL, [Bar(_EVIL, 1, 1, 2, 10)], _EVIL)
    source = _written(
        tmp_path,
        ReportData(
            _EVIL,
            _EVIL,
            facts=[(_EVIL, _EVIL)],
            shoppers=[shopper],
            counts=[count],
            counted=_EVIL,
            catalog=[evil],
            notes=[_EVIL],
            failures=[(_EVIL, _EVIL)],
        ),
    )
    page = _Page(source)
    assert "<script" not in source
    assert (page.open, page.badly_closed) == ([], [])
    assert page.words.count(_EVIL) >= 20


def test_a_bar_is_as_long_as_its_number_and_never_longer_than_its_track(tmp_path, data, items):
    offers = [Offer(items[1], 1.0000002), Offer(items[2], 0.25), Offer(items[3], -0.1)]
    shopper = Shopper("Ada", "", items[:1], [Way("", "", offers)])
    source = _written(tmp_path, replace(data, shoppers=[shopper]))
    lengths = [part.split("%")[0] for part in source.split('<i style="width:')[1:]]
    assert lengths == ["100.0", "25.0", "0.0", "72.5", "25.0"]
    assert source.count('<b style="left:70.0%;width:5.0%">') == 1, "an interval where there is one"


def test_the_words_that_are_shared_are_underlined_and_no_others(tmp_path, data, items):
    said = replace(items[0], caption="Blue Dress, with a dress-up bow; undressed.")
    shopper = Shopper("Ada", "", items[:1], [Way("", "", [Offer(said, 0.5, ("dress", "bow"))])])
    source = _written(tmp_path, replace(data, shoppers=[shopper], catalog=[]))
    assert 'class="said">Blue <u>Dress</u>, with a dress-up <u>bow</u>; undressed.</p>' in source
    assert source.count("<u>") == 2


def test_a_vector_is_drawn_number_by_number(tmp_path, data):
    source = _written(tmp_path, data)
    heights = [part.split('"')[0] for part in source.split('height="')[1:]]
    assert heights == ["24.0", "48.0", "12.0"]
    long = _written(tmp_path, replace(data, vector=[0.1] * 384))
    assert long.count("<rect") == 64
    assert "the first 64 of 384 numbers" in long


def test_an_empty_report_is_still_a_page(tmp_path):
    page = _Page(_written(tmp_path, ReportData("Nothing", "There was nothing.")))
    assert (page.open, page.badly_closed) == ([], [])
    assert "There was nothing." in page.words


def test_a_missing_photo_is_named(tmp_path, data, items):
    gone = replace(items[0], image=tmp_path / "gone.jpg")
    with pytest.raises(PhotoError, match=r"gone\.jpg does not exist"):
        write_report(tmp_path / "report.html", replace(data, catalog=[gone]))


@pytest.mark.parametrize(
    ("caption", "value", "said"),
    [
        ("Blue dress for women.", "blue", True),
        ("Dark Blue dress for women.", "blue", False),
        ("Dark Blue dress for women.", "dark blue", True),
        ("White T-shirt.", "shirt", False),
        ("White T-shirt.", "T-shirt", True),
        ("Striped shirts.", "stripe", True),
        ("A dress with dots.", "dots", True),
        ("A dotted dress.", "dots", True),
        ("Checked trousers.", "check", True),
        ("Blue trousers.", "trousers", True),
        ("Blueish dress.", "blue", False),
        ("A coated jacket.", "coat", False),
        ("", "blue", False),
    ],
)
def test_a_tick_means_that_the_caption_uses_the_word(caption, value, said):
    assert caption_says(caption, value) is said


def test_words_and_what_underlines_them_can_be_read_in_light_and_dark():
    """WCAG 2.2, 1.4.3 and 1.4.11: contrasts of 4.5 and 3 at least."""
    text = (Path(report.__file__).parent / "report.css").read_text(encoding="utf-8")
    light, dark, _ = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", part)) for part in re.split("@media|figure {", text)[:3]
    )
    for colours in (light, {**light, **dark}):
        for word, grounds in (
            ("ink", ("paper", "card")),
            ("soft", ("paper",)),
            ("yes-ink", ("yes",)),
            ("accent", ("paper",)),
        ):
            assert all(contrast(colours[word], colours[ground]) >= 4.5 for ground in grounds), word
        assert contrast(colours["under"], colours["paper"]) >= 3
