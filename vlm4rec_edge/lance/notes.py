"""What is noted of a table beside its items: what made them, and how its vectors are compared."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.mixture import Layout
from vlm4rec_edge.recommend.source import ItemSource

# The key of the schema's metadata, and the version of what stands there.
_KEY = b"vlm4rec-edge"
FORMAT = 1
# Notes of an index that say nothing of its items: what a later run begins with, and where rows lie.
_META = ("encoder", "grounding", "encoded_text", "golden")


@dataclass(frozen=True)
class TableNotes:
    """What a reader of a table must know.

    Attributes:
        dimensions: Length of a vector.
        meta: ``encoder`` and ``grounding`` (fingerprints), ``encoded_text``, and the encoder's ``golden`` vectors.
        space: The fingerprint of the space of the vectors; see ``ItemSource.space``.
        layout: Where the parts of a mixed vector lie, or None.
        learned: Facts about what was learned from purchases, the weights among them.
        groundings, encoders: What made the captions and the vectors.
    """

    dimensions: int
    meta: Mapping[str, str]
    space: str
    layout: Layout | None = None
    learned: Mapping[str, Any] = field(default_factory=dict)
    groundings: Mapping[str, Any] = field(default_factory=dict)
    encoders: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, source: ItemSource) -> TableNotes:
        """Return the notes of an index or a bundle."""
        return cls(
            dimensions=source.dimensions,
            meta={name: source.meta[name] for name in _META if name in source.meta},
            space=source.space,
            layout=source.layout,
            learned=dict(source.learned) if source.layout else {},
            groundings=source.provenance("groundings"),
            encoders=source.provenance("encoders"),
        )

    def to_metadata(self) -> dict[bytes, bytes]:
        """Return the notes as metadata of a schema; each time another, so that a table made anew is seen to be another."""
        document = {"format": FORMAT, "written": uuid.uuid4().hex[:16], **asdict(self)}
        return {_KEY: json.dumps(document, ensure_ascii=False).encode("utf-8")}


def notes_of(metadata: Mapping[bytes, bytes] | None, address: str) -> TableNotes:
    """Return the notes that stand in the metadata of a table's schema.

    Raises:
        StoreError: there are none, or they are of a newer version.
    """
    document = _document(metadata)
    if not document:
        raise StoreError(
            f"The table at {address} was not written by vlm4rec-edge; give the address of one that "
            "`vlm4rec-edge export` wrote."
        )
    try:
        if document["format"] != FORMAT:
            raise StoreError(
                f"The table at {address} has format {document['format']}, this version reads {FORMAT}; update vlm4rec-edge."
            )
        layout = document["layout"]
        return TableNotes(
            **{
                **{each.name: document[each.name] for each in fields(TableNotes)},
                "layout": Layout(**layout) if layout else None,
            }
        )
    except (KeyError, TypeError) as error:
        raise StoreError(f"The notes of the table at {address} cannot be read ({error}); write it again.") from error


def written_of(metadata: Mapping[bytes, bytes] | None) -> str:
    """Return which writing of a table its metadata is of; empty if it is not ours."""
    return str(_document(metadata).get("written", ""))


def _document(metadata: Mapping[bytes, bytes] | None) -> dict[str, Any]:
    try:
        document = json.loads((metadata or {}).get(_KEY, b"{}"))
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
