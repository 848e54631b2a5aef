"""The online half: open an index once, then answer from histories, items or words."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from vlm4rec_edge.errors import StoreError, UnknownItemError, UsageError
from vlm4rec_edge.index import EXACT_LIMIT, VectorIndex
from vlm4rec_edge.recommend.profile import mean_profile
from vlm4rec_edge.recommend.source import ItemSource, open_source

if TYPE_CHECKING:
    from vlm4rec_edge.encoding.encoder import Encoder

# When too few of the best rows may be shown, so many times more are looked at.
_WIDEN = 4
# An id that is nearly right is worth naming, if the catalog is small enough to look through.
_LOOK_FOR_SIMILAR_IDS = 20_000


@dataclass(frozen=True)
class Recommendation:
    """One answer: the item, its rank from 1, and its score, the cosine between profile and item (-1 to 1)."""

    rank: int
    item_id: str
    score: float
    title: str
    caption: str
    image: str
    attributes: Mapping[str, str]


class Recommender:
    """An open index; a context manager. Loads no model unless ``search`` is called.

    Example:
        >>> with Recommender.open("shop.index") as shop:  # doctest: +SKIP
        ...     for hit in shop.recommend(["shirt-1", "shoe-7"], k=5):
        ...         print(hit.item_id, hit.score)
    """

    def __init__(self, store: ItemSource, index: VectorIndex) -> None:
        self._store = store
        self._index = index
        self._encoder: Encoder | None = None

    @classmethod
    def open(cls, folder: Path | str, *, exact_limit: int = EXACT_LIMIT) -> Recommender:
        """Open the index at ``folder``.

        Args:
            folder: What ``build_index`` or ``vlm4rec-edge index`` made.
            exact_limit: Up to so many vectors are scanned exactly; beyond, HNSW answers.

        Raises:
            StoreError: there is no index, or it is damaged or empty.
        """
        return cls(*open_source(folder, exact_limit=exact_limit))

    @property
    def store(self) -> ItemSource:
        """The store behind this index."""
        return self._store

    @property
    def method(self) -> str:
        """``exact`` or ``hnsw``: how this index is searched."""
        return self._index.name

    def unknown(self, item_ids: Sequence[str]) -> list[str]:
        """Return those of ``item_ids`` that the index does not hold, in order."""
        known = self._store.rows_of(item_ids)
        return [item_id for item_id in dict.fromkeys(item_ids) if item_id not in known]

    def recommend(self, history: Sequence[str], k: int = 10, *, skip_unknown: bool = False) -> list[Recommendation]:
        """Return the ``k`` items nearest to the mean of a history, the history itself left out.

        Args:
            history: Item ids; an id given twice counts twice in the mean.
            k: How many; fewer come back only where the catalog has no more.
            skip_unknown: Recommend from the known ids instead of refusing when some are unknown.

        Raises:
            UnknownItemError: an id is unknown (or, with ``skip_unknown``, every one is).
            UsageError: the history is empty, ``k`` is below 1, or the items cancel each other out.
        """
        if not history:
            raise UsageError("The history is empty; give at least one item id.")
        rows = self._store.rows_of(history)
        unknown = [item_id for item_id in dict.fromkeys(history) if item_id not in rows]
        if unknown and (not skip_unknown or not rows):
            raise UnknownItemError(self._unknown_message(unknown))
        try:
            profile = mean_profile(self._store.vectors_at([rows[item_id] for item_id in history if item_id in rows]))
        except ValueError as error:
            raise UsageError(str(error)) from None
        return self._nearest(profile, k, excluded=set(rows))

    def similar(self, item_id: str, k: int = 10) -> list[Recommendation]:
        """Return the ``k`` items nearest to one item, itself left out.

        Raises:
            UnknownItemError: the id is unknown.
            UsageError: ``k`` is below 1.
        """
        return self.recommend([item_id], k)

    def search(self, text: str, k: int = 10, *, encoder: Encoder | None = None) -> list[Recommendation]:
        """Return the ``k`` items nearest to a text.

        Args:
            text: What is looked for, in words.
            k: How many.
            encoder: The encoder that made this index; default: found by the name noted in the index.

        Raises:
            StoreError: ``encoder`` is another one than made the index.
            ModelError: the encoder noted in the index is not on this machine.
            UsageError: the text is empty or ``k`` is below 1.
        """
        if not text.strip():
            raise UsageError("The search text is empty; say what you look for.")
        return self._nearest(self._encoder_for_search(encoder).encode([text])[0], k, excluded=())

    def _encoder_for_search(self, encoder: Encoder | None) -> Encoder:
        if encoder is None:
            if self._encoder is None:
                from vlm4rec_edge.encoding.encoder import Encoder
                from vlm4rec_edge.models.resolve import resolve_encoder

                # Looking one text up is too small for a GPU to be worth its start.
                self._encoder = Encoder(resolve_encoder(self._store.provenance("encoders")["name"]), device="cpu")
            encoder = self._encoder
        if encoder.fingerprint != self._store.meta["encoder"]:
            raise StoreError(
                f"The index {self._store.folder} was made by another encoder or another version of it than "
                f"{encoder.files.name}; give the right one with --encoder, or index again with this one."
            )
        return encoder

    def _nearest(self, query: np.ndarray, k: int, *, excluded: Collection[str]) -> list[Recommendation]:
        """Look at ever more rows until ``k`` items are found: rows may be excluded, shared by items, or orphaned."""
        if k < 1:
            raise UsageError(f"k is {k}; ask for at least 1 item.")
        total = self._store.rows
        looked_at = min(k + len(excluded), total)
        while True:
            rows, scores = self._index.top(query, looked_at)
            ids = self._store.ids_at(rows.tolist())
            found = [
                (score, item_id)
                for row, score in zip(rows.tolist(), scores.tolist(), strict=True)
                for item_id in ids.get(row, ())
                if item_id not in excluded
            ]
            if len(found) >= k or looked_at >= total:
                break
            looked_at = min(looked_at * _WIDEN, total)
        items = self._store.items_of([item_id for _, item_id in found[:k]])
        return [
            Recommendation(rank, item.id, score, item.title, item.caption, item.image, item.attributes)
            for rank, (score, item) in enumerate(((score, items[item_id]) for score, item_id in found[:k]), start=1)
        ]

    def _unknown_message(self, unknown: Sequence[str]) -> str:
        message = f"The index {self._store.folder} holds no item {', '.join(map(repr, unknown[:5]))}"
        if len(unknown) > 5:
            message += f" and {len(unknown) - 5} more"
        if self._store.count() <= _LOOK_FOR_SIMILAR_IDS:
            near = difflib.get_close_matches(unknown[0], [item.id for item in self._store.items()], n=3)
            if near:
                return f"{message}; did you mean {' or '.join(map(repr, near))}?"
        return f"{message}; `vlm4rec-edge info` shows what it holds."

    def close(self) -> None:
        """Let go of the index and of the encoder, if one was loaded."""
        if self._encoder is not None:
            self._encoder.close()
        self._store.close()

    def __enter__(self) -> Recommender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
