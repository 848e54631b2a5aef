"""Captions with their mistakes put right, one kind of mistake at a time: what each of them costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from captioning.reading import Reader, Said
from words import Words, audience_word, colour_word, kind_word, pattern_word, visible_details

CAPTION = "caption"
# What a caption says in its first sentence, and the column of the catalog that knows better.
ATTRIBUTES: Mapping[str, str] = {"kind": "type", "colour": "colour", "pattern": "appearance", "audience": "audience"}
COLUMNS = (*ATTRIBUTES.values(), "colour_family", "description")


def corrected_texts(rows: Sequence[Mapping[str, str]], captions: Sequence[str]) -> dict[str, list[str]]:
    """Return the texts of all items by what is right in them, the captions themselves first.

    Args:
        rows: The catalog, with ``COLUMNS``.
        captions: What was said of each item, empty where nothing was.
    """
    reader = Reader(rows)
    said = [reader.read(caption) for caption in captions]
    true = [truth(row) for row in rows]
    own = [caption.partition(". ")[2] for caption in captions]
    right = [visible_details(row["description"]) for row in rows]
    nothing = [""] * len(rows)

    def texts(first: Callable[[Said, Said], Said], details: Sequence[str]) -> list[str]:
        return [_sentence(first(*pair), rest) for pair, rest in zip(zip(said, true, strict=True), details, strict=True)]

    def with_truth(name: str) -> Callable[[Said, Said], Said]:
        return lambda says, knows: replace(says, **{name: getattr(knows, name)})

    return {
        CAPTION: list(captions),
        "first sentence": texts(lambda says, _: says, nothing),
        **{f"first sentence, {name} put right": texts(with_truth(name), nothing) for name in ATTRIBUTES},
        "first sentence, all four put right": texts(lambda _, knows: knows, nothing),
        "caption, all four put right": texts(lambda _, knows: knows, own),
        "caption, details put right": texts(lambda says, _: says, right),
        "caption, everything put right": texts(lambda _, knows: knows, right),
        "the shop's description": [row["description"].strip() for row in rows],
    }


def shares_right(rows: Sequence[Mapping[str, str]], captions: Sequence[str]) -> dict[str, float]:
    """Return for each of ``ATTRIBUTES`` the share of the captions that are right about it."""
    reader = Reader(rows)
    pairs = [(reader.read(caption), truth(row)) for row, caption in zip(rows, captions, strict=True) if caption]
    return {
        name: sum(getattr(said, name) == getattr(true, name) for said, true in pairs) / max(len(pairs), 1)
        for name in ATTRIBUTES
    }


def truth(row: Mapping[str, str]) -> Said:
    """Return what a perfect first sentence would say of a row of the catalog."""
    return Said(**{name: row[column] for name, column in ATTRIBUTES.items()})


def _sentence(said: Said, details: str) -> str:
    words = (kind_word(said.kind), colour_word(said.colour), pattern_word(said.pattern), audience_word(said.audience))
    return Words(*words, details).sentence()
