"""A recommendation says what it came from: amounts that sum to its score, and words that mean something."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from made_store import unit, write_store

from vlm4rec_edge import OnnxEncoder, Recommender
from vlm4rec_edge.recommend.explanation import Reason, in_words
from vlm4rec_edge.recommend.profile import ProfileSettings
from vlm4rec_edge.recommend.words import InformativeWords, words_of

CAPTIONS = {
    "red-1": "A red linen dress with a V-neck and short sleeves.",
    "red-2": "A red linen skirt with a belt.",
    "blue-1": "A blue denim jacket with pockets.",
    "blue-2": "A blue denim skirt with a belt and pockets.",
    "odd": "A green hat.",
}
VECTORS = unit([[1, 0, 0.1], [0.9, 0.3, 0], [0, 1, 0], [0.2, 0.9, 0.1], [0.3, 0.3, 1]])


@pytest.fixture
def boutique(tmp_path: Path) -> Iterator[Recommender]:
    """Five items with captions of two tastes."""
    items = [(name, row) for row, name in enumerate(CAPTIONS)]
    with Recommender.open(write_store(tmp_path / "store", VECTORS, items, captions=CAPTIONS)) as found:
        yield found


def test_the_amounts_are_the_history_items_parts_of_the_mean(boutique: Recommender) -> None:
    hit = boutique.recommend(["red-1", "blue-1"], k=1, explain=True)[0]
    vector = {name: VECTORS[row].astype(float) for row, name in enumerate(CAPTIONS)}
    length = np.linalg.norm(vector["red-1"] + vector["blue-1"])
    expected = {name: float(vector[name] @ vector[hit.item_id] / length) for name in ("red-1", "blue-1")}
    assert {reason.source: reason.amount for reason in hit.because} == pytest.approx(expected, abs=1e-6)
    assert [abs(reason.amount) for reason in hit.because] == sorted(expected.values(), reverse=True)
    assert all(reason.kind == "liked" for reason in hit.because)


def test_an_item_bought_twice_is_one_reason(boutique: Recommender) -> None:
    hit = boutique.recommend(["red-1", "blue-1", "red-1"], k=1, explain=True)[0]
    assert sorted(reason.source for reason in hit.because) == ["blue-1", "red-1"]
    assert sum(reason.amount for reason in hit.because) == pytest.approx(hit.score, abs=1e-6)


def test_what_is_disliked_shows_as_a_part_below_zero(boutique: Recommender) -> None:
    hit = next(
        hit
        for hit in boutique.recommend(
            ["red-1"], disliked=["blue-1"], explain=True, settings=ProfileSettings(dislike_weight=0.5)
        )
        if hit.item_id == "blue-2"
    )
    (away,) = [reason for reason in hit.because if reason.kind == "disliked"]
    assert (away.source, set(away.words)) == ("blue-1", {"blue denim", "pockets"})
    assert away.amount < 0
    assert sum(reason.amount for reason in hit.because) == pytest.approx(hit.score, abs=1e-6)
    assert "disliked blue-1 (-" in hit.why


def test_shared_words_are_those_that_not_every_caption_says(boutique: Recommender) -> None:
    by_id = {hit.item_id: hit for hit in boutique.recommend(["red-1", "blue-1"], k=3, explain=True)}
    words = {reason.source: set(reason.words) for reason in by_id["blue-2"].because}
    assert words == {"blue-1": {"blue denim", "pockets"}, "red-1": set()}
    assert {reason.source: set(reason.words) for reason in by_id["red-2"].because}["red-1"] == {"red linen"}


def test_without_being_asked_nothing_is_explained(boutique: Recommender) -> None:
    for hit in boutique.recommend(["red-1"]):
        assert (hit.because, hit.why) == ((), "")


def test_each_interest_explains_its_own_items(boutique: Recommender) -> None:
    found = boutique.recommend(["red-1", "blue-1"], explain=True, settings=ProfileSettings(interests=2))
    assert {hit.item_id: [reason.source for reason in hit.because] for hit in found} == {
        "red-2": ["red-1"],
        "blue-2": ["blue-1"],
        "odd": ["red-1"],
    }


def test_a_text_is_a_reason_too(shop_index: Path, encoder: OnnxEncoder) -> None:
    with Recommender.open(shop_index) as shop:
        history = [next(iter(shop.store.items())).id]
        for hit in shop.recommend(history, k=5, text="a yellow shirt", encoder=encoder, explain=True):
            assert hit.basis == "history and text"
            assert {reason.source: reason.kind for reason in hit.because} == {
                history[0]: "liked",
                "a yellow shirt": "text",
            }
            assert sum(reason.amount for reason in hit.because) == pytest.approx(hit.score, abs=1e-5)
            (text,) = [reason for reason in hit.because if reason.kind == "text"]
            assert words_of(" ".join(text.words)) <= words_of(hit.caption) & {"yellow", "shirt"}


def test_informative_is_what_few_captions_say() -> None:
    words = InformativeWords([("red dress", 6), ("blue dress", 3), ("blue silk dress", 1)])
    assert words.idf("silk") == pytest.approx(math.log(10 / 1))
    assert words.idf("blue") == pytest.approx(math.log(10 / 4))
    assert words.shared("blue silk dress", "a BLUE dress of silk", 5) == ("silk", "blue")
    assert words.shared("blue silk dress", "a blue dress of silk", 1) == ("silk",)
    assert words.shared("red dress", "red dress", 5) == ()


def test_a_phrase_says_more_than_its_words_and_comes_before_a_lone_word_as_rare() -> None:
    first = "Grey T-shirt. Top in cotton jersey with a rounded hem. Slightly longer at the back."
    second = "Green T-shirt for children. Top in cotton jersey, with a rounded hem, slightly longer at the back."
    words = InformativeWords(
        [(first, 1), (second, 1), ("A black T-shirt.", 4), ("A shirt with a yoke at the back.", 2)]
    )
    assert words.shared_phrases(first, second) == ("cotton jersey", "rounded hem", "slightly longer", "top", "back")
    assert words.shared_phrases(first, second, 4) == ("cotton jersey", "rounded hem", "slightly longer", "top")
    assert words.shared_phrases(first, "Nothing of this.") == ()


def test_a_phrase_ends_at_a_function_word_a_sign_and_a_word_that_most_captions_say() -> None:
    words = InformativeWords([("red linen dress", 1), ("thing", 9)])
    assert words.shared_phrases("red linen dress", "red linen dress") == ("red linen dress",)
    for text in ("red thing dress", "red, dress", "red in the dress", "red 7 dress"):
        assert words.shared_phrases(text, text) == ("dress", "red")


def test_words_are_whole_words_in_lower_case_without_filling() -> None:
    assert words_of("The V-neck of this Größe-M T-shirt isn't 100% Cotton, and it's ok.") == {
        "v-neck", "größe-m", "t-shirt", "isn't", "cotton", "it's",
    }  # fmt: skip


def test_a_sentence_names_the_strongest_and_sums_up_the_rest() -> None:
    reasons = [
        Reason("a", "liked", 0.5, ("red", "linen")),
        Reason("beach", "text", 0.3),
        Reason("b", "disliked", -0.2),
        Reason("c", "liked", 0.1),
        Reason("d", "liked", 0.05),
    ]
    assert in_words(reasons) == (
        'Because of a (+0.50; both: red, linen), the words "beach" (+0.30), disliked b (-0.20), 2 more (+0.15).'
    )
    assert in_words([]) == ""


def test_a_sentence_tells_what_was_learned_from_what_reads_alike() -> None:
    parts = {"reads alike": 0.1, "bought together": 0.4, "often bought": 0.001}
    reasons = [Reason("a", "liked", 0.501, ("red",), parts)]
    assert in_words(reasons) == "Because of a (+0.50: bought together +0.40, reads alike +0.10; both: red)."
