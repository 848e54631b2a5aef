"""Make a bundle of an index."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

import vlm4rec_edge
from vlm4rec_edge.bundle.manifest import ITEMS, VECTORS, BundleManifest
from vlm4rec_edge.bundle.models import add_model, check_made_by, licences
from vlm4rec_edge.bundle.output import BundleOutput, bundle_output, check_output, size_of
from vlm4rec_edge.bundle.sections import file_size, section_of, written
from vlm4rec_edge.bundle.texts import attribute_section, pack_column, pack_texts
from vlm4rec_edge.bundle.vectors import DEFAULT_TYPE, VectorType, check_vector_type, packed, packed_sections
from vlm4rec_edge.encoding.text import TITLE_CAPTION, EncodedText, title_share
from vlm4rec_edge.errors import StoreError, UsageError
from vlm4rec_edge.given import path_of
from vlm4rec_edge.optional import optional
from vlm4rec_edge.store.check import damaged_content
from vlm4rec_edge.store.reader import StoreReader
from vlm4rec_edge.store.trouble import holds_nothing

if TYPE_CHECKING:
    from vlm4rec_edge.models.resolve import EncoderFiles, LvlmFiles

# 12 MB of float32 (at 384 dimensions) between reading and writing.
_BLOCK_ROWS = 8192


@dataclass(frozen=True)
class BundleReport:
    """What was made: how many items, bytes, the ``digest`` of the content, and the items whose photo gave no picture."""

    bundle: Path
    items: int
    bytes: int
    digest: str
    without_thumbnail: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the document that ``bundle --json`` prints of a whole bundle."""
        without = list(self.without_thumbnail)
        return {**asdict(self), "bundle": str(self.bundle), "without_thumbnail": without, "delta": None}


@dataclass(frozen=True)
class _Items:
    """The items of an index, ordered by row and id, as columns."""

    rows: np.ndarray
    ids: list[str]
    titles: list[str]
    captions: list[str]
    images: list[str]
    attributes: dict[str, list[str | None]]


def make_bundle(
    index: Path | str,
    out: Path | str,
    *,
    vectors: VectorType = DEFAULT_TYPE,
    thumbnails: int | None = None,
    encoder: EncoderFiles | None = None,
    lvlm: LvlmFiles | None = None,
) -> BundleReport:
    """Write a bundle of an index; the same index with the same settings always gives the same bytes.

    Args:
        index: The index folder; it must be intact (``vlm4rec-edge verify``).
        out: The bundle: a zip file if the name ends in ``.zip``, else a folder. A bundle that is there is replaced.
        vectors: ``float32``, ``float16`` or ``int8``.
        thumbnails: Longer side in pixels of a small JPEG of each photo, or None for no pictures.
        encoder: Put this encoder in, for text search; it must be the one that made the index.
        lvlm: Put this vision-language model in, for new photos. Only into a folder: llama.cpp reads no zip file.

    Raises:
        UsageError: ``out`` cannot be written or is something else, or a model is not the one that made the index.
        StoreError: there is no index, it is damaged, or it is empty.
        MissingDependencyError: thumbnails were asked for without Pillow.
    """
    check_vector_type(vectors)
    index, out = path_of(index, "An index"), path_of(out, "A bundle")
    check_output(out)
    if lvlm is not None and out.suffix.lower() == ".zip":
        raise UsageError("llama.cpp cannot read a model inside a zip file; with a captioner, make a folder of it.")
    if thumbnails is not None:
        optional("PIL", "Thumbnails need Pillow", "cpu")
    with StoreReader(index, content=True) as store:
        _check_store(store)
    with StoreReader(index) as store:
        grounding, made_vectors = store.provenance("groundings"), store.provenance("encoders")
        if encoder is not None:
            check_made_by(encoder, made_vectors)
        if lvlm is not None:
            check_made_by(lvlm, grounding)
        items = _read_items(store)
        with bundle_output(out) as output:
            content = _add_items(output, items)
            without: list[str] = []
            if thumbnails is not None:
                from vlm4rec_edge.bundle.thumbnails import add_thumbnails

                without = add_thumbnails(output, zip(items.ids, items.images, strict=True), thumbnails)
                content["thumbnails"] = {"pixels": thumbnails}
            content["vectors"] = _add_vectors(output, store, np.unique(items.rows), vectors)
            for model in (encoder, lvlm):
                if model is not None:
                    add_model(output, model)
            form = grounding.get("structured")
            fields = {"fields": list(form["schema"]["properties"])} if form else {}
            kind = EncodedText(store.meta.get("encoded_text", ""))
            share = title_share(kind)
            content |= {
                "encoded_text": kind,
                "grounding": {"fingerprint": store.meta.get("grounding", ""), "provenance": grounding, **fields},
                "encoder": {"fingerprint": store.meta["encoder"], "provenance": made_vectors},
                "models": licences(grounding, made_vectors),
            }
            if share is not None:  # version 0.1.0 takes the words of such items for those of both
                content |= {"encoded_text": TITLE_CAPTION, "title_share": share}
            if store.layout is not None:
                content["learned"] = {"fingerprint": store.space, **asdict(store.layout), "facts": store.learned}
            manifest = BundleManifest("bundle", vlm4rec_edge.__version__, output.files, content)
            output.finish(manifest)
    digest = json.loads(manifest.to_bytes())["digest"]
    return BundleReport(out, len(items.ids), size_of(out), digest, tuple(without))


