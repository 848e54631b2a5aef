"""One index folder, opened to be changed or looked after: ``update``, ``add``, ``remove``, ``verify`` and ``repair``."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from vlm4rec_edge.catalog.checks import id_trouble
from vlm4rec_edge.catalog.layouts import CatalogColumns
from vlm4rec_edge.catalog.reader import Catalog, open_catalog
from vlm4rec_edge.catalog.web.cache import WebPhotoCache
from vlm4rec_edge.encoding.checked import encoded_items
from vlm4rec_edge.encoding.opening import open_encoder
from vlm4rec_edge.encoding.protocol import Encoder
from vlm4rec_edge.encoding.text import DEFAULT_TEXT, EncodedText, check_encoded_text, text_of_photos
from vlm4rec_edge.errors import StoreError, UsageError
from vlm4rec_edge.given import path_of
from vlm4rec_edge.grounding.protocol import Captioner
from vlm4rec_edge.index import open_backend, refresh
from vlm4rec_edge.index.check import check_graph
from vlm4rec_edge.indexing import IndexProgress, IndexReport, checked_golden, index_catalog
from vlm4rec_edge.items import Item, WebPhotos, item_id, item_ids
from vlm4rec_edge.new_photo import captioner_of, check_captioner_of
from vlm4rec_edge.plugins import close_model
from vlm4rec_edge.provenance import made_by
from vlm4rec_edge.recommend.ids import KnownIds
from vlm4rec_edge.remaking import RemakeError, remake_of
from vlm4rec_edge.remembered import captioner_as_before, encoder_as_before
from vlm4rec_edge.store.check import VerifyReport, check_store
from vlm4rec_edge.store.reader import StoreReader, read_if_begun
from vlm4rec_edge.store.schema import DATABASE_NAME
from vlm4rec_edge.store.writer import StoreWriter

if TYPE_CHECKING:
    from vlm4rec_edge.interactions import InteractionColumns, Interactions
    from vlm4rec_edge.learning.learning import LearnReport, OnStart

_ENCODE_TEXTS = 256

OnProgress = Callable[[IndexProgress], None]


@dataclass(frozen=True)
class RemoveReport:
    """How many items were removed, and the ids that the index did not hold.

    ``hint`` says what one of those may have been meant for, or where all ids are listed.
    """

    folder: Path
    removed: int
    unknown: tuple[str, ...]
    hint: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the document that ``remove --json`` prints."""
        return {"index": str(self.folder), "removed": self.removed, "unknown": list(self.unknown)}


@dataclass(frozen=True)
class RepairReport:
    """What was done, and by ``needs_index`` whether the catalog must be indexed again to make what was dropped.

    ``lost_notes``: it is no longer known what made the vectors, so all of them were dropped.
    """

    folder: Path
    salvaged_database: bool
    dropped_items: int
    dropped_captions: int
    dropped_vectors: int
    encoded: int
    lost_notes: bool = False

    @property
    def needs_index(self) -> bool:
        """Whether something was dropped that only the catalog, or its captions, can bring back."""
        return bool(self.salvaged_database or self.dropped_items or self.dropped_captions or self.lost_notes)

    def to_dict(self) -> dict[str, Any]:
        """Return the document that ``repair --json`` prints."""
        document = asdict(self)
        return {"index": str(document.pop("folder")), **document}


