"""A caption's facts are read back without knowing how training words them, and compared with what is drawn."""

from __future__ import annotations

import pytest
from captioning.drawn_facts import ASPECTS, UNSEEN, Told, compare, facts_stated, figures
from drawings import Facts, catalog_of_drawings
from drawings.facts import CLOTHS, DETAILS, OCCASIONS, SEASONS, STYLES

BOOTS = Facts(
    {"style": "hiking boots", "cloth": "suede", "closure": "laces", "sole": "treaded", "toe": "cap"}, "hiking", "spring"
)


@pytest.mark.parametrize(
    ("details", "facts"),
    [
        ("", set()),
        ("Lovely thing of the moment.", set()),
        ("Top in soft jersey with a V-neck.", {("style", "T-shirt"), ("cloth", "jersey"), ("neckline", "V-neck")}),
        ("Jacket with a stand-up collar.", {("neckline", "stand-up collar")}),
        ("Thin shoulder straps.", {("sleeves", "narrow straps")}),
        ("Boots with a strap round the heel and a block heel.", {("closure", "heel strap"), ("heel", "block")}),
        ("Bag with two handles, in leather.", {("handles", "two handles"), ("cloth", "leather")}),
        ("Trousers with a zip fly.", {("closure", "fly")}),
        (
            "Summer dress with a V-neck. For the beach.",
            {("style", "summer dress"), ("neckline", "V-neck"), ("occasion", "beach")},
        ),
        ("Hat with a ribbon with a bow.", {("trim", "bow")}),
    ],
)
def test_facts_are_read_from_a_caption(details: str, facts: set[tuple[str, str]]) -> None:
    assert facts_stated(details) == facts


def test_every_wording_of_the_training_is_read_as_its_fact_and_no_other() -> None:
    for aspect, values in {**DETAILS, "cloth": CLOTHS, "style": STYLES}.items():
        for value, wordings in values.items():
            for wording in wordings:
                form = {"cloth": "Thing in {}.", "style": "{} with it."}.get(aspect, "Thing with {}.")
                assert facts_stated(form.format(wording)) == {(aspect, value)}, wording
    for aspect, values in (("occasion", OCCASIONS), ("season", SEASONS)):
        for value, wordings in values.items():
            for wording in wordings:
                assert facts_stated(f"{'For ' * (aspect == 'occasion')}{wording}.") == {(aspect, value)}, wording


def test_nothing_can_be_read_that_the_drawings_do_not_know() -> None:
    known = {**DETAILS, "cloth": CLOTHS, "style": STYLES, "occasion": OCCASIONS, "season": SEASONS}
    assert {aspect: set(values) for aspect, values in ASPECTS.items()} == {
        aspect: set(values) for aspect, values in known.items()
    }


def test_a_drawings_own_sentences_are_right_in_all_they_state() -> None:
    for drawing in catalog_of_drawings(8, seed=4):
        told = compare(drawing.details, drawing.facts, first_right=True)
        assert told.wrong == 0, drawing.details
        assert told.unseen_right == len(UNSEEN), drawing.details
        assert told.right >= 2, drawing.details


def test_anothers_sentences_are_not() -> None:
    drawings = catalog_of_drawings(2, seed=4)
    others = [
        compare(one.details, other.facts, first_right=True) for one, other in zip(drawings[2:], drawings, strict=False)
    ]
    assert sum(told.wrong for told in others) > 2 * sum(told.right for told in others)


@pytest.mark.parametrize(
    ("details", "right", "unseen", "wrong"),
    [
        ("Hiking boots in suede with laces. For long hikes in spring and autumn.", 3, 2, 0),
        ("Hiking boots in leather with a zip. For the office.", 1, 0, 3),
        ("Boots.", 0, 0, 0),
        ("Boots with a hood.", 0, 0, 1),
        ("", 0, 0, 0),
    ],
)
def test_stated_facts_are_counted(details: str, right: int, unseen: int, wrong: int) -> None:
    assert compare(details, BOOTS, first_right=False) == Told(False, right, unseen, wrong)


def test_less_exact_is_right_and_more_exact_is_not() -> None:
    narrow = Facts({"style": "dress", "sleeves": "narrow straps"}, "every day", "summer")
    between = Facts({"style": "dress", "sleeves": "straps"}, "every day", "summer")
    assert compare("With shoulder straps.", narrow, first_right=True).right == 1
    assert compare("With narrow shoulder straps.", between, first_right=True).wrong == 1


def test_shares_are_of_captions_and_of_stated_facts() -> None:
    told = [Told(True, 2, 1, 1), Told(False, 1, 2, 0), Told(True, 3, 2, 0)]
    values = {name: figure.value for name, figure in figures(told).items() if figure}
    assert values == pytest.approx({"kind and colour": 2 / 3, "two further facts": 2 / 3, "stated facts wrong": 1 / 12})
    assert figures([Told(True, 0, 0, 0)])["stated facts wrong"] is None
