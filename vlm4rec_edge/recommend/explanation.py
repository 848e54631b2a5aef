"""Why an item is recommended: what of the history pulled it in, by how much, and in which words the two agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np

from vlm4rec_edge.mixture import Layout
from vlm4rec_edge.recommend.profile import Combination
from vlm4rec_edge.recommend.words import InformativeWords

Kind = Literal["liked", "disliked", "text"]
# Words are looked up for the strongest reasons only; nobody reads those of the hundredth.
_REASONS_WITH_WORDS = 5
_PHRASES_SHOWN = 4
# What a sentence names before it sums up the rest.
_REASONS_IN_A_SENTENCE = 3
_LEAST_SHOWN = 0.005


@dataclass(frozen=True)
class Reason:
    """One part of a score.

    Attributes:
        source: The item id, or the text that was asked for.
        kind: ``liked``, ``disliked`` (its amount is below 0 where the items are alike) or ``text``.
        amount: What it adds to the score; the amounts of all reasons sum to the score.
        words: Informative words and phrases that it and the recommended item share, the most informative first; for the
            strongest reasons only.
        parts: Where something was learned from purchases, what of the amount comes from "reads alike", "bought together" and
            "often bought"; they sum to it.
    """

    source: str
    kind: Kind
    amount: float
    words: tuple[str, ...] = ()
    parts: Mapping[str, float] = field(default_factory=dict)


class Part(NamedTuple):
    """What one vector of a combination stands for."""

    source: str
    kind: Kind


def reasons_for(
    vectors: np.ndarray, combination: Combination, parts: Sequence[Part], layout: Layout | None = None
) -> list[list[Reason]]:
    """Return the reasons for each of ``vectors`` [m, dimensions], the strongest first, without words.

    A part that stands there twice, because it was bought twice, is one reason.
    """
    distinct = list(dict.fromkeys(parts))
    amounts = _summed(vectors, combination, parts)
    shares = {
        name: _summed(vectors, combination, parts, where) for name, where in (layout.parts if layout else {}).items()
    }
    return [
        [
            Reason(
                distinct[place].source,
                distinct[place].kind,
                float(own[place]),
                parts={name: float(share[number, place]) for name, share in shares.items()},
            )
            for place in np.argsort(-np.abs(own), kind="stable").tolist()
        ]
        for number, own in enumerate(amounts)
    ]


def _summed(
    vectors: np.ndarray, combination: Combination, parts: Sequence[Part], where: slice = slice(None)
) -> np.ndarray:
    """Return what each different part adds to the score of each vector: [m, different parts], float64."""
    place_of = {part: place for place, part in enumerate(dict.fromkeys(parts))}
    summed = np.zeros((len(vectors), len(place_of)))
    added = combination.contributions(vectors, where)
    np.add.at(summed.T, [place_of[part] for part in parts], added.T)
    return summed


def with_words(
    reasons: Sequence[Reason], text: str, texts: Mapping[str, str], words: InformativeWords
) -> tuple[Reason, ...]:
    """Return ``reasons`` with the words and phrases that the strongest of them share with ``text``.

    ``texts`` holds the text of each item id; a text that was asked for is its own.
    """
    told = []
    for reason in reasons[:_REASONS_WITH_WORDS]:
        own = reason.source if reason.kind == "text" else texts.get(reason.source, "")
        told.append(replace(reason, words=words.shared_phrases(text, own, _PHRASES_SHOWN)))
    return (*told, *reasons[_REASONS_WITH_WORDS:])


def sources_compared(found: Sequence[Sequence[Reason]]) -> set[str]:
    """Return the items of the history whose texts ``with_words`` compares with those of the recommended items."""
    return {reason.source for reasons in found for reason in reasons[:_REASONS_WITH_WORDS] if reason.kind != "text"}


def captions_liked(reasons: Sequence[Reason], captions: Mapping[str, str]) -> str:
    """Return the captions of what was liked among the strongest reasons, as one text, always in the same order."""
    liked = {reason.source for reason in reasons[:_REASONS_WITH_WORDS] if reason.kind == "liked"}
    return "\n".join(captions.get(source, "") for source in sorted(liked))


def in_words(reasons: Sequence[Reason]) -> str:
    """Return reasons as a sentence for people; empty where there are none."""
    if not reasons:
        return ""
    told = []
    for reason in reasons[:_REASONS_IN_A_SENTENCE]:
        name = f'the words "{reason.source}"' if reason.kind == "text" else reason.source
        if reason.kind == "disliked":
            name = f"disliked {name}"
        agreed = f"; both: {', '.join(reason.words)}" if reason.words else ""
        told.append(f"{name} ({reason.amount:+.2f}{_told_of_parts(reason)}{agreed})")
    rest = reasons[_REASONS_IN_A_SENTENCE:]
    if rest:
        told.append(f"{len(rest)} more ({sum(reason.amount for reason in rest):+.2f})")
    return "Because of " + ", ".join(told) + "."


def _told_of_parts(reason: Reason) -> str:
    """Return what an amount is the sum of, the largest first, without what rounds to nothing."""
    parts = sorted(reason.parts.items(), key=lambda part: -abs(part[1]))
    shown = [f"{name} {amount:+.2f}" for name, amount in parts if abs(amount) >= _LEAST_SHOWN]
    return f": {', '.join(shown)}" if shown else ""
