"""How far title and caption may count instead: what the vectors of an index would be, to be judged beside the present ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vlm4rec_edge.encoding.checked import encoded, encoded_items
from vlm4rec_edge.encoding.protocol import Encoder
from vlm4rec_edge.encoding.text import TITLE, EncodedText, check_encoded_text, parts_of, text_of_photos
from vlm4rec_edge.store.made_items import made_items
from vlm4rec_edge.store.reader import StoreReader

# How much the title counts beside the caption.
SHARES = (0.9, 0.75, 0.5, 0.25)
# Of more, the present share stays: all titles and captions are encoded for this, hundreds a second, and held in memory.
MOST_ITEMS = 50_000
_BATCH = 256


@dataclass(frozen=True, eq=False)
class OtherTexts:
    """What items could be compared by instead.

    Attributes:
        kind: Which text it is.
        texts: That of each item, in the order of the store's table.
        vectors: Their unit vectors, [items, dimensions], float32.
    """

    kind: EncodedText
    texts: Sequence[str]
    vectors: np.ndarray

    def at(self, positions: np.ndarray) -> np.ndarray:
        """Return the vectors of some items, [n, dimensions]."""
        return np.asarray(self.vectors[positions])


def have_both(store: StoreReader) -> bool:
    """Whether items of an index have both a title and a caption, and are not too many to weigh the two."""
    table = store.table()
    if store.meta.get("encoded_text") == TITLE or len(table.ids) > MOST_ITEMS:
        return False
    return store.count_without_title() < len(table.ids)


def other_texts(
    store: StoreReader, encoder: Encoder, on_start: Callable[[int], Callable[[int], None]] | None = None
) -> list[OtherTexts]:
    """Encode all titles and captions once, and return what each share of the title would make of them.

    Args:
        store: The open index.
        encoder: The one that made its vectors.
        on_start: Called with how many texts are encoded; returns a function that is called with how many are done.

    Raises:
        ModelError: the encoder gives something else than unit vectors.
    """
    place = {item_id: number for number, item_id in enumerate(store.table().ids)}
    made = [item for item in made_items(store) if item.item.id in place]
    made.sort(key=lambda item: place[item.item.id])
    present = store.meta["encoded_text"]
    kinds = [kind for share in SHARES if (kind := check_encoded_text(f"weighted:{share}")) != present]
    texts = {
        kind: [
            text_of_photos(kind, title=item.item.title, captions=[photo.caption for photo in item.photos])
            for item in made
        ]
        for kind in kinds
    }
    parts = dict.fromkeys(part for text in texts[kinds[0]] for own in parts_of(text) for part in own.texts)
    known = _Known(encoder, list(parts), on_start)
    return [OtherTexts(kind, own, encoded_items(known, own)) for kind, own in texts.items()]


class _Known:
    """An encoder that has encoded every text once."""

    def __init__(
        self, encoder: Encoder, texts: Sequence[str], on_start: Callable[[int], Callable[[int], None]] | None
    ) -> None:
        self.identity: Mapping[str, Any] = encoder.identity
        self.dimensions = encoder.dimensions
        self._vectors: dict[str, np.ndarray] = {}
        advance = on_start(len(texts)) if on_start else lambda _: None
        for start in range(0, len(texts), _BATCH):
            batch = texts[start : start + _BATCH]
            self._vectors |= zip(batch, encoded(encoder, batch), strict=True)
            advance(len(self._vectors))

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of texts."""
        return np.stack([self._vectors[text] for text in texts])