def _check_store(store: StoreReader) -> None:
    if store.is_empty():
        raise holds_nothing(store.folder)
    damage = damaged_content(store)
    if damage:
        raise StoreError(
            f"The index {store.folder} is not whole: {damage[0].problem} Run: vlm4rec-edge repair {store.folder}"
        )


def _read_items(store: StoreReader) -> _Items:
    # Many items of a shop say the same of themselves; a text read twice is one text in memory.
    known: dict[str, str] = {}
    ids, rows, told = [], [], []
    attributes: dict[str, list[str | None]] = {}
    for place, item in enumerate(store.items()):
        ids.append(item.id)
        rows.append(item.row)
        told.append(tuple(known.setdefault(text, text) for text in (item.title, item.caption, item.image)))
        for name, value in item.attributes.items():
            column = attributes.setdefault(name, [])
            column.extend([None] * (place - len(column)))
            column.append(known.setdefault(value, value))
    for column in attributes.values():
        column.extend([None] * (len(ids) - len(column)))
    order = sorted(range(len(ids)), key=lambda place: (rows[place], ids[place]))
    return _Items(
        rows=np.array([rows[place] for place in order], dtype=np.int64),
        ids=[ids[place] for place in order],
        titles=[told[place][0] for place in order],
        captions=[told[place][1] for place in order],
        images=[told[place][2] for place in order],
        attributes={name: [column[place] for place in order] for name, column in attributes.items()},
    )


def _add_items(output: BundleOutput, items: _Items) -> dict[str, Any]:
    arrays = {
        "row.steps": np.concatenate([[1], np.diff(items.rows) > 0]).astype(np.uint8),
        **pack_texts("id", items.ids),
        **pack_column("title", items.titles),
        **pack_column("caption", items.captions),
        **pack_column("image", _below_common_folder(items.images)),
    }
    for number, column in enumerate(items.attributes.values()):
        arrays |= pack_column(attribute_section(number), column)
    sections = tuple(section_of(name, values) for name, values in arrays.items())
    output.add(ITEMS, file_size(sections), written([values] for values in arrays.values()), sections)
    return {"items": len(items.ids), "captions": len(set(items.captions) - {""}), "attributes": list(items.attributes)}


def _add_vectors(output: BundleOutput, store: StoreReader, rows: np.ndarray, kind: VectorType) -> dict[str, Any]:
    """Write the vectors that items have; rows of items that were removed stay behind."""

    def blocks() -> Iterator[np.ndarray]:
        for start in range(0, len(rows), _BLOCK_ROWS):
            yield store.vectors_at(rows[start : start + _BLOCK_ROWS])

    sections = packed_sections(len(rows), store.dimensions, kind)
    output.add(VECTORS, file_size(sections), written(packed(blocks, kind)), sections)
    return {"rows": len(rows), "dimensions": store.dimensions, "type": kind}


def _below_common_folder(images: Sequence[str]) -> list[str]:
    """Return the paths without the part that all share: where photos were on another machine is private."""
    try:
        common = os.path.commonpath({str(PurePath(image).parent) for image in images})
        return [PurePath(image).relative_to(common).as_posix() for image in images]
    except ValueError:  # on two drives
        return [PurePath(image).name for image in images]
