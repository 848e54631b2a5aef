"""The figures of one model on one set: what is right, how near the captions are to the texts, and how they are made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from captioning.drawn_facts import Told, compare, figures
from captioning.intervals import Figure, mean, share
from captioning.reading import COLUMNS, Reader, Said, women_as_one
from captioning.seen_words import Agreement, agreement
from captioning.sets import PhotoSet, truth_of_row
from vlm4rec_edge import OnnxEncoder

_SHUFFLE_SEED = 0
# A caption that says four words in a row twice has lost its way.
_REPEATED = 4


@dataclass(frozen=True)
class Figures:
    """What was measured of one row of the table on one set.

    ``right`` has for each column the outcome of every case: 1 right, 0 wrong, -1 where there is no truth.
    """

    model: str
    photos: PhotoSet
    said: Sequence[Said]
    right: Mapping[str, np.ndarray]
    captions: Sequence[str] = ()
    cosines: Mapping[str, np.ndarray] = field(default_factory=dict)
    words: Mapping[str, Agreement] = field(default_factory=dict)

    def share(self, column: str) -> Figure | None:
        """Return the share of cases that are right in a column; None where the set has no truth of it."""
        outcomes = self.right[column]
        return share(int((outcomes == 1).sum()), int((outcomes >= 0).sum()))

    def cosine(self, to: str) -> Figure | None:
        """Return the mean cosine to ``description``, ``shuffled`` or ``sentence``; None where the set has no such text."""
        return mean(self.cosines[to]) if to in self.cosines else None

    @property
    def read(self) -> Figure | None:
        """The share of captions whose first sentence was understood."""
        return share(sum(said.is_read for said in self.said), len(self.said))

    @property
    def told(self) -> list[Told]:
        """How each caption of a drawing compares with what is drawn; empty for photos, and where nothing was said."""
        if not self.captions:
            return []
        first = (self.right["kind"] == 1) & (self.right["colour"] == 1)
        return [
            compare(caption.partition(". ")[2], case.facts, first_right=bool(right))
            for caption, case, right in zip(self.captions, self.photos.cases, first, strict=True)
            if case.facts
        ]

    @property
    def manner(self) -> dict[str, float]:
        """How the captions are: distinct (share), words (mean), repeating (share), missing (count)."""
        there = [caption for caption in self.captions if caption]
        count = max(len(there), 1)
        return {
            "distinct": len(set(there)) / count,
            "words": sum(len(caption.split()) for caption in there) / count,
            "repeating": sum(map(repeats, there)) / count,
            "missing": len(self.captions) - len(there),
        }

    def json(self) -> dict[str, Any]:
        """Return all of it as numbers."""
        shares = {column: figure.json() for column in COLUMNS if (figure := self.share(column))}
        found: dict[str, Any] = {
            "model": self.model,
            "set": self.photos.name,
            "photos": len(self.said),
            "right": shares,
        }
        if self.captions and self.told:
            found["facts"] = {name: figure.json() for name, figure in figures(self.told).items() if figure}
        if self.captions:
            found["read"] = self.read.json() if self.read else None
            found["cosine"] = {to: figure.json() for to in self.cosines if (figure := self.cosine(to))}
            found |= {name: round(value, 4) for name, value in self.manner.items()}
            found["seen words"] = {name: one.json() for name, one in self.words.items()}
        return found


class Texts:
    """Vectors of texts by the package's own encoder, each text encoded once."""

    def __init__(self, encoder: OnnxEncoder) -> None:
        self._encoder = encoder
        self._vectors: dict[str, np.ndarray] = {}

    def cosines(self, left: Sequence[str], right: Sequence[str]) -> np.ndarray:
        """Return the cosine of each pair, [len(left)], float32; 0 where a text is empty."""
        new = sorted({*left, *right} - self._vectors.keys() - {""})
        self._vectors.update(zip(new, self._encoder.encode_stream(new), strict=True))
        return np.array(
            [
                self._vectors[one] @ self._vectors[other] if one and other else 0
                for one, other in zip(left, right, strict=True)
            ],
            dtype=np.float32,
        )


