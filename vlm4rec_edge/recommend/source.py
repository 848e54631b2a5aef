"""What recommending reads, whatever form it was shipped in, and how a path becomes such a source."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from vlm4rec_edge.columns import ItemTable
from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.given import Place, is_table_address, path_of
from vlm4rec_edge.index import Found, VectorIndex
from vlm4rec_edge.items import StoredItem
from vlm4rec_edge.mixture import Layout, Weights, as_query

if TYPE_CHECKING:
    from vlm4rec_edge.models.resolve import EncoderFiles
    from vlm4rec_edge.recommend.where import Expression


class ItemSource(Protocol):
    """The items and vectors of one moment, to be read by several threads at once.

    Vectors lie in rows 0 to ``rows`` - 1. Several items may share a row, and a row may have no item.
    """

    @property
    def folder(self) -> Place:
        """What was opened, for messages."""

    @property
    def meta(self) -> Mapping[str, str]:
        """Notes of the writer; ``encoder`` (fingerprint) and ``encoded_text`` are read here."""

    @property
    def layout(self) -> Layout | None:
        """Where the parts of a vector lie, if it is mixed with what was learned from purchases; None if it is not."""

    @property
    def representation(self) -> str:
        """By what items are compared: ``words``, ``learned`` (words and purchases), or ``photos``."""

    @property
    def keeps_photo_vectors(self) -> bool:
        """Whether items can be compared by their photos."""

    @property
    def learned(self) -> Mapping[str, Any]:
        """Facts about what was learned from purchases (``docs/explanation/learning.md``); empty if nothing was."""

    @property
    def space(self) -> str:
        """A fingerprint: vectors with the same one may be compared."""

    @property
    def rows(self) -> int:
        """How many vectors there are."""

    @property
    def dimensions(self) -> int:
        """Length of a vector."""

    def vectors_at(self, rows: np.ndarray | Sequence[int]) -> np.ndarray:
        """Return the vectors of ``rows``, shape [len(rows), dimensions], float32, unit length, in this order."""

    def rows_of(self, item_ids: Iterable[str]) -> dict[str, int]:
        """Return the row of each id that is known; unknown ids (any text may come) are left out."""

    def ids_at(self, rows: Sequence[int]) -> dict[int, list[str]]:
        """Return the ids of the items of each row, ordered by code point; rows without an item are left out."""

    def items_of(self, item_ids: Sequence[str]) -> dict[str, StoredItem]:
        """Return the items of those ids that are known."""

    def ids(self) -> Iterator[str]:
        """Yield the id of every item, in the order of ``items``."""

    def items(self) -> Iterator[StoredItem]:
        """Yield every item."""

    def count(self) -> int:
        """Return how many items there are."""

    def count_without_title(self) -> int:
        """Return how many of them have no title, or one of spaces; their other columns are not read for it."""

    def table(self) -> ItemTable:
        """Return all items as columns; read when first asked for, and kept."""

    def thumbnail(self, item_id: str) -> bytes | None:
        """Return the small JPEG picture that came with an item, or None if none did."""

    def provenance(self, table: str) -> dict[str, Any]:
        """Return what made the captions (``groundings``) or the vectors (``encoders``); empty if nothing."""

    def encoder_files(self) -> EncoderFiles | None:
        """Return the encoder that came with the items, checked, or None if none did."""

    @property
    def lvlm_folder(self) -> Path | None:
        """The folder of the vision-language model that came with the items, or None if none did."""

    def close(self) -> None:
        """Let go of all files."""


@runtime_checkable
class FilteringSource(Protocol):
    """What a source offers whose back end decides filters: then nobody reads a table of all items for them.

    The index that is opened with it is a ``FilteringIndex``.
    """

    def condition(self, tree: Expression) -> str | None:
        """Return a filter in the language of the back end, or None where it cannot say exactly the same."""

    def ids_where(self, condition: str, among: Collection[str] | None = None) -> Iterable[str]:
        """Return the ids of the items that fulfil a condition; of ``among``, unless it is None."""


class FilteringIndex(VectorIndex, Protocol):
    """An index that searches among the rows that fulfil a condition."""

    def top_where(self, query: np.ndarray, count: int, condition: str) -> Found:
        """Return what ``top`` returns of the rows that fulfil a condition of ``FilteringSource``."""


def generation_of(place: Place) -> str:
    """Return a text that is another one after every change of what lies at ``place``, without opening more than that needs."""
    if is_table_address(place):
        from vlm4rec_edge.lance.database import generation as of_table

        return of_table(place)
    path = path_of(place, "An index")
    from vlm4rec_edge.bundle.container import generation as of_bundle
    from vlm4rec_edge.bundle.container import is_bundle

    if is_bundle(path):
        return of_bundle(path)
    from vlm4rec_edge.store.generation import generation as of_store

    return of_store(path)


def query_vectors(source: ItemSource, rows: np.ndarray | Sequence[int]) -> np.ndarray:
    """Return vectors of items as a query is made of them: [n, dimensions], float32. Mixed ones go without their pad."""
    vectors = source.vectors_at(rows)
    return vectors if source.layout is None else as_query(vectors)


def as_asked(source: ItemSource, vector: np.ndarray) -> np.ndarray:
    """Return a vector of a text [dimensions of the encoder], or of this space, as a query.

    A text has nothing but content. It is made as long as lets it count beside a history as it does where nothing was learned.
    """
    if source.layout is None:
        return vector
    if len(vector) == source.layout.content:  # nobody ever bought it
        longer = vector / Weights(**source.learned["weights"]).of_content
        return np.pad(longer, (0, source.layout.dimensions - len(vector)))
    return as_query(vector)


def open_source(
    place: Place,
    *,
    exact_limit: int | None = None,
    backend: str | None = None,
    words_alone: bool = False,
    photos_alone: bool = False,
) -> tuple[ItemSource, VectorIndex]:
    """Open what lies at ``place``, and the index that searches its vectors.

    The one place that distinguishes kinds of sources. With ``words_alone`` the vectors are those of the texts, whatever was
    learned from purchases; with ``photos_alone`` they are those of the photos, which are scanned.

    Raises:
        StoreError: there is nothing to read, or it is damaged or empty.
        UsageError: ``place`` is no path and no address, or it holds no vectors of the words or of the photos alone.
    """
    if words_alone and photos_alone:
        raise UsageError("Items are compared by titles and captions alone or by photos alone, not by both.")
    if is_table_address(place):
        return _open_table(place, exact_limit, words_alone=words_alone, photos_alone=photos_alone)
    path = path_of(place, "An index")
    from vlm4rec_edge.bundle.container import is_bundle

    if is_bundle(path):
        from vlm4rec_edge.bundle.reader import BundleReader

        bundle = BundleReader(path)
        if photos_alone:
            bundle.close()
            raise UsageError(f"The bundle {path} holds no vectors of photos; use the index that it was made from.")
        if words_alone and bundle.layout is not None:
            bundle.close()
            raise UsageError(
                f"The bundle {path} holds no vectors of titles and captions alone; use the index that it was made from."
            )
        return bundle, bundle.vectors
    # A device that only reads bundles needs no SQLite, and who reads an index no bundles.
    from vlm4rec_edge.index import open_index
    from vlm4rec_edge.store.reader import StoreReader
    from vlm4rec_edge.store.trouble import holds_nothing

    if photos_alone:
        from vlm4rec_edge.index import ExactIndex
        from vlm4rec_edge.store.photo_reader import PhotoReader

        photos = PhotoReader(path, mapped=True)
        return photos, ExactIndex(photos.vectors)
    store = StoreReader(path, mapped=True, content=words_alone)
    if store.is_empty():
        store.close()
        raise holds_nothing(path)
    return store, open_index(store, exact_limit=exact_limit, backend=backend)


def _open_table(
    address: str, exact_limit: int | None, *, words_alone: bool, photos_alone: bool
) -> tuple[ItemSource, VectorIndex]:
    """Open the table of an address; errors as ``open_source``."""
    from vlm4rec_edge.lance.reader import LanceReader
    from vlm4rec_edge.lance.search import LanceIndex

    table = LanceReader(address)
    if photos_alone or (words_alone and table.layout is not None):
        table.close()
        kind = "photos" if photos_alone else "titles and captions alone"
        raise UsageError(f"The table {address} holds no vectors of {kind}; use the index that it was made from.")
    return table, LanceIndex(table, exact_limit)
