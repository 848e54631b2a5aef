"""Which words of an item become its vector."""

from __future__ import annotations

import pytest

from vlm4rec_edge.encoding.text import check_encoded_text, text_of_item
from vlm4rec_edge.errors import UsageError


@pytest.mark.parametrize(
    ("kind", "title", "text"),
    [
        ("caption", "Red coat", "A coat."),
        ("title", "Red coat", "Red coat"),
        ("title_caption", "Red coat", "Red coat. A coat."),
        ("title_caption", "", "A coat."),
        ("title", "", ""),
    ],
)
def test_the_text_is_what_was_asked_for(kind: str, title: str, text: str) -> None:
    assert text_of_item(check_encoded_text(kind), title=title, caption="A coat.") == text


def test_another_text_is_refused_with_the_choices() -> None:
    with pytest.raises(UsageError, match="'titel' cannot be encoded; choose one of caption, title, title_caption"):
        check_encoded_text("titel")
