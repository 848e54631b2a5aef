"""Run one shard: its rows become an index of their own, which an earlier run may have begun, and that becomes its output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vlm4rec_edge.addresses import is_photo_address
from vlm4rec_edge.atomic import remove
from vlm4rec_edge.catalog.reader import Catalog
from vlm4rec_edge.encoding.text import check_encoded_text
from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.index_folder import IndexFolder
from vlm4rec_edge.indexing.report import IndexReport, OnProgress
from vlm4rec_edge.items import Failure, Item
from vlm4rec_edge.shards.attempts import claimed, note_attempt
from vlm4rec_edge.shards.entries import Row, entry_of, fingerprint_of, read_rows
from vlm4rec_edge.shards.fetching import FetchedPhotos
from vlm4rec_edge.shards.folder import (
    OUTPUT_FOLDER,
    PLAN_FOLDER,
    RUNNING_FOLDER,
    Plan,
    Shard,
    output_key,
    outputs,
    running_place,
)
from vlm4rec_edge.shards.making import Models, ShardMaking
from vlm4rec_edge.shards.output import BATCH_ITEMS, Batch, Note, read_note, read_output, write_output
from vlm4rec_edge.store.made_items import grounded_items
from vlm4rec_edge.store.reader import StoreReader
from vlm4rec_edge.store.writer import StoreWriter

# After so many errors a shard begins anew, should what an earlier attempt left be what makes it fail.
_ANEW_AFTER = 2
# Notes of an index that say how it was made, and not what is in it.
_NOTES = ("batch", "kv_bytes", "tower")


@dataclass(frozen=True)
class Work:
    """What all shards of a folder are run with.

    Attributes:
        folder: The folder of the plan, which all machines share.
        plan: Its plan.
        making: What makes the captions and vectors.
        models: The same, opened.
        scratch: Where unfinished indexes and fetched photos lie; None for the folder of the plan.
        allow_private: Whether photos may be fetched from this machine and from private networks.
        verify: Whether an output that lies there is read to its end before it is taken for done.
    """

    folder: Path
    plan: Plan
    making: ShardMaking
    models: Models
    scratch: Path | None = None
    allow_private: bool = False
    verify: bool = False


def is_done(folder: Path, shard: Shard, making: ShardMaking, *, verify: bool = False) -> bool:
    """Whether a shard has its output: a whole file, of its rows and these models; with ``verify`` all of it is read."""
    path = outputs_of(folder, [shard], making).get(shard.index)
    return path is not None and trouble_of_output(path, shard, making, verify=verify) == ""


def outputs_of(folder: Path, shards: Sequence[Shard], making: ShardMaking) -> dict[int, Path]:
    """Return the files that are named as the outputs of shards, by the shards' numbers."""
    there = outputs(folder)
    found = {shard.index: there.get(output_key(shard.fingerprint, making.fingerprint)) for shard in shards}
    return {index: path for index, path in found.items() if path is not None}


def trouble_of_output(path: Path, shard: Shard, making: ShardMaking, *, verify: bool = False) -> str:
    """Return why a file is not the output of a shard, as a sentence; empty if it is."""
    try:
        note = read_note(path)
        if (note.rows, note.made_by) != (shard.fingerprint, making.fingerprint):
            return f"{path} is the output of other rows or other models."
        if verify:
            for _ in read_output(path, note):
                pass
    except StoreError as error:
        return str(error)
    return ""


def run_shard(work: Work, shard: Shard, *, on_progress: OnProgress | None = None) -> IndexReport | None:
    """Run a shard and write its output; return None where another process did so meanwhile.

    Raises:
        TakenError: another process works on it.
        KeyboardInterrupt: it was stopped; what is finished is kept for the next time.
        Vlm4RecError: something that stops every item; the next attempt goes on where this one ended.
    """
    folder, made_by = work.folder, work.making.fingerprint
    name = output_key(shard.fingerprint, made_by)
    place = running_place(folder, shard, made_by)
    unfinished = (work.scratch or folder / RUNNING_FOLDER) / name / "work"
    with claimed(place) as before:
        if is_done(folder, shard, work.making, verify=work.verify):
            return None
        if before.errors >= _ANEW_AFTER:
            remove(unfinished)
        note_attempt(place)
        unfinished.mkdir(parents=True, exist_ok=True)
        photos = FetchedPhotos(unfinished / "photos", allow_private=work.allow_private)
        report = _index(work, shard, unfinished / "index", photos, on_progress)
        if report.interrupted:
            raise KeyboardInterrupt
        _write(work, shard, unfinished / "index", photos)
        remove(unfinished)
    if work.scratch:
        with suppress(OSError):
            (work.scratch / name).rmdir()
    return report


