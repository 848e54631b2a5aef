"""What made the captions and vectors of a store, noted in it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field

from vlm4rec_edge.errors import Vlm4RecWarning
from vlm4rec_edge.provenance import MadeBy
from vlm4rec_edge.store.content import forget_content
from vlm4rec_edge.store.database import WritableDatabase
from vlm4rec_edge.store.mixing import MixedVectors
from vlm4rec_edge.store.photo_vectors import begin_photo_vectors


@dataclass(frozen=True)
class Making:
    """What makes the captions and vectors of a run.

    Attributes:
        captions_by: None where nothing is captioned; then it stays noted what made the captions.
        vectors_by: The encoder.
        dimensions: Length of its vectors.
        golden: Its golden vectors, as text.
        photo_vectors_by: What makes the photos' own vectors; None where none are made.
        encoded_text: Which text is encoded, for readers to show.
        captioner_notes: Further notes about what makes the captions, by which it is found again.
        encoder_notes: Those about what makes the vectors.
    """

    captions_by: MadeBy | None
    vectors_by: MadeBy
    dimensions: int
    golden: str
    encoded_text: str
    captioner_notes: Mapping[str, str] = field(default_factory=dict)
    encoder_notes: Mapping[str, str] = field(default_factory=dict)
    photo_vectors_by: MadeBy | None = None


def note_captions_by(database: WritableDatabase, making: Making) -> None:
    """Note what makes the captions; inside of a transaction, as all of these."""
    if making.captions_by:
        note_made_by(database, "grounding", making.captions_by)
    database.set_meta(**making.captioner_notes)


def note_vectors_by(database: WritableDatabase, making: Making, mixed: MixedVectors) -> None:
    """Note what makes the vectors; forget those of another encoder, and what was learned of them."""
    before = database.meta("encoder")
    made = making.vectors_by.fingerprint, making.encoded_text
    if mixed.fingerprint and (before, database.meta("encoded_text")) != made:
        _forget_learned(database, mixed)
    if before != making.vectors_by.fingerprint:
        forget_content(database)
        database.set_meta(encoded_text="", encoded_before="")
    note_made_by(database, "encoder", making.vectors_by)
    note_encoded_text(database, making.encoded_text)
    database.set_meta(
        dimensions=str(making.dimensions),
        golden=making.golden,
        **making.encoder_notes,
    )


def note_photo_vectors_by(database: WritableDatabase, made: MadeBy, dimensions: int, mixed: MixedVectors) -> None:
    """Note what makes the photos' own vectors; forget those of another tower, and what was learned of them."""
    if database.meta("photo_vectors") == made.fingerprint:
        return
    if mixed.photos not in ("", made.fingerprint):
        _forget_learned(database, mixed)
    if forgotten := begin_photo_vectors(database, made, dimensions):
        warnings.warn(
            f"The {forgotten:,} photo vectors of {database.folder} were made by another vision encoder, or another precision "
            "or size; those of two are never mixed, so they are made anew.",
            Vlm4RecWarning,
            stacklevel=3,
        )


def _forget_learned(database: WritableDatabase, mixed: MixedVectors) -> None:
    warnings.warn(
        f"What {database.folder} learned from purchases was learned from other vectors and is dropped; learn again: "
        f"vlm4rec-edge learn {database.folder} --interactions FILE",
        Vlm4RecWarning,
        stacklevel=4,
    )
    mixed.forget()


def note_encoded_text(database: WritableDatabase, kind: str) -> None:
    """Note which text is encoded, and which were before: items that the catalog no longer has, or that fail, keep theirs."""
    before = [*(database.meta("encoded_before") or "").split(), database.meta("encoded_text") or ""]
    others = dict.fromkeys(known for known in before if known not in ("", kind))
    database.set_meta(encoded_text=kind, encoded_before=" ".join(others))


def note_made_by(database: WritableDatabase, what: str, made_by: MadeBy) -> None:
    """Note what made the captions (``grounding``) or the vectors (``encoder``)."""
    database.connection.execute(
        f"INSERT INTO {what}s VALUES (?, ?) ON CONFLICT (fingerprint) DO UPDATE SET provenance = excluded.provenance",
        (made_by.fingerprint, json.dumps(made_by.identity, ensure_ascii=False)),
    )
    database.set_meta(**{what: made_by.fingerprint})
