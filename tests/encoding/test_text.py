"""Which words of an item become its vector."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlm4rec_edge.encoding.text import (
    DEFAULT_TEXT,
    PLAIN_KINDS,
    TextPart,
    check_encoded_text,
    parts_of,
    text_of_item,
    text_of_photos,
    title_share,
)
from vlm4rec_edge.errors import UsageError

SHARES = st.floats(0, 1, exclude_min=True, exclude_max=True)


@pytest.mark.parametrize(
    ("kind", "title", "text"),
    [
        ("caption", "Red coat", "A coat."),
        ("title", "Red coat", "Red coat"),
        ("title_caption", "Red coat", "Red coat. A coat."),
        ("title_caption", "", "A coat."),
        ("title", "", ""),
        ("weighted", "Red coat", "Red coat. A coat."),
        ("weighted", "", "A coat."),
    ],
)
def test_the_text_is_what_was_asked_for(kind: str, title: str, text: str) -> None:
    assert text_of_item(check_encoded_text(kind), title=title, caption="A coat.") == text


def test_another_text_is_refused_with_the_choices() -> None:
    choices = "choose one of caption, title, title_caption, weighted or weighted:SHARE"
    for wrong in ("titel", "", "title:0.5", "Weighted"):
        with pytest.raises(UsageError, match=f"{wrong!r} cannot be encoded; {choices}"):
            check_encoded_text(wrong)


@pytest.mark.parametrize("share", ["0", "1", "1.5", "-0.1", "nan", "inf", "", "much", "0,9", "0.9:1"])
def test_a_share_of_the_title_that_is_none_is_refused_with_an_example(share: str) -> None:
    with pytest.raises(UsageError, match=r"needs a share of the title above 0 and below 1, such as weighted:0\.9"):
        check_encoded_text(f"weighted:{share}")


def test_a_share_has_one_form_however_it_is_written() -> None:
    assert {check_encoded_text(kind) for kind in ("weighted", "weighted:0.9", "weighted:.90", "weighted:9e-1")} == {
        DEFAULT_TEXT
    }
    assert check_encoded_text("weighted:0.75") == "weighted:0.75"


@given(SHARES)
def test_a_share_is_kept_exactly(share: float) -> None:
    kind = check_encoded_text(f"weighted:{share!r}")
    assert title_share(kind) == share
    assert check_encoded_text(kind) == kind
    assert [title_share(plain) for plain in PLAIN_KINDS] == [None] * 3


def test_a_weighted_text_says_the_share_and_what_is_encoded() -> None:
    kind = check_encoded_text("weighted:0.75")
    one = text_of_photos(kind, title="Red coat", captions=["A coat.", "A coat."])
    assert parts_of(one) == (TextPart(0.75, ("Red coat",)), TextPart(0.25, ("A coat.",)))
    several = text_of_photos(kind, title="Red coat", captions=["A coat.", "Its back."])
    assert parts_of(several)[1] == TextPart(0.25, ("A coat.", "Its back."))
    other = text_of_photos(DEFAULT_TEXT, title="Red coat", captions=["A coat."])
    assert len({one, several, other}) == 3


@pytest.mark.parametrize("title", ["", " "])
def test_without_a_title_the_text_is_that_of_the_captions(title: str) -> None:
    for captions in (["A coat."], ["A coat.", "Its back."]):
        assert text_of_photos(DEFAULT_TEXT, title=title, captions=captions) == text_of_photos(
            PLAIN_KINDS[0], title=title, captions=captions
        )


def test_without_a_caption_the_text_is_the_title() -> None:
    assert text_of_photos(DEFAULT_TEXT, title="Red coat", captions=["", ""]) == "Red coat"
    assert text_of_photos(DEFAULT_TEXT, title="", captions=[]) == ""


@given(st.text(alphabet="a \x1d\x1e.09"), st.lists(st.sampled_from(["A coat.", "Its back."]), min_size=1, max_size=3))
def test_no_title_is_taken_for_anything_else(title: str, captions: list[str]) -> None:
    """It may hold the very characters that separate titles from captions."""
    weighted = parts_of(text_of_photos(DEFAULT_TEXT, title=title, captions=captions))
    if title.strip():
        (share, titles), (rest, said) = weighted
        assert (share, titles, rest) == (0.9, (title.replace("\x1d", " "),), 1 - 0.9)
        assert set(said) == set(captions)
    for kind, caption in product(PLAIN_KINDS, captions):
        assert len(parts_of(text_of_photos(kind, title=title, captions=[caption]))) == 1
