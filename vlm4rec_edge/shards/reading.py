"""The outputs of all shards of a folder, read in order: for whatever is made of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vlm4rec_edge.addresses import uri_of
from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.given import path_of
from vlm4rec_edge.items import Failure, StoredItem
from vlm4rec_edge.shards.folder import Plan, Shard, read_plan
from vlm4rec_edge.shards.making import ShardMaking, noted_making
from vlm4rec_edge.shards.one_shard import outputs_of
from vlm4rec_edge.shards.output import Note, read_note, read_output
from vlm4rec_edge.store.grounded import GroundedItem
from vlm4rec_edge.store.stored_items import item_of_photos

_NAMED = 5


@dataclass(frozen=True)
class Outputs:
    """The outputs of a folder.

    Attributes:
        plan: Its plan.
        making: What made all of them.
        files: The shards that are done, in order, each with its file and what that says of itself.
        missing: Numbers of the shards that are not done.
    """

    plan: Plan
    making: ShardMaking
    files: tuple[tuple[Shard, Path, Note], ...]
    missing: tuple[int, ...]

    @property
    def items(self) -> int:
        """How many items they hold."""
        return sum(note.items for _, _, note in self.files)

    def failures(self) -> Iterator[Failure]:
        """Yield what of the catalog could not be used."""
        for _, _, note in self.files:
            yield from note.failures


def read_outputs(folder: Path | str, *, partial: bool = False) -> Outputs:
    """Find the outputs of a folder; their items are not read yet.

    Args:
        folder: What ``plan_shards`` made.
        partial: Whether shards may be missing.

    Raises:
        StoreError: there is no plan, shards are missing, or a file is damaged or made by other models.
    """
    place = path_of(folder, "A folder of shards")
    plan, making = read_plan(place), noted_making(place)
    there = outputs_of(place, plan.shards, making) if making else {}
    missing = tuple(shard.index for shard in plan.shards if shard.index not in there)
    if making is None or not there:
        raise StoreError(f"No shard of {place} is done yet; run them: vlm4rec-edge shard run {place}")
    if missing and not partial:
        more = f" and {len(missing) - _NAMED:,} more" if len(missing) > _NAMED else ""
        named = ", ".join(map(str, missing[:_NAMED]))
        raise StoreError(
            f"{len(missing):,} of the {len(plan.shards):,} shards of {place} are missing ({named}{more}); run them: "
            f"vlm4rec-edge shard run {place}. `shard status` says what failed, and --partial does without them."
        )
    files = []
    for shard in plan.shards:
        if (path := there.get(shard.index)) is not None:
            note = read_note(path)
            if (note.rows, note.made_by) != (shard.fingerprint, making.fingerprint):
                raise StoreError(
                    f"{path} is the output of other rows, or of other models ({note.making.names}), never to be mixed. Run "
                    f"the shard again: vlm4rec-edge shard run {place} --index {shard.index}"
                )
            files.append((shard, path, note))
    return Outputs(plan, making, tuple(files), missing)


def grounded_batches(found: Outputs) -> Iterator[tuple[list[GroundedItem], np.ndarray]]:
    """Yield all items as they were made, with their vectors [n, dimensions], float32, shard after shard.

    Raises:
        StoreError: a file is damaged.
    """
    for _, path, note in found.files:
        yield from read_output(path, note)


def batches(folder: Path | str, *, partial: bool = False) -> Iterator[tuple[list[StoredItem], np.ndarray]]:
    """Yield all items as an index holds them, with their vectors [n, dimensions], float32, of unit length.

    The ``row`` of an item is its place among all of them.

    Raises:
        StoreError: as ``read_outputs``; or a file is damaged, which may show at its end only.
    """
    yield from stored_batches(read_outputs(folder, partial=partial))


def stored_batches(found: Outputs) -> Iterator[tuple[list[StoredItem], np.ndarray]]:
    """Yield what ``batches`` yields, of outputs that were found.

    Raises:
        StoreError: a file is damaged.
    """
    row = 0
    for entries, vectors in grounded_batches(found):
        yield [replace(_stored(entry), row=row + place) for place, entry in enumerate(entries)], vectors
        row += len(entries)


def provenance(folder: Path | str) -> ShardMaking:
    """Return what made the captions and vectors of all shards: fingerprints and identities, as an index notes them.

    Raises:
        StoreError: no shard was run yet.
    """
    place = path_of(folder, "A folder of shards")
    making = noted_making(place)
    if making is None:
        raise StoreError(f"No shard of {place} was run yet; run them: vlm4rec-edge shard run {place}")
    return making


def _stored(entry: GroundedItem) -> StoredItem:
    photos = [(uri_of(photo.image), photo.caption, photo.fields) for photo in entry.photos]
    return item_of_photos(entry.item.id, 0, entry.item.title, dict(entry.item.attributes), photos)
