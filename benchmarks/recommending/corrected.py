"""Captions with their mistakes corrected, one kind of mistake at a time: what each of them costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from captioning.reading import Reader, Said
from words import Words, audience_word, colour_word, kind_word, pattern_word, visible_details

CAPTION, FIRST, ALL = "caption", "first sentence", "all four"
# What a caption says in its first sentence, and the column of the catalog that knows better.
ATTRIBUTES: Mapping[str, str] = {"kind": "type", "colour": "colour", "pattern": "appearance", "audience": "audience"}
COLUMNS = (*ATTRIBUTES.values(), "colour_family", "description")


def said_and_true(rows: Sequence[Mapping[str, str]], captions: Sequence[str]) -> list[tuple[Said, Said]]:
    """Return what each caption's first sentence says, and what the catalog (``COLUMNS``) knows; nothing of an empty one."""
    reader = Reader(rows)
    return [
        (reader.read(caption), Said(**{name: row[column] for name, column in ATTRIBUTES.items()}))
        for row, caption in zip(rows, captions, strict=True)
    ]


def corrected_texts(
    rows: Sequence[Mapping[str, str]], captions: Sequence[str], pairs: Sequence[tuple[Said, Said]]
) -> dict[str, list[str]]:
    """Return the texts of all items by what is right in them, the captions themselves first.

    Args:
        rows: The catalog, with ``COLUMNS``.
        captions: What was said of each item, empty where nothing was.
        pairs: Of ``said_and_true``.
    """
    own = [caption.partition(". ")[2] for caption in captions]
    right = [visible_details(row["description"]) for row in rows]
    nothing = [""] * len(rows)

    def texts(first: Callable[[Said, Said], Said], details: Sequence[str]) -> list[str]:
        return [_sentence(first(*pair), rest) for pair, rest in zip(pairs, details, strict=True)]

    def with_truth(name: str) -> Callable[[Said, Said], Said]:
        return lambda says, knows: replace(says, **{name: getattr(knows, name)})

    return {
        CAPTION: list(captions),
        FIRST: texts(lambda says, _: says, nothing),
        **{f"{FIRST}, {name} corrected": texts(with_truth(name), nothing) for name in ATTRIBUTES},
        f"{FIRST}, all four corrected": texts(lambda _, knows: knows, nothing),
        "caption, all four corrected": texts(lambda _, knows: knows, own),
        "caption, details corrected": texts(lambda says, _: says, right),
        "caption, everything corrected": texts(lambda _, knows: knows, right),
        "the shop's description": [row["description"].strip() for row in rows],
    }


def shares_right(captions: Sequence[str], pairs: Sequence[tuple[Said, Said]]) -> dict[str, float]:
    """Return for each of ``ATTRIBUTES`` the share of the captions that are right about it, and about ``ALL`` of them."""
    pairs = [pair for caption, pair in zip(captions, pairs, strict=True) if caption]
    right = np.array([[getattr(said, name) == getattr(true, name) for name in ATTRIBUTES] for said, true in pairs])
    return dict(zip(ATTRIBUTES, right.mean(axis=0).tolist(), strict=True)) | {ALL: float(right.all(axis=1).mean())}


def _sentence(said: Said, details: str) -> str:
    words = (kind_word(said.kind), colour_word(said.colour), pattern_word(said.pattern), audience_word(said.audience))
    return Words(*words, details).sentence()
