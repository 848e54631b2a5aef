"""What the model is taught to say can be read back, and says only what a photo can show."""

from __future__ import annotations

import itertools
import json

import pytest
from words import Vocabulary, Words, audience_word, colour_word, kind_word, pattern_word, visible_details, words_of

VOCABULARY = Vocabulary(
    kinds=("T-shirt", "top", "vest top", "trousers", "underwear tights", "dress", "hair band", "item"),
    colours=("blue", "dark blue", "off white", "light pink", "other pink", "transparent"),
    patterns=("striped", "part-patterned", "front-printed", "denim", "transparent", ""),
)


def row(**values: str) -> dict[str, str]:
    empty = dict.fromkeys(("type", "colour", "appearance", "audience", "description"), "")
    return empty | values


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (
            "Dark blue striped T-shirt for men. Round neck.",
            Words("T-shirt", "dark blue", "striped", "men", "Round neck."),
        ),
        ("Blue vest top for young women.", Words("vest top", "blue", "solid", "young women", "")),
        ("Off white top.", Words("top", "off white", "solid", "", "")),
        ("Light pink front-printed dress for children", Words("dress", "light pink", "front-printed", "children", "")),
        (
            "Part-patterned hair band for women. Two. Three.",
            Words("hair band", "", "part-patterned", "women", "Two. Three."),
        ),
        ("Transparent item for sport.", Words("item", "transparent", "solid", "sport", "")),
        ("Other pink transparent top.", Words("top", "other pink", "transparent", "", "")),
    ],
)
def test_a_caption_is_read_back_field_by_field(said: str, read: Words) -> None:
    assert VOCABULARY.read(said) == read


@pytest.mark.parametrize(
    ("said", "fields"),
    [
        ("A lovely thing to wear.", ("", "", "", "")),
        ("", ("", "", "", "")),
        (".", ("", "", "", "")),
        ("Blue.", ("", "blue", "", "")),
        ("Blue quilted dress for women.", ("dress", "blue", "", "women")),
        ("Bluest dress for horses.", ("", "", "", "")),
        ("Dark blue striped for men.", ("", "dark blue", "striped", "men")),
    ],
)
def test_what_is_not_in_our_words_is_left_empty(said: str, fields: tuple[str, ...]) -> None:
    read = VOCABULARY.read(said)
    assert (read.kind, read.colour, read.pattern, read.audience) == fields


def test_every_sentence_of_the_training_says_what_its_row_says() -> None:
    kinds = ("T-shirt", "Vest top", "Hair/alice band", "Underwear Tights")
    colours = ("Dark Blue", "Blue", "Off White", "Unknown")
    patterns = ("Solid", "Stripe", "Mixed solid/pattern", "Front print", "Denim")
    audiences = ("Ladieswear", "Divided", "Menswear", "Baby/Children", "Sport", "")
    for kind, colour, pattern, audience in itertools.product(kinds, colours, patterns, audiences):
        values = {"type": kind, "colour": colour, "appearance": pattern, "audience": audience}
        words = words_of(row(**values, description="Soft top with a collar."))
        read = VOCABULARY.read(words.sentence())
        assert read == Words(words.kind, words.colour, words.pattern or "solid", words.audience, words.details), values


def test_words_of_different_values_differ() -> None:
    kinds = ("Beanie", "Hat/beanie", "Cap", "Cap/peaked", "Dog Wear", "Dog wear", "Leggings/Tights", "Underwear Tights")
    patterns = ("Front print", "Placement print", "All over pattern", "Other pattern", "Mixed solid/pattern", "Solid")
    audiences = ("Ladieswear", "Divided", "Menswear", "Baby/Children", "Sport")
    for word_of, values in ((kind_word, kinds), (pattern_word, patterns), (audience_word, audiences)):
        assert len({word_of(value).lower() for value in values}) == len(values)


def test_an_unknown_colour_is_not_said() -> None:
    assert colour_word("Unknown") == ""
    words = words_of(row(type="Dress", colour="Unknown", appearance="Stripe", audience="Divided"))
    assert words.sentence() == "Striped dress for young women."


def test_the_structured_answer_has_every_field_in_order() -> None:
    words = words_of(row(type="Dress", colour="Blue", appearance="Solid"))
    assert list(json.loads(words.json()).items()) == [
        ("kind", "dress"),
        ("colour", "blue"),
        ("pattern", "solid"),
        ("audience", "anyone"),
        ("details", ""),
    ]


@pytest.mark.parametrize(
    ("description", "details"),
    [
        ("Top in soft organic cotton.", "Top in soft cotton."),
        ("Bag with a zip. Size 20x30 cm.", "Bag with a zip."),
        ("Bra (sizes 70-85) with lace.", "Bra with lace."),
        ("Dress with a round neck and short sleeves, size 36.", "Dress with a round neck and short sleeves."),
        ("Coat with a collar. Lined.", "Coat with a collar."),
        ("5-pocket jeans with 3/4-length legs.", "5-pocket jeans with 3/4-length legs."),
        ("", ""),
    ],
)
def test_what_no_photo_shows_is_left_out(description: str, details: str) -> None:
    assert visible_details(description) == details


def test_details_are_few_and_end_with_a_sentence() -> None:
    long = "Jacket in woven fabric with a stand-up collar, " + ", ".join(["a zip down the front"] * 12) + "."
    for description in (long, long + " " + long, "A hood. " * 40):
        details = visible_details(description)
        assert details.endswith(".")
        assert 0 < len(details.split()) <= 30