class IndexFolder:
    """An index folder; a context manager.

    What changes it is done under the writer's lock, which is taken before the index is looked at. Inside of a ``with`` it is
    kept until the end, so that nobody else writes between two calls; outside, each call lets go of it. Reading takes no lock.

    Any thread may call it, and the calls are done one after the other. ``on_progress`` may read the index, but not change it.

    Args:
        folder: The folder; made by the first ``update`` if it is not there.

    Raises:
        UsageError: ``folder`` is no path.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = path_of(folder, "An index")
        self._writer: StoreWriter | None = None
        self._turn = threading.RLock()
        self._at_work = False
        self._is_kept_open = False

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
                vision-language model, in a process of its own. ``ImportedCaptions`` takes captions from a table instead.
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
            RemakeError: the index was made in another way, and ``remake`` is not given; it tells what that would cost.
            CatalogError, ModelError, DeviceError, MissingDependencyError, StoreError, UsageError: something that stops every
                item; raised before the first photo wherever it can be known. A single bad item is in the report instead.
        """
        kind = None if encoded_text is None else check_encoded_text(encoded_text)
        if index_backend is not None:
            open_backend(index_backend)  # whether it can be used is known before the first photo
        cache = fetch or WebPhotoCache(self.folder / "photos")
        columns = self.catalog_columns() if isinstance(catalog, str | Path) and not Path(catalog).is_dir() else None
        opened = open_catalog(catalog, columns=columns, fetched=cache.path_of)
        if fetch and opened.is_read_once:
            raise UsageError(
                "Photos are fetched before the first is captioned; give items as a list, not as a generator."
            )
        with self._writing():
            return self._update(
                opened,
                captioner,
                encoder,
                kind,
                cache,
                remake=remake,
                prune=prune,
                prune_anyway=prune_anyway,
                fetch=fetch is not None,
                index_backend=index_backend,
                on_progress=on_progress,
                on_fetched=on_fetched,
            )

    def _update(
        self,
        catalog: Catalog,
        captioner: Captioner | None,
        encoder: Encoder | None,
        encoded_text: EncodedText | None,
        cache: WebPhotoCache,
        *,
        remake: bool = False,
        prune: bool = False,
        prune_anyway: bool = False,
        fetch: bool = False,
        index_backend: str | None = None,
        on_progress: OnProgress | None = None,
        on_fetched: Callable[[int], None] | None = None,
    ) -> IndexReport:
        """Do what ``update`` is for; inside of ``_writing``."""
        with ExitStack() as models:
            with self._before() as before:
                encoded_text = encoded_text or _encoded_text_of(before)
                its_captioner: Any = None
                if encoded_text != "title":
                    its_captioner = models.enter_context(_opened(captioner, lambda: captioner_as_before(before)))
                its_encoder = models.enter_context(_opened(encoder, lambda: encoder_as_before(before)))
                if catalog.columns is not None and hasattr(its_captioner, "check_columns"):
                    its_captioner.check_columns(catalog.columns)
                if before and not remake and (cost := remake_of(before, its_captioner, its_encoder, encoded_text)):
                    raise RemakeError(cost)
            store, came = self._made_store(is_new=before is None), 0
            if index_backend is not None:
                store.note(index_backend=index_backend)
            if catalog.named is not None:
                store.note(catalog_columns=json.dumps(asdict(catalog.named)))
            if fetch:
                wanted = (entry.addresses for entry in catalog.read() if isinstance(entry, WebPhotos))
                came = cache.fetch(chain.from_iterable(wanted), on_progress=on_fetched)
            report = index_catalog(
                store,
                replace(catalog, read=lambda: cache.told(catalog.read())),
                captioner=its_captioner,
                encoder=its_encoder,
                encoded_text=encoded_text,
                prune=prune or prune_anyway,
                prune_anyway=prune_anyway,
                on_progress=on_progress,
            )
        self._refresh_index()
        return replace(report, fetched=came)

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
        with self._before() as before:
            return captioner_as_before(before, model, **settings)

    def encoder_as_before(self, name: str | Path | None = None, **settings: Any) -> Encoder:
        """Open the encoder that made the vectors, unless another is given; arguments and errors as ``open_encoder``."""
        with self._before() as before:
            return encoder_as_before(before, name, **settings)

    def encoded_text(self) -> EncodedText:
        """Return which text becomes the vectors, as the index remembers; ``weighted:0.9`` for a new one."""
        with self._before() as before:
            return _encoded_text_of(before)

    def catalog_columns(self) -> CatalogColumns | None:
        """Return how the columns of the catalog's table were named when the index was made; None if they were not."""
        with self._before() as before:
            named = json.loads(before.meta.get("catalog_columns", "null")) if before else None
        return None if named is None else CatalogColumns(**named)

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
            captioner: Default: the one that made the captions, found by its name; see ``captioner_of``.
            encoder: Default: the one that made the vectors, found by its name.
            on_progress: Called in this thread.

        Raises:
            UsageError: these are no items, an id cannot be used, or the captions come from a table.
            StoreError: there is no index, a model is another one than made it, or it no longer knows what made it.
            ModelError, DeviceError, MissingDependencyError: a model cannot be found or used.
        """
        if not isinstance(items, Iterable):
            raise UsageError(f"Items to add are a list of Item, not one {type(items).__name__}.")
        chosen = list(items)
        for item in chosen:
            if not isinstance(item, Item):
                raise UsageError(
                    f"Items to add are a list of Item, without {item!r:.60}; a folder or a table is for update."
                )
        ids = [item_id(item.id).strip() for item in chosen]  # as every catalog reads them
        if trouble := next(filter(None, map(id_trouble, ids)), None):
            raise UsageError(trouble)
        with self._writing(must_exist=True), ExitStack() as models:
            with StoreReader(self.folder) as store:
                if not {"encoded_text", "encoder"} <= store.meta.keys():
                    raise StoreError(
                        f"{self.folder} has lost its notes of how it was made; run `vlm4rec-edge index` on the catalog again, "
                        "then add."
                    )
                encoded_text = check_encoded_text(store.meta["encoded_text"])
                if encoded_text != "title":
                    photos = sum(len(item.photos) for item in chosen)
                    captioner = models.enter_context(
                        _opened(captioner, lambda: captioner_of(store, photos=photos or None))
                    )
                    check_captioner_of(store, captioner)
                name = store.provenance("encoders").get("name")
                encoder = models.enter_context(_opened(encoder, lambda: open_encoder(name)))
                if made_by(encoder).fingerprint != store.meta["encoder"]:
                    raise StoreError(
                        f"The vectors of {self.folder} were made by another encoder or another version of it than "
                        f"{encoder.identity.get('name')}; give the right one with --encoder, or index the catalog again with "
                        "this one."
                    )
                there = KnownIds(store).look_up(ids).rows
            cache = WebPhotoCache(self.folder / "photos")
            catalog = open_catalog(chosen, fetched=cache.path_of) if chosen else Catalog(None, None, lambda: iter(()))
            report = self._update(catalog, captioner, encoder, encoded_text, cache, on_progress=on_progress)
            with StoreReader(self.folder) as store:
                left_out = {failure.where for failure in store.failures()}
                found = KnownIds(store).look_up(ids)
                written = [each for each in dict.fromkeys(found.ids) if each in found.rows and each not in left_out]
        added = tuple(each for each in written if each not in there)
        replaced = () if report.interrupted else tuple(each for each in written if each in there)
        return replace(report, added=added, replaced=replaced)

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
        wanted = list(dict.fromkeys(item_ids(ids, "Items to remove")))
        with self._writing(must_exist=True):
            store = self._store()
            unknown, hint = store.remove(wanted), ""
            if unknown:
                with StoreReader(self.folder) as read:
                    known = KnownIds(read)
                    found = known.look_up(unknown)
                    store.remove(list(found.rows))
                    unknown, hint = found.unknown, known.hint(found.unknown) if found.unknown else ""
        return RemoveReport(self.folder, len(wanted) - len(unknown), tuple(unknown), hint)

    def learn(
        self,
        interactions: Path | str | Interactions,
        *,
        columns: InteractionColumns | None = None,
        new_items: str = "",
        dry_run: bool = False,
        seed: int = 0,
        on_start: OnStart | None = None,
    ) -> LearnReport:
        """Learn from purchases what is bought together, if that recommends better than the words of the items alone.

        It is judged on purchases that were held back. What is better beyond chance is kept, and the index recommends by it
        from then on, new items too; otherwise all stays as it was. Histories are not stored.

        Args:
            interactions: A table as ``read_interactions`` reads it, or interactions.
            columns: What the columns of the table are called, where it is nothing known.
            new_items: A column of the index that marks new items: that nobody bought them yet says nothing.
            dry_run: Judge only, and change nothing.
            seed: Of everything random.
            on_start: Told how many users are judged; what it returns is told how many are done.

        Raises:
            CatalogError, UsageError: the table cannot be read, or holds too little to learn from.
            StoreError: there is no index, or it is empty or being written.
            MissingDependencyError: scipy is not installed.
        """
        from vlm4rec_edge.learning.learning import learn_from

        with nullcontext() if dry_run else self._writing(must_exist=True):
            with StoreReader(self.folder, content=True) as store:
                if store.is_empty():
                    raise StoreError(
                        f"The index {self.folder} holds no items yet; run `vlm4rec-edge index` to the end first."
                    )
                learned, report = learn_from(
                    store, interactions, columns=columns, new_items=new_items, seed=seed, on_start=on_start
                )
            if dry_run or learned is None:
                return report
            self._store().learn(learned)
            self._refresh_index()
        return replace(report, stored=True)

    def forget_learned(self) -> bool:
        """Recommend by the words of the items alone again; return whether anything had been learned.

        Raises:
            StoreError: there is no index, or another process is writing it.
        """
        with self._writing(must_exist=True):
            forgotten = self._store().forget_learned()
            self._refresh_index()
        return forgotten

    def verify(self) -> VerifyReport:
        """Check every file: database, checksums of captions, items and vectors, lengths, HNSW against exact search.

        Raises:
            StoreError: there is no index. Damage is reported, not raised.
        """
        report = check_store(self.folder)
        if report.ok:
            with StoreReader(self.folder) as store:
                recall, findings = check_graph(store)
            report = replace(report, findings=tuple(findings), hnsw_recall=recall)
        remedy = f"Repair it with: vlm4rec-edge repair {self.folder}; it says what is left to do."
        return report if report.ok else replace(report, remedy=remedy)

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
        with self._writing(must_exist=True):
            store = self._store()
            salvaged = store.salvage()
            dropped = store.drop_damaged()
            encoded = 0 if dropped.notes else self._encode_again(store, encoder, rewrite=dropped.vectors > 0)
            store.mix_anew()
            self._refresh_index(anew=True)
        return RepairReport(
            self.folder, salvaged, dropped.items, dropped.captions, dropped.vectors, encoded, lost_notes=dropped.notes
        )

    def _encode_again(self, store: StoreWriter, encoder: Encoder | None, *, rewrite: bool) -> int:
        """Encode the items that have no vector; ``rewrite`` the vector file first, if rows of it were forgotten.

        Into a new file, because a reader may still have the old one open. What encodes is noted anew, if that was lost.
        """
        with StoreReader(self.folder, content=True) as read:
            kind = check_encoded_text(read.meta["encoded_text"])
            identity = read.provenance("encoders")
            rewrite = rewrite or read.has_gaps()
        texts = {
            item_id: text_of_photos(kind, title=title, captions=captions)
            for item_id, title, captions in store.items_without_vector()
        }
        if identity and not texts and not rewrite:
            return 0
        with _opened(encoder, lambda: open_encoder(identity.get("name"), device="cpu")) as its_encoder:
            if made_by(its_encoder).fingerprint != store.meta("encoder"):
                raise StoreError(
                    f"{self.folder} was made by another encoder than {its_encoder.identity.get('name')}; give it with "
                    "--encoder."
                )
            checked_golden(store, its_encoder)
            store.note_encoder(made_by(its_encoder))
            if rewrite:
                store.compact(force=True)
            pending = list(texts)
            for start in range(0, len(pending), _ENCODE_TEXTS):
                part = {item_id: texts[item_id] for item_id in pending[start : start + _ENCODE_TEXTS]}
                new = store.without_vector(list(part.values()))
                store.write_vectors(part, dict(zip(new, encoded_items(its_encoder, new), strict=True)))
        return len(texts)

    def _refresh_index(self, *, anew: bool = False) -> None:
        with StoreReader(self.folder) as store:
            refresh(store, anew=anew)

    @contextmanager
    def _before(self) -> Iterator[StoreReader | None]:
        """The index as it is, or None if there is none yet."""
        before = read_if_begun(self.folder)
        with before or nullcontext():
            yield before

    @contextmanager
    def _writing(self, *, must_exist: bool = False) -> Iterator[None]:
        """Hold the writer's lock for one call, from before it looks at the index; a new index gets its lock when it is made.

        Raises:
            StoreError: another process writes the index, there is none and it ``must_exist``, or this is called from within
                a call that is under way.
        """
        with self._turn:
            if self._at_work:
                raise StoreError(
                    f"{self.folder} is being changed by the call from which this one comes; do it afterwards."
                )
            self._at_work = True
            try:
                if must_exist or self._is_there():
                    self._store()
                yield
            finally:
                self._at_work = False
                if not self._is_kept_open:
                    self.close()

    def _is_there(self) -> bool:
        try:
            return (self.folder / DATABASE_NAME).is_file()
        except OSError:  # a folder that cannot be looked into: whoever makes it says so
            return False

    def _store(self, *, create: bool = False) -> StoreWriter:
        if self._writer is None:
            self._writer = StoreWriter(self.folder, create=create)
        return self._writer

    def _made_store(self, *, is_new: bool) -> StoreWriter:
        """The store, made if there is none; one that ``is_new`` had no lock until now."""
        store = self._store(create=True)
        with self._before() as now:
            if is_new and now:
                raise StoreError(f"{self.folder} was made by another run meanwhile; run the same again.")
        return store

    def close(self) -> None:
        """Let other writers in, after the call that is under way in another thread."""
        with self._turn:
            if self._at_work:
                raise StoreError(
                    f"{self.folder} is being changed by the call from which this one comes; close it afterwards."
                )
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.close()

    def __enter__(self) -> IndexFolder:
        self._is_kept_open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_kept_open = False
        self.close()


def _encoded_text_of(before: StoreReader | None) -> EncodedText:
    return check_encoded_text(before.meta.get("encoded_text", DEFAULT_TEXT)) if before else DEFAULT_TEXT


@contextmanager
def _opened(given: Any | None, make: Callable[[], Any]) -> Iterator[Any]:
    """The model that was given, which stays open, or one that is made and closed again."""
    if given is not None:
        yield given
        return
    made = make()
    try:
        yield made
    finally:
        close_model(made)


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
