"""What is counted is what a plain count gives, and the sentences say what the figures show, whichever way they point."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_photos import ITEMS, write_photo_shop

from vlm4rec_edge import Recommender
from vlm4rec_edge.demo.counting import COUNTED, TasteCount, count_tastes, what_it_shows
from vlm4rec_edge.demo.tastes import BOUGHT, TASTES, made_histories, members

HIKING, BLUE = TASTES[0], TASTES[-1]


def _count(words: float, photos: float, taste=HIKING, noise: float = 0.0) -> TasteCount:
    random = np.random.default_rng(0)
    by_words, by_photos = (mean + noise * random.normal(size=200) for mean in (words, photos))
    return TasteCount(taste, 25, 110, by_words, by_photos)


def test_a_count_is_what_counting_by_hand_gives(tmp_path: Path) -> None:
    folder = write_photo_shop(tmp_path / "shop.index")
    kinds = ("boots", "jacket", "socks", "dress", "sweater")
    items = [(f"item-{row}", {"kind": kinds[row % 5], "colour": ("red", "blue")[row % 2]}) for row in range(ITEMS)]
    with Recommender.open(folder) as words, Recommender.open(folder, photos_alone=True) as photos:
        counts = count_tastes(items, words, photos)
        assert [count.taste.name for count in counts] == ["hiking", "an evening out", "blue"]
        for count in counts:
            own = set(members(count.taste, items))
            assert (count.members, count.items) == (len(own), ITEMS)
            for shop, told in ((words, count.by_words), (photos, count.by_photos)):
                found = [
                    len(own & {hit.item_id for hit in shop.recommend(history, COUNTED)})
                    for history in made_histories(count.taste, items)
                ]
                assert told.tolist() == found
    assert counts[0].chance == pytest.approx(COUNTED * (36 - BOUGHT) / (ITEMS - BOUGHT))
    assert replace(counts[0], members=8).most == 8 - BOUGHT
    assert counts[0].to_dict()["words"]["mean"] == pytest.approx(counts[0].by_words.mean())


@pytest.mark.parametrize(
    ("words", "photos", "noise", "verdict"),
    [
        (7.0, 5.0, 1.0, "Words keep to it better than photos do: "),
        (5.0, 7.0, 1.0, "Photos keep to it better than words do: "),
        (6.0, 6.0, 1.0, "Words and photos keep to it equally well, as far as can be told: "),
        (6.0, 6.0, 0.0, "Words and photos keep to it equally well, as far as can be told: "),
    ],
)
def test_a_verdict_is_the_one_of_the_interval(words, photos, noise, verdict) -> None:
    count = _count(words, photos, noise=noise)
    assert count.verdict.startswith(verdict)
    assert f"{abs(count.difference.mean):.2f}" in count.verdict
    higher = int((count.by_words > count.by_photos).sum())
    lower = int((count.by_words < count.by_photos).sum())
    assert (
        f"Of 200 shoppers {higher} got more of it by words, {lower} by photos, {200 - higher - lower} as"
        in count.verdict
    )


def test_the_sentence_that_matters_tells_each_kind_of_taste_with_its_figures() -> None:
    shown = what_it_shows([_count(7.0, 5.0), _count(5.0, 4.0), _count(3.0, 6.0, BLUE)])
    assert shown == (
        "Words keep to an occasion better than photos do: 6.0 of 10 recommendations by words, 4.5 by photos, 2.1 at random. "
        "Photos keep to a colour better than words do: 3.0 of 10 recommendations by words, 6.0 by photos, 2.1 at random."
    )
    assert what_it_shows([_count(4.0, 4.0, BLUE)]).startswith("Words and photos keep to a colour equally well")
    assert what_it_shows([]) == ""
