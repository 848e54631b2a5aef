"""Which words of an item are encoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, NewType

from vlm4rec_edge.errors import UsageError

# What ``check_encoded_text`` returns: "caption", "title", "title_caption", or "weighted:" and the share of the title.
# "title_caption" is "title. caption", what the paper's reference code feeds its encoder as "LLaVA text".
EncodedText = NewType("EncodedText", str)

CAPTION, TITLE, TITLE_CAPTION = EncodedText("caption"), EncodedText("title"), EncodedText("title_caption")
# The kinds that have no number.
PLAIN_KINDS = (CAPTION, TITLE, TITLE_CAPTION)
_WEIGHTED = "weighted"
# Of a new index: the title says most, and captions order what equal titles leave equal.
DEFAULT_SHARE = 0.9
DEFAULT_TEXT = EncodedText(f"{_WEIGHTED}:{DEFAULT_SHARE!r}")

# Between the texts of an item's photos: the record separator of ASCII, which no caption holds.
SEPARATOR = "\x1e"
# Before the share, the title and the captions of a weighted text: the group separator. No other text begins with it.
_GROUP = "\x1d"


class TextPart(NamedTuple):
    """Some of the texts of an item, and how much the mean of their vectors counts in the item's vector."""

    weight: float
    texts: tuple[str, ...]


class CountsTitles:
    """What tells how many items there are, and how many of them have no title."""

    items: int
    without_title: int

    @property
    def captions_alone(self) -> bool:
        """Whether no item has a title, so that all are compared by their captions alone, whatever was to be encoded."""
        return 0 < self.items == self.without_title


def check_encoded_text(name: str) -> EncodedText:
    """Return ``name`` in its one form, if it is one of the choices: ``weighted`` is ``weighted:0.9``.

    Raises:
        UsageError: it is not, or the share that it gives to the title is not above 0 and below 1.
    """
    kind, colon, share = str(name).partition(":")
    if kind == _WEIGHTED:
        return weighted(_share(name, share)) if colon else DEFAULT_TEXT
    if name not in PLAIN_KINDS:
        raise UsageError(
            f"{name!r} cannot be encoded; choose one of {', '.join(PLAIN_KINDS)}, {_WEIGHTED} or {_WEIGHTED}:SHARE, with the "
            f"share of the title, such as {DEFAULT_TEXT}."
        )
    return EncodedText(name)


def _share(name: str, given: str) -> float:
    try:
        share = float(given)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise UsageError(
            f"{name!r} needs a share of the title above 0 and below 1, such as {DEFAULT_TEXT}; for a share of 1 or 0 use "
            f"{TITLE} or {CAPTION}."
        )
    return share


def weighted(share: float) -> EncodedText:
    """Return the kind in which the title counts ``share``, above 0 and below 1, and the captions the rest."""
    return EncodedText(f"{_WEIGHTED}:{share!r}")


def title_share(kind: EncodedText) -> float | None:
    """Return how much the title counts, above 0 and below 1, beside the captions; None if they are not weighted."""
    name, _, share = kind.partition(":")
    return float(share) if name == _WEIGHTED else None


def text_of_item(kind: EncodedText, *, title: str, caption: str) -> str:
    """Return the words of one item that are encoded; empty where the item has nothing of the kind."""
    if kind == TITLE:
        return title
    if title and (kind == TITLE_CAPTION or kind.startswith(_WEIGHTED)):
        return f"{title}. {caption}"
    return caption


def text_of_photos(kind: EncodedText, *, title: str, captions: Sequence[str]) -> str:
    """Return the text by which the vector of an item is known, made of its title and the captions of all its photos.

    Photos that are said to show different things have a text each, with ``SEPARATOR`` between them. Where title and captions
    are weighted, the share of the title and the title stand before the captions; with one of both alone, it is as without
    the other. ``parts_of`` returns what is encoded of it.
    """
    if (share := title_share(kind)) is None:
        return _joined([text_of_item(kind, title=title, caption=caption) for caption in captions or [""]])
    said = _joined(captions or [""])
    if not (title.strip() and said):
        return said or title.lstrip(_GROUP)
    return _GROUP.join(["", repr(share), title.replace(_GROUP, " "), said])


def _joined(texts: Sequence[str]) -> str:
    text = texts[0] if len(set(texts)) == 1 else SEPARATOR.join(texts)
    return text.lstrip(_GROUP)  # or a title could be taken for a weighted text


def parts_of(text: str) -> tuple[TextPart, ...]:
    """Return what is encoded of a text of ``text_of_photos``, the weights adding up to 1."""
    if not text.startswith(_GROUP):
        return (TextPart(1.0, tuple(text.split(SEPARATOR))),)
    _, given, title, captions = text.split(_GROUP, 3)
    share = float(given)
    return TextPart(share, (title,)), TextPart(1 - share, tuple(captions.split(SEPARATOR)))
