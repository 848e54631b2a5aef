"""Read a bundle: items and vectors as memory maps, with numpy alone."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from vlm4rec_edge.bundle.container import check_sha256, open_checked, open_container
from vlm4rec_edge.bundle.manifest import ENCODER_FOLDER, ITEMS, LVLM_FOLDER, THUMBNAILS, VECTORS
from vlm4rec_edge.bundle.sections import view
from vlm4rec_edge.bundle.texts import ABSENT, Column, array_names, attribute_section, open_column, open_texts
from vlm4rec_edge.bundle.vectors import PackedVectors
from vlm4rec_edge.closable import Closable
from vlm4rec_edge.columns import MISSING, ItemTable
from vlm4rec_edge.columns import Column as TableColumn
from vlm4rec_edge.encoding.text import weighted
from vlm4rec_edge.errors import BundleError
from vlm4rec_edge.items import StoredItem
from vlm4rec_edge.mixture import Layout
from vlm4rec_edge.models.manifest import MANIFEST_NAME as MODEL_MANIFEST_NAME

if TYPE_CHECKING:
    from vlm4rec_edge.models.resolve import EncoderFiles

_Expected = TypeVar("_Expected", int, float, str, dict[str, Any], list[Any])


class BundleReader(Closable):
    """An open bundle, as a source of items for the recommender; a context manager. Several threads may read through it.

    Opening checks everything that recommending reads. Nothing is written, and nothing beside the bundle is opened.

    Attributes:
        folder: The path that was opened, a folder or a zip file.
        manifest: What the bundle says of itself; ``manifest.digest`` names its exact content.
        vectors: The vectors, which are also the index that searches them.

    Raises:
        BundleError: there is no bundle at ``path``, it is damaged or tampered with, or of a newer format.
    """

    def __init__(self, path: Path | str) -> None:
        self.folder = Path(path)
        self._container = open_container(self.folder)
        try:
            self.manifest, self._files = open_checked(self._container, kind="bundle")
            self._read()
        except BaseException:
            self.close()
            raise
        self._lock = threading.Lock()

    def _read(self) -> None:
        content, place = self.manifest.content, str(self.folder)
        vectors, items = _get(content, "vectors", dict, place), _get(content, "items", int, place)
        shape = (_get(vectors, "rows", int, place), _get(vectors, "dimensions", int, place))
        arrays = self._arrays(ITEMS)
        steps = arrays.get("row.steps", np.zeros(0, np.uint8))
        if not items or len(steps) != items or steps.dtype.str != "|u1" or steps[0] != 1 or steps.max() > 1:
            raise BundleError(f"The number of items in {place} differs from its manifest; get the bundle again.")
        # Items stand in the order of their rows and every row has one, so each has the row of the one before or the next.
        self._rows = np.cumsum(steps, dtype=np.int64) - 1
        self._ids = open_texts(arrays, "id", place)
        if len(self._ids) != items or int(self._rows[-1]) + 1 != shape[0]:
            raise BundleError(f"The items of {place} do not fit its vectors; get the bundle again.")
        self._columns = {name: open_column(arrays, name, items, place) for name in ("title", "caption", "image")}
        names = _get(content, "attributes", list, place)
        if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
            raise BundleError(f"The manifest of {place} does not name its columns; get the bundle again.")
        self._attributes = {
            name: open_column(arrays, attribute_section(number), items, place) for number, name in enumerate(names)
        }
        if set(arrays) != {"row.steps", *array_names("id"), *self._array_names()}:
            raise BundleError(f"{ITEMS} of {place} holds arrays that its manifest does not list; get the bundle again.")
        self.vectors = PackedVectors(self._arrays(VECTORS), _get(vectors, "type", str, place), shape, place)
        _check_words(content, place)

    def _array_names(self) -> Iterator[str]:
        for name in (*self._columns, *map(attribute_section, range(len(self._attributes)))):
            yield from array_names(name, coded=True)

    def _arrays(self, name: str) -> dict[str, np.ndarray]:
        if name not in self._files:
            raise BundleError(f"{self.folder} lacks {name}; get the bundle again.")
        return view(self._files[name], self.manifest.files[name].sections, f"{name} of {self.folder}")

    @property
    def meta(self) -> Mapping[str, str]:
        """Notes of the index it was made of: ``encoder`` and ``grounding`` (fingerprints), ``encoded_text``."""
        content = self.manifest.content
        share = content.get("title_share")
        return {
            "encoder": content["encoder"]["fingerprint"],
            "grounding": content["grounding"]["fingerprint"],
            "encoded_text": str(content.get("encoded_text", "")) if share is None else weighted(share),
        }

    @property
    def layout(self) -> Layout | None:
        """Where the parts of a vector lie, if the index had learned from purchases; None if not."""
        learned = self.manifest.content.get("learned")
        return Layout(learned["content"], learned["factors"]) if learned else None

    @property
    def representation(self) -> str:
        """By what items are compared."""
        return "words" if self.layout is None else "learned"

    @property
    def keeps_photo_vectors(self) -> bool:
        """False: a bundle leaves them out."""
        return False

    @property
    def learned(self) -> Mapping[str, Any]:
        """Facts about what was learned from purchases; empty if nothing was."""
        return dict(self.manifest.content.get("learned", {}).get("facts", {}))

    @property
    def space(self) -> str:
        """The fingerprint of what was learned, or of the encoder."""
        learned = self.manifest.content.get("learned")
        return str(learned["fingerprint"] if learned else self.meta["encoder"])

    @property
    def rows(self) -> int:
        """How many vectors there are."""
        return self.vectors.shape[0]

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self.vectors.shape[1]

    def vectors_at(self, rows: np.ndarray | Sequence[int]) -> np.ndarray:
        """Return the vectors of ``rows``, shape [len(rows), dimensions], float32."""
        return self.vectors[np.asarray(rows, dtype=np.int64)]

    def count(self) -> int:
        """Return how many items there are."""
        return len(self._rows)

    def count_without_title(self) -> int:
        """Return how many of them have no title."""
        titles = self._columns["title"]
        blank = [code for code, title in enumerate(titles.values.all(), ABSENT + 1) if not title.strip(" ")]
        return int(np.isin(titles.codes, [ABSENT, *blank]).sum())

    def rows_of(self, item_ids: Iterable[str]) -> dict[str, int]:
        """Return the row of each id that is known; unknown ids are left out."""
        places = self._place_of
        return {item_id: int(self._rows[places[item_id]]) for item_id in item_ids if item_id in places}

    def ids_at(self, rows: Sequence[int]) -> dict[int, list[str]]:
        """Return the ids of the items of each row, ordered by code point."""
        wanted = np.asarray(list(rows), dtype=np.int64)
        firsts = np.searchsorted(self._rows, wanted, side="left").tolist()
        lasts = np.searchsorted(self._rows, wanted, side="right").tolist()
        spans = zip(wanted.tolist(), firsts, lasts, strict=True)
        return {row: [self._ids[place] for place in range(first, last)] for row, first, last in spans if first < last}

    def items_of(self, item_ids: Sequence[str]) -> dict[str, StoredItem]:
        """Return the items of those ids that are known."""
        places = self._place_of
        return {item_id: self._item(places[item_id]) for item_id in item_ids if item_id in places}

    def ids(self) -> Iterator[str]:
        """Yield the id of every item, ordered by row and id."""
        return iter(self._ids.all())

    def items(self) -> Iterator[StoredItem]:
        """Yield every item, ordered by row and id."""
        return map(self._item, range(self.count()))

    def _item(self, place: int) -> StoredItem:
        return StoredItem(
            id=self._ids[place],
            row=int(self._rows[place]),
            title=self._columns["title"][place] or "",
            caption=self._columns["caption"][place] or "",
            image=self._columns["image"][place] or "",
            attributes={
                name: value for name, column in self._attributes.items() if (value := column[place]) is not None
            },
        )

    def table(self) -> ItemTable:
        """Return all items as columns; read when first asked for, and kept."""
        with self._lock:
            return self._table

    @cached_property
    def _table(self) -> ItemTable:
        further = {name: column for name, column in self._attributes.items() if name not in {"title", "caption"}}
        columns = {"title": self._columns["title"], "caption": self._columns["caption"], **further}
        return ItemTable(self._rows, self._ids.all(), {name: _coded(column) for name, column in columns.items()})

    @cached_property
    def _place_of(self) -> dict[str, int]:
        return {item_id: place for place, item_id in enumerate(self._ids.all())}

    def provenance(self, table: str) -> dict[str, Any]:
        """Return what made the captions (``groundings``) or the vectors (``encoders``); empty if nothing."""
        made_by = self.manifest.content[{"groundings": "grounding", "encoders": "encoder"}[table]]
        provenance = dict(made_by["provenance"])
        if form := provenance.get("structured"):
            # A manifest is written with sorted keys, and a form is asked for in its own order. Older bundles do not note it;
            # what is required comes in order, and first.
            fields = form["schema"]["properties"]
            order = dict.fromkeys([*made_by.get("fields", ()), *form["schema"]["required"], *fields])
            schema = {**form["schema"], "properties": {name: fields[name] for name in order if name in fields}}
            provenance["structured"] = {**form, "schema": schema}
        return provenance

    def thumbnail(self, item_id: str) -> bytes | None:
        """Return the small JPEG picture of an item, or None if the bundle has none of it."""
        if THUMBNAILS not in self._files:
            return None
        lengths, data = self._thumbnails
        place = self._place_of.get(item_id)
        if place is None:
            return None
        end = int(lengths[place])
        start = int(lengths[place - 1]) if place else 0
        return bytes(data[start:end]) or None

    @cached_property
    def _thumbnails(self) -> tuple[np.ndarray, memoryview]:
        arrays = self._arrays(THUMBNAILS)
        lengths, data = arrays.get("lengths"), arrays.get("jpeg")
        if lengths is None or data is None or lengths.dtype.str != "<u4" or len(lengths) != self.count():
            raise BundleError(f"The pictures of {self.folder} do not fit its items; get the bundle again.")
        ends = np.cumsum(lengths, dtype=np.uint64)
        if int(ends[-1]) != data.nbytes:
            raise BundleError(f"The pictures of {self.folder} do not fill their file; get the bundle again.")
        return ends, data.data

    def file(self, name: str) -> memoryview:
        """Return the bytes of a file by its name in the manifest, as they are, read-only."""
        return self._files[name]

    def encoder_files(self) -> EncoderFiles | None:
        """Return the encoder that the bundle carries, checked, or None if it carries none.

        Raises:
            BundleError: a file of it is not what was written.
            ModelError: it is no encoder that this version can use.
        """
        names = [name for name in self._files if name.startswith(f"{ENCODER_FOLDER}/")]
        if not names:
            return None
        for name in names:
            check_sha256(self._files[name], self.manifest.files[name], f"{name} of {self.folder}")
        from vlm4rec_edge.bundle.models import encoder_inside

        return encoder_inside(self.folder)

    @property
    def lvlm_folder(self) -> Path | None:
        """Where the vision-language model for new photos lies, for ``resolve_lvlm``; None if the bundle carries none.

        Its own manifest is checked here; ``resolve_lvlm`` then checks the model against it.

        Raises:
            BundleError: the model's manifest is not what was written.
        """
        name = f"{LVLM_FOLDER}/{MODEL_MANIFEST_NAME}"
        if name not in self._files or not self.folder.is_dir():
            return None
        check_sha256(self._files[name], self.manifest.files[name], f"{name} of {self.folder}")
        return self.folder / LVLM_FOLDER

    def close(self) -> None:
        """Let go of all files."""
        self._files = {}
        for name in ("vectors", "_ids", "_columns", "_attributes", "_place_of", "_table", "_thumbnails"):
            self.__dict__.pop(name, None)
        self._container.close()


def _get(content: Mapping[str, Any], key: str, kind: type[_Expected], place: str) -> _Expected:
    value = content.get(key)
    if not isinstance(value, kind) or isinstance(value, bool) or (isinstance(value, int) and value < 0):
        raise BundleError(f"The manifest of {place} has {value!a} as its {key!r}; get the bundle again.")
    return value


def _check_words(content: Mapping[str, Any], place: str) -> None:
    """Check what is only shown or handed on, so that nobody who does trips over another type."""
    for role in ("grounding", "encoder"):
        made_by = _get(content, role, dict, place)
        _get(made_by, "fingerprint", str, place)
        provenance = _get(made_by, "provenance", dict, place)
        if provenance:
            _get(provenance, "name", str, place)
        if "structured" in provenance:
            schema = _get(_get(provenance, "structured", dict, place), "schema", dict, place)
            _get(schema, "properties", dict, place)
            _get(schema, "required", list, place)
            if "fields" in made_by:
                _get(made_by, "fields", list, place)
    _get(content, "captions", int, place)
    _get(content, "encoded_text", str, place)
    if "title_share" in content and not 0 < _get(content, "title_share", float, place) < 1:
        raise BundleError(
            f"The manifest of {place} has a title share that is not above 0 and below 1; get the bundle again."
        )
    for model in _get(content, "models", list, place):
        if not isinstance(model, dict):
            raise BundleError(f"The manifest of {place} does not say what its models are; get the bundle again.")
        for key in ("role", "name", "licence", "source"):
            _get(model, key, str, place)
    if "learned" in content:
        learned = _get(content, "learned", dict, place)
        _get(learned, "fingerprint", str, place)
        _get(learned, "facts", dict, place)
        parts = [_get(learned, name, int, place) for name in ("content", "factors")]
        if Layout(*parts).dimensions != _get(_get(content, "vectors", dict, place), "dimensions", int, place):
            raise BundleError(
                f"The vectors of {place} have another length than its manifest states; get the bundle again."
            )
    if "thumbnails" in content:
        _get(_get(content, "thumbnails", dict, place), "pixels", int, place)


def _coded(column: Column) -> TableColumn:
    """Return a column as filters read it: an empty text is no value there, as in a CSV file."""
    values = column.values.all()
    codes = column.codes.astype(np.int32) - (ABSENT + 1)
    if "" in values:
        codes[codes == values.index("")] = MISSING
    return TableColumn(values, codes)