def _index(work: Work, shard: Shard, index: Path, photos: FetchedPhotos, on_progress: OnProgress | None) -> IndexReport:
    """Caption and encode the rows of a shard into an index of their own; what is in it already is not done again."""
    path = work.folder / PLAN_FOLDER / shard.name
    rows = list(read_rows(path))
    if fingerprint_of(rows) != shard.fingerprint:
        raise StoreError(f"{path} holds other rows than were planned; run `vlm4rec-edge shard plan` again.")
    if not index.exists():
        _take_captions(work, shard, index)
    with IndexFolder(index) as opened:
        return opened.update(
            Catalog(None, work.plan.columns, lambda: _entries(rows, photos)),
            captioner=work.models.captioner,
            encoder=work.models.encoder,
            encoded_text=work.making.making.encoded_text,
            index_backend="exact",  # nobody searches it
            on_progress=on_progress,
        )


def _entries(rows: Sequence[Row], photos: FetchedPhotos) -> Iterator[Item | Failure]:
    entries = map(entry_of, rows)
    return photos.entries(entries) if any(map(_is_addressed, rows)) else iter(entries)


def _is_addressed(row: Row) -> bool:
    return any(map(is_photo_address, filter(None, (row["uri"], *row["more"]))))


def _take_captions(work: Work, shard: Shard, index: Path) -> None:
    """Begin an index with the captions and vectors that the shards in whose place this one comes have already."""
    there = outputs(work.folder)
    keys = [output_key(rows, work.making.fingerprint) for rows in shard.replaces]
    paths = [there[key] for key in keys if key in there]
    if not paths:
        return
    part = index.with_name("taking")
    remove(part)
    with StoreWriter(part) as store:
        store.begin_run(work.making.making)
        for path in paths:
            with suppress(StoreError):  # a damaged one only costs its captions
                add_output(store, path, read_note(path))
        store.remove(store.ids())  # their captions and vectors stay, and are found by the photo and the text
        store.end_run()
    part.replace(index)


def add_output(store: StoreWriter, path: Path, note: Note) -> int:
    """Write the items of an output into a store whose run was begun, and return how many."""
    count = 0
    with closing(read_output(path, note)) as batches:
        for entries, vectors in batches:
            texts = store.without_vector([entry.text for entry in entries])
            by_text = {entry.text: vector for entry, vector in zip(entries, vectors, strict=True)}
            store.write(entries, {text: by_text[text] for text in texts})
            count += len(entries)
    return count


def _write(work: Work, shard: Shard, index: Path, photos: FetchedPhotos) -> None:
    path = work.folder / OUTPUT_FOLDER / shard.output_name(work.making.fingerprint)
    before = outputs_of(work.folder, [shard], work.making).get(shard.index)
    with StoreReader(index, content=True) as store:
        if waiting := store.counts()["items"] - store.count():
            raise StoreError(f"{waiting} items of {index} have no vector yet; run the shard again.")
        failures = [
            Failure(photos.addressed(one.where), one.stage, photos.addressed(one.reason)) for one in store.failures()
        ]
        notes = {name: store.meta[name] for name in _NOTES if name in store.meta}
        write_output(path, _batches(store, photos), failures, rows=shard.fingerprint, made_by=work.making, notes=notes)
    if before is not None and before != path:  # it was damaged, and named by the number the shard had in another plan
        before.unlink(missing_ok=True)


def _batches(store: StoreReader, photos: FetchedPhotos) -> Iterator[Batch]:
    kind = check_encoded_text(store.meta["encoded_text"])
    entries, rows = [], []
    for entry, row in grounded_items(store, kind):
        entries.append(photos.with_addresses(entry))
        rows.append(row)
        if len(entries) == BATCH_ITEMS:
            yield entries, _at(store, rows)
            entries, rows = [], []
    if entries:
        yield entries, _at(store, rows)


def _at(store: StoreReader, rows: Sequence[int]) -> np.ndarray:
    return np.ascontiguousarray(store.vectors_at(rows), np.float32)
