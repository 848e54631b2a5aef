"""Which words of an item are encoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from vlm4rec_edge.errors import UsageError

# "title_caption" is "title. caption", what the paper's reference code feeds its encoder as "LLaVA text".
EncodedText = Literal["caption", "title", "title_caption"]

# Between the texts of an item's photos: the record separator of ASCII, which no caption holds.
SEPARATOR = "\x1e"


def check_encoded_text(name: str) -> EncodedText:
    """Return ``name`` if it is one of the choices.

    Raises:
        UsageError: it is not.
    """
    if name not in get_args(EncodedText):
        raise UsageError(f"{name!r} cannot be encoded; choose one of {', '.join(get_args(EncodedText))}.")
    return name  # type: ignore[return-value]  # just checked


def text_of_item(kind: EncodedText, *, title: str, caption: str) -> str:
    """Return the text to encode for one item; empty where the item has nothing of the kind."""
    if kind == "title":
        return title
    if kind == "title_caption" and title:
        return f"{title}. {caption}"
    return caption


def text_of_photos(kind: EncodedText, *, title: str, captions: Sequence[str]) -> str:
    """Return the text to encode for an item by the captions of all its photos.

    Photos that are said to show different things have a text each, with ``SEPARATOR`` between them; see ``encoded_items``.
    """
    texts = [text_of_item(kind, title=title, caption=caption) for caption in captions or [""]]
    return texts[0] if len(set(texts)) == 1 else SEPARATOR.join(texts)