def figures_of(model: str, photos: PhotoSet, captions: Sequence[str], reader: Reader, texts: Texts) -> Figures:
    """Return the figures of captions, one for each case of a set; an empty one was not made and is right in nothing."""
    said = [reader.read(caption) for caption in captions]
    cosines: dict[str, np.ndarray] = {}
    words: dict[str, Agreement] = {}
    told = [
        (caption, case.description) for caption, case in zip(captions, photos.cases, strict=True) if case.description
    ]
    if told:
        made, descriptions = zip(*told, strict=True)
        shuffled = shuffle(descriptions)
        cosines["description"] = texts.cosines(made, descriptions)
        cosines["shuffled"] = texts.cosines(made, shuffled)
        words = agreement(made, descriptions, shuffled)
    told = [(caption, case.sentence) for caption, case in zip(captions, photos.cases, strict=True) if case.sentence]
    if told:
        cosines["sentence"] = texts.cosines(*zip(*told, strict=True))
    return Figures(model, photos, said, outcomes(photos, said), captions, cosines, words)


def outcomes(photos: PhotoSet, said: Sequence[Said]) -> dict[str, np.ndarray]:
    """Return per column [cases], int8: 1 right, 0 wrong, -1 no truth."""
    found = {column: np.full(len(said), -1, np.int8) for column in COLUMNS}
    for at, (case, one) in enumerate(zip(photos.cases, said, strict=True)):
        columns = photos.columns(one)
        for column in COLUMNS:
            if case.truth[column]:
                found[column][at] = columns[column] in case.truth[column]
    return found


def majority_class(rows: Iterable[Mapping[str, str]], photos: PhotoSet) -> Figures:
    """Return the figures of one answer for all photos: in each column the most frequent value of a training catalog."""
    counts = {column: Counter[str]() for column in COLUMNS}
    for row in rows:
        for column, values in truth_of_row(row).items():
            counts[column].update(values)
    answer = {column: count.most_common(1)[0][0] if count else "" for column, count in counts.items()}
    said = Said(answer["kind"], answer["colour"], answer["pattern"], answer["audience"], answer["colour family"])
    right = outcomes(photos, [said] * len(photos.cases))
    # The most frequent group need not be that of the most frequent kind; the same goes for joint audiences.
    apart = {"group": answer["group"], "audience, women as one": women_as_one(answer["audience, women as one"])}
    for column, value in apart.items():
        for at, case in enumerate(photos.cases):
            if case.truth[column]:
                right[column][at] = value in case.truth[column]
    return Figures("majority class", photos, [said] * len(photos.cases), right)


def difference(one: Figures, other: Figures) -> dict[str, Figure]:
    """Return one model's figures minus another's on the same photos, with paired bootstrap intervals."""
    found = {}
    for column in COLUMNS:
        told = one.right[column] >= 0
        if figure := mean(one.right[column][told].astype(np.float32) - other.right[column][told]):
            found[column] = figure
    for to in ("description", "sentence"):
        mine, theirs = one.cosines.get(to), other.cosines.get(to)
        if mine is not None and theirs is not None and (figure := mean(mine - theirs)):
            found[f"cosine to {to}"] = figure
    return found


def shuffle(texts: Sequence[str]) -> list[str]:
    """Return the texts in another order, the same one every time."""
    return [texts[at] for at in np.random.default_rng(_SHUFFLE_SEED).permutation(len(texts))]


def repeats(caption: str) -> bool:
    """Return whether a caption says four words in a row twice."""
    words = caption.lower().split()
    runs = [tuple(words[at : at + _REPEATED]) for at in range(len(words) - _REPEATED + 1)]
    return len(set(runs)) < len(runs)
