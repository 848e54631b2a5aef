"""What an index, a bundle or a table holds, and what made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm4rec_edge.bundle.container import is_bundle
from vlm4rec_edge.encoding.text import CountsTitles
from vlm4rec_edge.given import Place, is_table_address, path_of
from vlm4rec_edge.items import Failure

if TYPE_CHECKING:
    from vlm4rec_edge.recommend.source import ItemSource


@dataclass(frozen=True)
class IndexInfo(CountsTitles):
    """What an index or a bundle holds.

    Attributes:
        index: Its path.
        items: How many can be recommended.
        captions: Different captions that items have.
        vectors: Different vectors that items have; of a table one an item, as equal ones are kept for each.
        failures: What the last run could not use; 0 in a bundle.
        dimensions: Length of a vector.
        bytes: On disk, with the photos that were fetched.
        method: ``exact``, or the index back end that answers.
        index_backend: The back end that an index keeps for more vectors than are scanned by choice; empty in a bundle.
        encoded_text: Which text became the vectors.
        without_title: How many items have no title, and are compared by their captions alone.
        run: Number of the last run; 0 in a bundle.
        grounding: Identity of what made the captions; empty if nothing did.
        encoder: Identity of the encoder.
        caption_fields: The fields of structured captions, which are attributes of the items; none of free ones.
        photos: How many photos the items have together; in a bundle one an item.
        photo_vectors: How many photos of items have a vector of their own, which ``learn`` may use; 0 in a bundle.
        photo_vectors_by: Identity of what made those; empty if there are none.
        batch: Photos captioned together in the last run that captioned; 0 if not known, and in a bundle.
        kv_bytes: KV memory that took.
        tower: What encoded the photos in that run, as in ``IndexReport``; empty if not known, and in a bundle.
        learned: Facts about what was learned from purchases (docs/explanation/learning.md); empty if nothing was.
        bundle: Of a bundle its digest, format, package version, type of vectors, thumbnails, and the models it carries or
            was made by; None of an index.
        table: Of a LanceDB table its version; None of anything else.
    """

    index: str
    items: int
    captions: int
    vectors: int
    failures: int
    dimensions: int
    bytes: int
    method: str
    encoded_text: str
    run: int
    grounding: Mapping[str, Any]
    encoder: Mapping[str, Any]
    caption_fields: tuple[str, ...]
    without_title: int = 0
    photos: int = 0
    photo_vectors: int = 0
    photo_vectors_by: Mapping[str, Any] = field(default_factory=dict)
    batch: int = 0
    kv_bytes: int = 0
    tower: str = ""
    learned: Mapping[str, Any] = field(default_factory=dict)
    index_backend: str = ""
    bundle: Mapping[str, Any] | None = None
    table: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the document that ``info --json`` prints."""
        document = {**asdict(self), "caption_fields": list(self.caption_fields)}
        return {name: value for name, value in document.items() if value is not None}


