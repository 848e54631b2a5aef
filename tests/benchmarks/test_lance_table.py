"""When two answers of the same items count as the same."""

from __future__ import annotations

from dataclasses import dataclass

from lance_table import differing


@dataclass(frozen=True)
class Hit:
    """What the comparison reads of a recommendation."""

    item_id: str
    score: float


def hits(**scores: float) -> list[Hit]:
    return [Hit(*item) for item in scores.items()]


def test_a_tie_with_the_last_item_counts_and_a_lower_score_does_not() -> None:
    exact = hits(a=0.9, b=0.5)
    found = differing([hits(a=0.9, c=0.4)], [hits(a=0.9, d=0.5)], [exact])
    assert found == {"same ten": 0.0, "index finds": 0.5, "table finds": 1.0}
    assert differing([exact], [hits(a=0.9, d=0.5)], [exact])["same ten"] == 1.0
