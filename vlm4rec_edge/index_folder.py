"""One index folder, opened to be changed or looked after: ``update``, ``add``, ``remove``, ``learn``, ``verify``, ``repair``.

Each job is a function of ``vlm4rec_edge.indexing``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from vlm4rec_edge.catalog.layouts import CatalogColumns
from vlm4rec_edge.catalog.reader import Catalog
from vlm4rec_edge.catalog.web.cache import WebPhotoCache
from vlm4rec_edge.encoding.protocol import Encoder
from vlm4rec_edge.encoding.text import EncodedText
from vlm4rec_edge.given import path_of
from vlm4rec_edge.grounding.protocol import Captioner
from vlm4rec_edge.indexing.access import FolderAccess
from vlm4rec_edge.indexing.add import add_items
from vlm4rec_edge.indexing.learn import forget_learned, learn_and_keep
from vlm4rec_edge.indexing.remembered import (
    captioner_as_before,
    columns_as_before,
    encoded_text_as_before,
    encoder_as_before,
)
from vlm4rec_edge.indexing.remove import RemoveReport, remove_items
from vlm4rec_edge.indexing.repair import RepairReport, repair_index, verify_index
from vlm4rec_edge.indexing.report import IndexReport, OnProgress
from vlm4rec_edge.indexing.update import update_index
from vlm4rec_edge.items import Item, item_id
from vlm4rec_edge.recommend.ids import KnownIds
from vlm4rec_edge.store.check import VerifyReport
from vlm4rec_edge.store.reader import StoreReader

if TYPE_CHECKING:
    from vlm4rec_edge.interactions import InteractionColumns, Interactions
    from vlm4rec_edge.learning.learning import OnStart
    from vlm4rec_edge.learning.report import LearnReport


class IndexFolder:
    """An index folder; a context manager.

    What changes it is done under the writer's lock, which is taken before the index is read. Inside of a ``with`` it is
    kept until the end, so that no other process writes between two calls; outside, each call releases it. Reading needs
    no lock.

    Any thread may call it, and the calls are done one after the other. ``on_progress`` may read the index, but not change it.

    Args:
        folder: The folder; made by the first ``update`` if it is not there.

    Raises:
        UsageError: ``folder`` is not a path.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = path_of(folder, "An index")
        self._access = FolderAccess(self.folder)

    def update(
        self,
        catalog: Path | str | Iterable[Any] | Catalog,
        *,
        captioner: Captioner | None = None,
        encoder: Encoder | None = None,
        encoded_text: str | None = None,
        remake: bool = False,
        prune: bool = False,
        prune_anyway: bool = False,
        fetch: WebPhotoCache | None = None,
        index_backend: str | None = None,
        on_progress: OnProgress | None = None,
        on_fetched: Callable[[int], None] | None = None,
    ) -> IndexReport:
        """Caption, encode and store every item of a catalog; what is there already is not done again.

        Ctrl-C stops the run cleanly: what is finished is stored, and the report says ``interrupted``.

        Args:
            catalog: A folder of photos, a table, an iterable of items, a DataFrame, or an opened catalog.
            captioner: Default: the one that made the captions, with the settings it had; for a new index the embedded
                vision-language model, in a process of its own. One opened with ``photo_vectors=True`` has the index keep a
                vector of each photo as well, for ``learn``; photos that lack one are encoded again, without being captioned.
                ``ImportedCaptions`` takes captions from a table instead.
                Not used when only titles are encoded.
            encoder: Default: the one that made the vectors; for a new index the embedded one.
            encoded_text: ``weighted`` (the mean of the vectors of title and captions, the title counting 0.9;
                ``weighted:0.75`` is another share), ``title``, ``caption`` or ``title_caption`` (both as one text). An item
                without a title is known by its captions, except for ``title``. Default: as the index was made;
                ``weighted`` for a new one.
            remake: Whether an index may be made in another way than it was made, which replaces captions or vectors.
            prune: Remove items that the catalog no longer has; not if a part of it could not be read, and not if they are
                more than 20 and more than a tenth of the index: then the report names them in ``not_removed``. What is
                removed keeps its caption and its vector until the next run.
            prune_anyway: Remove them, however many they are.
            fetch: Fetch photos that the catalog names by web address; ``WebPhotoCache(folder / "photos")`` is where they
                belong. Without it, only those that were fetched by an earlier run are used.
            index_backend: What searches the index above 20,000 vectors: ``hnsw``, ``exact`` (a scan), or the name of an
                installed plug-in; the index keeps it. Default: as before; ``hnsw`` for a new index.
            on_progress: Called in this thread.
            on_fetched: Called in this thread with how many photos were fetched, or could not be.

        Raises:
            RemakeError: the index was made in another way, and ``remake`` is not given; it holds what that would cost.
            CatalogError, ModelError, DeviceError, MissingDependencyError, StoreError, UsageError: something that stops every
                item; raised before the first photo wherever it can be known. A single bad item is in the report instead.
        """
        return update_index(
            self._access,
            catalog,
            captioner=captioner,
            encoder=encoder,
            encoded_text=encoded_text,
            remake=remake,
            prune=prune,
            prune_anyway=prune_anyway,
            fetch=fetch,
            index_backend=index_backend,
            on_progress=on_progress,
            on_fetched=on_fetched,
        )

    def captioner_as_before(self, model: str | Path | None = None, **settings: Any) -> Captioner:
        """Open the captioner that made the captions, apart from what is given; for ``update``.

        Args:
            model: Another model, which brings its own settings.
            settings: Those of ``open_captioner``; one that is None is as before.

        Raises:
            UsageError: the captions came from a table that is no longer there, or a setting cannot be used.
            StoreError: the index is damaged.
            ModelError, DeviceError, MissingDependencyError: the model is not on this machine, or what runs it.
        """
        with self._access.before() as before:
            return captioner_as_before(before, model, **settings)

    def encoder_as_before(self, name: str | Path | None = None, **settings: Any) -> Encoder:
        """Open the encoder that made the vectors, unless another is given; arguments and errors as ``open_encoder``."""
        with self._access.before() as before:
            return encoder_as_before(before, name, **settings)

    def captioner_name(self) -> str:
        """Return the name of what made the captions; empty for a new index, and where nothing did."""
        with self._access.before() as before:
            return str(before.provenance("groundings").get("name", "")) if before else ""

    def encoded_text(self) -> EncodedText:
        """Return which text becomes the vectors, as the index remembers; ``weighted:0.9`` for a new one."""
        with self._access.before() as before:
            return encoded_text_as_before(before)

    def catalog_columns(self) -> CatalogColumns | None:
        """Return how the columns of the catalog's table were named when the index was made; None if they were not."""
        with self._access.before() as before:
            return columns_as_before(before)

    def add(
        self,
        items: Iterable[Item],
        *,
        captioner: Captioner | None = None,
        encoder: Encoder | None = None,
        on_progress: OnProgress | None = None,
    ) -> IndexReport:
        """Add items to the index, or replace them, with the models, the prompt and the settings it was made with.

        Args:
            items: Each with the path of its photo; its id may be a number.
            captioner: Default: the one that made the captions, found by its name; see ``captioner_of``. It gives photo vectors
                where the index has some.
            encoder: Default: the one that made the vectors, found by its name.
            on_progress: Called in this thread.

        Raises:
            UsageError: these are no items, an id cannot be used, or the captions come from a table.
            StoreError: there is no index, a model is another one than made it, or it no longer knows what made it.
            ModelError, DeviceError, MissingDependencyError: a model cannot be found or used.
        """
        return add_items(self._access, items, captioner=captioner, encoder=encoder, on_progress=on_progress)

    def holds(self, item: Any) -> bool:
        """Whether an item of this id can be recommended.

        Raises:
            UsageError: it is no id.
            StoreError: there is no index, or it is damaged.
        """
        with StoreReader(self.folder) as store:
            return not KnownIds(store).look_up([item_id(item)]).unknown

    def remove(self, ids: Iterable[Any]) -> RemoveReport:
        """Remove items; their captions are kept, should they return.

        Args:
            ids: Texts or whole numbers; compared by their Unicode form NFC.

        Raises:
            StoreError: there is no index, or another process is writing it.
        """
        return remove_items(self._access, ids)

    def learn(
        self,
        interactions: Path | str | Interactions,
        *,
        columns: InteractionColumns | None = None,
        new_items: str = "",
        dry_run: bool = False,
        seed: int = 0,
        encoder: Encoder | None = None,
        on_start: OnStart | None = None,
        on_texts: OnStart | None = None,
    ) -> LearnReport:
        """Learn from purchases what is bought together, if that recommends better than titles and captions alone.

        It is judged on purchases that were held back. What is significantly better is kept, and the index recommends by it
        from then on, new items too; otherwise all stays as it was. Histories are not stored.

        Args:
            interactions: A table as ``read_interactions`` reads it, or interactions.
            columns: What the columns of the table are called, where it is nothing known.
            new_items: A column of the index that marks new items, which count as unknown rather than unpopular.
            dry_run: Evaluate only, and change nothing.
            seed: Of everything random.
            encoder: The one that made the vectors; default: found by its name. Where items have titles and captions, it
                encodes each by itself, so that other shares of the two are judged; without it, the present ones stay.
            on_start: Called with how many users are evaluated; returns a function that is called with how many are done.
            on_texts: The same of texts that are encoded.

        Raises:
            CatalogError, UsageError: the table cannot be read, or holds too little to learn from.
            StoreError: there is no index, or it is empty or being written.
            MissingDependencyError: scipy is not installed.
        """
        return learn_and_keep(
            self._access,
            interactions,
            columns=columns,
            new_items=new_items,
            dry_run=dry_run,
            seed=seed,
            encoder=encoder,
            on_start=on_start,
            on_texts=on_texts,
        )

    def forget_learned(self) -> bool:
        """Recommend by titles and captions alone again; return whether anything had been learned.

        Raises:
            StoreError: there is no index, or another process is writing it.
        """
        return forget_learned(self._access)

    def verify(self) -> VerifyReport:
        """Check every file: database, checksums of captions, items and vectors, lengths, HNSW against exact search.

        Raises:
            StoreError: there is no index. Damage is reported, not raised.
        """
        return verify_index(self.folder)

    def repair(self, *, encoder: Encoder | None = None) -> RepairReport:
        """Make the index whole again.

        A database that SQLite cannot read is salvaged row by row, and the damaged file kept beside it. Captions and items
        that are not what was written are dropped. Vectors are encoded again from the captions, the HNSW graph is rebuilt.

        Args:
            encoder: The one that made it; default: found by the name noted in the index.

        Raises:
            StoreError: there is no index, nothing of it can be read, or another process is writing it.
            ModelError: the encoder is not on this machine.
        """
        return repair_index(self._access, encoder)

    def close(self) -> None:
        """Let other writers in, after the call that is under way in another thread."""
        self._access.close()

    def __enter__(self) -> IndexFolder:
        self._access.is_kept_open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._access.is_kept_open = False
        self.close()


def build_index(
    catalog: Path | str | Iterable[Any] | Catalog,
    out: Path | str,
    *,
    captioner: Captioner | None = None,
    encoder: Encoder | None = None,
    encoded_text: str | None = None,
    remake: bool = False,
    prune: bool = False,
    prune_anyway: bool = False,
    fetch: WebPhotoCache | None = None,
    index_backend: str | None = None,
    on_progress: OnProgress | None = None,
) -> IndexReport:
    """Make an index of a catalog at ``out``, or bring it up to date; errors and all else as ``IndexFolder.update``."""
    with IndexFolder(out) as index:
        return index.update(
            catalog,
            captioner=captioner,
            encoder=encoder,
            encoded_text=encoded_text,
            remake=remake,
            prune=prune,
            prune_anyway=prune_anyway,
            fetch=fetch,
            index_backend=index_backend,
            on_progress=on_progress,
        )