@dataclass(frozen=True)
class IndexState:
    """What happens to an index, and what its last run could not use.

    Attributes:
        writer: Who writes it now, as "process 12 on a-machine"; empty if none does.
        run: Number of the last run, or of the one under way; 0 in a bundle.
        items: How many can be recommended.
        left_out: How many things the run could not use so far.
        failures: The first of them.
    """

    writer: str
    run: int
    items: int
    left_out: int
    failures: tuple[Failure, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON document."""
        return {**asdict(self), "failures": [asdict(failure) for failure in self.failures]}


def state_of(path: Place, *, failures: int = 100) -> IndexState:
    """Say who writes an index, a bundle or a table now, and the first ``failures`` things that the last run could not use.

    Raises:
        StoreError: there is none, or it is damaged.
        UsageError: ``path`` is not a path.
    """
    if is_table_address(path):
        from vlm4rec_edge.lance.reader import LanceReader

        with LanceReader(path) as table:
            return IndexState("", 0, table.count(), 0, ())
    path = path_of(path, "An index")
    if is_bundle(path):
        from vlm4rec_edge.bundle.reader import BundleReader

        with BundleReader(path) as bundle:
            return IndexState("", 0, bundle.count(), 0, ())
    from vlm4rec_edge.store.lock import writer_of
    from vlm4rec_edge.store.reader import StoreReader

    with StoreReader(path) as store:
        return IndexState(
            writer_of(path),
            int(store.meta.get("run", 0)),
            store.count(),
            store.count_failures(),
            tuple(islice(store.failures(), failures)),
        )


def describe_index(path: Place) -> IndexInfo:
    """Say what the index, the bundle or the table at ``path`` holds.

    Raises:
        StoreError: there is none, or it is damaged.
        UsageError: ``path`` is not a path.
    """
    if is_table_address(path):
        return _of_table(path)
    path = path_of(path, "An index")
    return _of_bundle(path) if is_bundle(path) else _of_folder(path)


def _of_folder(folder: Path) -> IndexInfo:
    from vlm4rec_edge.index import backend_of, open_index
    from vlm4rec_edge.store.reader import StoreReader

    with StoreReader(folder) as store:
        counts = store.counts_in_use()
        return IndexInfo(
            items=counts["items"],
            captions=counts["captions"],
            vectors=counts["vectors"],
            failures=counts["failures"],
            dimensions=int(store.meta.get("dimensions", 0)),
            bytes=sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
            method=open_index(store).name,
            run=int(store.meta.get("run", 0)),
            photos=counts["photos"],
            photo_vectors=counts["photo_vectors"],
            photo_vectors_by=store.json_object(store.meta.get("photo_vectors_by", "{}")),
            without_title=store.count_without_title(),
            index_backend=backend_of(store),
            batch=_count(store.meta.get("batch", "")),
            kv_bytes=_count(store.meta.get("kv_bytes", "")),
            tower=store.meta.get("tower", ""),
            **_made_by(store),
        )


def _count(noted: str) -> int:
    """Return a number that a captioner reported; 0 if it is none, as earlier versions stored what a plug-in reported."""
    return int(noted) if noted.isdecimal() else 0


def _of_bundle(path: Path) -> IndexInfo:
    from vlm4rec_edge.bundle.manifest import FORMAT
    from vlm4rec_edge.bundle.reader import BundleReader

    with BundleReader(path) as bundle:
        content, files = bundle.manifest.content, bundle.manifest.files
        return IndexInfo(
            items=bundle.count(),
            without_title=bundle.count_without_title(),
            photos=bundle.count(),
            captions=content["captions"],
            vectors=bundle.rows,
            failures=0,
            dimensions=bundle.dimensions,
            bytes=sum(entry.size for entry in files.values()),
            method=bundle.vectors.name,
            run=0,
            bundle={
                "digest": bundle.manifest.digest,
                "format": FORMAT,
                "package": bundle.manifest.package,
                "vectors": content["vectors"]["type"],
                "thumbnails": content.get("thumbnails", {}).get("pixels"),
                "carries": sorted({name.partition("/")[0] for name in files if "/" in name}),
                "models": [{**model, "license": model["licence"]} for model in content["models"]],
            },
            **_made_by(bundle),
        )


def _of_table(address: str) -> IndexInfo:
    from vlm4rec_edge.lance.reader import LanceReader
    from vlm4rec_edge.lance.search import LanceIndex

    with LanceReader(address) as table:
        return IndexInfo(
            items=table.count(),
            without_title=table.count_without_title(),
            photos=table.count(),
            captions=len(table.table().columns["caption"].values),
            vectors=table.rows,  # each item has a row of its own, and no row is written without a vector
            failures=0,
            dimensions=table.dimensions,
            bytes=table.bytes(),
            method=LanceIndex(table).name,
            run=0,
            table={"version": table.version},
            **_made_by(table),
        )


def _made_by(source: ItemSource) -> dict[str, Any]:
    grounding = source.provenance("groundings")
    form = grounding.get("structured")
    return {
        "index": str(source.folder),
        "encoded_text": source.meta.get("encoded_text", ""),
        "grounding": grounding,
        "encoder": source.provenance("encoders"),
        "learned": source.learned,
        "caption_fields": tuple(form["schema"]["properties"]) if form else (),
    }
