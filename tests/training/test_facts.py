"""What a drawing states of itself is what its function draws, and its sentences say nothing else."""

from __future__ import annotations

import re

import pytest
from drawings import catalog_of_drawings
from drawings.canvas import Canvas
from drawings.catalog import _drawn_on
from drawings.facts import CLOTHS, DETAILS, OCCASIONS, SEASONS, STYLES, USES
from drawings.kinds import KINDS
from rows import row_of_drawing
from words import DETAIL_WORDS, words_of

DRAWINGS = catalog_of_drawings(12, seed=6)


def test_every_fact_is_one_that_can_be_said() -> None:
    for drawing in DRAWINGS:
        seen = dict(drawing.facts.seen)
        assert seen.pop("style") in STYLES
        assert seen.pop("cloth") in CLOTHS
        assert all(value in DETAILS[aspect] for aspect, value in seen.items()), drawing


def test_every_kind_states_at_least_three_visible_facts_and_no_kind_always_the_same() -> None:
    for kind in KINDS:
        facts = [drawing.facts.seen for drawing in DRAWINGS if drawing.kind == kind]
        assert min(map(len, facts)) >= 3, kind
        sentences = {drawing.details for drawing in DRAWINGS if drawing.kind == kind}
        assert len(sentences) > len(facts) / 2, kind


@pytest.mark.parametrize("kind", KINDS)
def test_the_facts_stated_without_a_picture_are_those_of_the_picture(kind: str) -> None:
    drawing = next(drawing for drawing in DRAWINGS if drawing.kind == kind)
    assert _drawn_on(Canvas, drawing)[1].facts == dict(drawing.facts.seen)


def test_what_a_thing_is_for_goes_by_its_style_alone() -> None:
    assert USES.keys() == STYLES.keys()
    assert {use for uses in USES.values() for use in uses} == OCCASIONS.keys() | SEASONS.keys()
    for drawing in DRAWINGS:
        assert (drawing.facts.occasion, drawing.facts.season) == USES[drawing.facts.seen["style"]]


def test_its_sentences_are_two_and_the_same_every_time() -> None:
    for drawing in DRAWINGS:
        assert re.fullmatch(r"[A-Z][^.]+\. [A-Z][^.]+\.", drawing.details), drawing.details
        assert drawing.details == type(drawing)(drawing.kind, drawing.colour, drawing.pattern, drawing.seed).details


def test_training_says_them_whole() -> None:
    for drawing in DRAWINGS:
        words = words_of(row_of_drawing(drawing))
        assert words.details == drawing.details
        assert len(drawing.details.split()) <= DETAIL_WORDS
