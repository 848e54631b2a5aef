"""The vectors of items: of one text, of several photos, of a title and captions that are weighted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_plugins import MadeEncoder

from vlm4rec_edge.encoding.checked import encoded_items
from vlm4rec_edge.encoding.text import CAPTION, TITLE, check_encoded_text, text_of_photos

WORDS = st.text(alphabet="abc", min_size=1, max_size=4)


def _unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / np.linalg.norm(vector))


@given(st.floats(0.01, 0.99), WORDS, st.lists(WORDS, min_size=1, max_size=4))
def test_a_weighted_vector_is_the_weighted_mean_of_the_titles_and_the_captions(
    share: float, title: str, captions: list[str]
) -> None:
    kinds = check_encoded_text(f"weighted:{share!r}"), TITLE, CAPTION
    texts = [text_of_photos(kind, title=title, captions=captions) for kind in kinds]
    weighted, of_title, of_captions = encoded_items(MadeEncoder(), texts)
    np.testing.assert_array_equal(of_title, MadeEncoder().encode([title])[0])
    np.testing.assert_allclose(weighted, _unit(share * of_title + (1 - share) * of_captions), atol=1e-6)
    assert np.linalg.norm(weighted) == pytest.approx(1)


def test_each_text_is_encoded_once_and_those_around_it_change_nothing() -> None:
    asked: list[str] = []

    class Noting(MadeEncoder):
        def encode(self, texts: list[str]) -> np.ndarray:  # type: ignore[override]
            asked.extend(texts)
            return super().encode(texts)

    kind = check_encoded_text("weighted")
    texts = [
        text_of_photos(kind, title="Red coat", captions=[caption]) for caption in ("A coat.", "A back.", "A coat.")
    ]
    together = encoded_items(Noting(), texts)
    assert sorted(asked) == ["A back.", "A coat.", "Red coat"]
    for vector, text in zip(together, texts, strict=True):
        np.testing.assert_array_equal(vector, encoded_items(MadeEncoder(), [text])[0])


def test_where_title_and_captions_take_each_other_away_the_title_is_left() -> None:
    class Opposite(MadeEncoder):
        def encode(self, texts: list[str]) -> np.ndarray:  # type: ignore[override]
            first = np.eye(1, self.dimensions, dtype=np.float32)[0]
            return np.array([first if text == "yes" else -first for text in texts])

    text = text_of_photos(check_encoded_text("weighted:0.5"), title="yes", captions=["no"])
    (vector,) = encoded_items(Opposite(), [text])
    np.testing.assert_array_equal(vector, Opposite().encode(["yes"])[0])
