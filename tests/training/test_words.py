"""What the model is taught to say, and that it can be read back."""

from __future__ import annotations

import json

import training_code  # noqa: F401 - finds words.py
from words import Vocabulary, Words, visible_details, words_of

ROW = {
    "type": "T-shirt",
    "colour": "Dark Blue",
    "appearance": "Stripe",
    "audience": "Menswear",
    "description": "T-shirt in organic cotton jersey with a round neckline. Size 10x20 cm.",
}
VOCABULARY = Vocabulary(
    kinds=("T-shirt", "shirt", "polo shirt", "hair band", "flat shoe", "shoe"),
    colours=("blue", "dark blue", "black"),
    patterns=("striped", "patterned"),
)


def test_a_row_becomes_a_sentence_that_names_colour_pattern_kind_and_audience_first() -> None:
    assert words_of(ROW).sentence() == (
        "Dark blue striped T-shirt for men. T-shirt in cotton jersey with a round neckline."
    )


def test_the_structured_answer_is_json_with_its_five_keys_in_order() -> None:
    answer = json.loads(words_of(ROW | {"appearance": "Solid"}).json())
    assert list(answer) == ["kind", "colour", "pattern", "audience", "details"]
    assert (answer["kind"], answer["pattern"]) == ("T-shirt", "solid")


def test_what_no_photo_shows_is_left_out_of_the_details() -> None:
    assert visible_details("Unlined.") == ""
    assert visible_details("Heel 8 cm.") == ""
    assert "recycled" not in visible_details("Jumper in recycled wool. The wool content is recycled.")
    assert visible_details("5-pocket jeans with 3/4-length legs.") == "5-pocket jeans with 3/4-length legs."
    assert visible_details("Vest top (in sizes 8-12Y) with a print.") == "Vest top with a print."


def test_details_are_bounded_and_end_as_a_sentence() -> None:
    long = "Dress with " + ", ".join(["a long and rather wide sleeve"] * 12) + "."
    details = visible_details(long)
    assert 4 <= len(details.split()) <= 30
    assert details.endswith(".")


def test_a_caption_is_read_back_field_by_field() -> None:
    for words in (
        Words("T-shirt", "dark blue", "striped", "men", "Round neck."),
        Words("polo shirt", "black", "", "young women", ""),
        Words("flat shoe", "blue", "patterned", "", "With a bow."),
    ):
        read = VOCABULARY.read(words.sentence())
        assert (read.kind, read.colour, read.audience) == (words.kind, words.colour, words.audience)
        assert read.pattern == (words.pattern or "solid")


def test_a_caption_in_other_words_reads_as_nothing_rather_than_as_a_guess() -> None:
    read = VOCABULARY.read("A person stands on a beach.")
    assert (read.kind, read.colour, read.pattern, read.audience) == ("", "", "", "")
