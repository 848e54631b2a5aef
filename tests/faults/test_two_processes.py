"""One writer, any number of readers: nobody sees half of anything, and nobody waits for the dead."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from breaking import child
from breaking.child import Task
from breaking.trials import run_child
from made_store import EncodingWriter
from running.fresh_process import part_command
from running.stand_ins import MadeVectors

from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.index_folder import IndexFolder
from vlm4rec_edge.items import Item
from vlm4rec_edge.store import snapshot
from vlm4rec_edge.store.grounded import GroundedItem
from vlm4rec_edge.store.lock import LOCK_NAME, WriterLock
from vlm4rec_edge.store.reader import StoreReader


@pytest.fixture(autouse=True)
def _children_are_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their own process holds the lock, and nothing stands between it and a kill."""
    monkeypatch.setattr(child, "part_command", part_command)


@contextmanager
def _running(task: Task) -> Iterator[subprocess.Popen[str]]:
    """A child at work, which has begun to write."""
    with subprocess.Popen(task.command(), stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout is not None
        process.stdout.readline()
        deadline = time.monotonic() + 60
        while not (Path(task.out) / "writer.txt").exists() or not (Path(task.out) / "store.sqlite").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        try:
            yield process
        finally:
            process.kill()


def test_a_second_writer_is_refused_and_told_who_is_first(task: Task) -> None:
    with _running(replace(task, seconds_a_caption=0.2)) as first:
        second = run_child(task)
        assert second.code == 1
        assert f"is being written by process {first.pid} on " in second.said
        assert first.poll() is None, "the first goes on"


def test_the_lock_of_a_killed_writer_is_free_at_once(task: Task) -> None:
    with _running(replace(task, seconds_a_caption=0.2)) as first:
        first.kill()
        first.wait()
    assert (Path(task.out) / "writer.txt").exists(), "it had no time to tidy up"
    assert run_child(task).code == 0


def test_a_damaged_lock_file_still_locks(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).write_bytes(b"no database" * 100)
    lock = WriterLock(tmp_path)
    with pytest.raises(StoreError, match=f"process {os.getpid()} "):
        WriterLock(tmp_path)
    lock.release()
    WriterLock(tmp_path).release()


def test_finished_work_is_seen_while_the_run_goes_on(task: Task) -> None:
    with _running(replace(task, seconds_a_caption=0.02)) as first:
        deadline = time.monotonic() + 60
        seen = 0
        while not seen:
            assert time.monotonic() < deadline
            try:
                with StoreReader(task.out) as store:
                    seen = store.count()
            except StoreError as error:
                assert "just begun" in str(error)
        assert first.poll() is None
    assert 0 < seen < 96


def _batch(names: range) -> list[GroundedItem]:
    return [
        GroundedItem(Item(f"item-{name}", Path("none.jpg"), f"kind {name}"), "", None, "", "", f"kind {name}")
        for name in names
    ]


def _write(folder: Path, names: range, *, compact: bool = False) -> None:
    with (
        MadeVectors(32) as encoder,
        EncodingWriter(folder, grounding=None, encoder=encoder, encoded_text="title") as store,
    ):
        store.put(_batch(names))
        store.prune()
        if compact:
            store.compact(force=True)


@pytest.mark.parametrize("mapped", [False, True])
def test_a_reader_keeps_its_view_through_exchange_and_compaction(tmp_path: Path, mapped: bool) -> None:
    folder = tmp_path / "index"
    _write(folder, range(50))
    with StoreReader(folder, mapped=mapped) as before:
        known = np.array(before.vectors)
        items = list(before.items())
        _write(folder, range(40, 80), compact=True)
        assert (before.vectors == known).all()
        assert list(before.items()) == items
        with StoreReader(folder) as after:
            assert {item.id for item in after.items()} == {f"item-{name}" for name in range(40, 80)}
            assert len(after.vectors) == 40
            old = {item.id: before.vectors[item.row] for item in items}
            for item in after.items():
                if item.id in old:
                    assert (after.vectors[item.row] == old[item.id]).all()
    assert IndexFolder(folder).verify().ok


def test_a_compaction_between_two_looks_of_a_reader_is_not_taken_for_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "index"
    _write(folder, range(200))
    map_vectors = snapshot.map_vectors
    calls = []

    def late(path: Path, rows: int, dimensions: int) -> np.ndarray:
        calls.append(path)
        if len(calls) == 1:
            monkeypatch.setattr(snapshot, "map_vectors", map_vectors)  # the writer reads, too
            _write(folder, range(100, 300), compact=True)
            monkeypatch.setattr(snapshot, "map_vectors", late)
        return map_vectors(path, rows, dimensions)

    monkeypatch.setattr(snapshot, "map_vectors", late)
    with StoreReader(folder) as store:
        assert store.count() == 200
    assert len(calls) == 2


def test_readers_in_threads_beside_a_writer_never_see_a_half_done_state(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    _write(folder, range(64))
    stop = threading.Event()
    wrong: list[object] = []

    def read(mapped: bool) -> None:
        with MadeVectors(32) as encoder:
            while not stop.is_set():
                with StoreReader(folder, mapped=mapped) as store:
                    items = list(store.items())
                    if len(items) != 64:
                        wrong.append(len(items))
                    for item in items[::16]:
                        if not np.array_equal(store.vectors[item.row], encoder.encode([item.title])[0]):
                            wrong.append(item)

    readers = [threading.Thread(target=read, args=(mapped,)) for mapped in (False, True)]
    for thread in readers:
        thread.start()
    try:
        for start in range(1, 12):
            with (
                MadeVectors(32) as encoder,
                EncodingWriter(folder, grounding=None, encoder=encoder, encoded_text="title") as store,
            ):
                # The same ids with other titles: every batch exchanges all items at once.
                store.put(
                    [replace(entry, item=replace(entry.item, title=entry.text)) for entry in _batch(range(64))]
                    if start % 2
                    else [
                        replace(entry, item=replace(entry.item, title=f"other {start}"), text=f"other {start}")
                        for entry in _batch(range(64))
                    ]
                )
                store.compact(force=True)
    finally:
        stop.set()
        for thread in readers:
            thread.join()
    assert wrong == []


class _OtherMachine(MadeVectors):
    """The same encoder by its fingerprint, with other vectors, as int8 on another processor would make them."""

    def encode(self, texts: list[str]) -> np.ndarray:  # type: ignore[override]
        return np.roll(super().encode(texts), 1, axis=1)


def test_a_machine_that_makes_other_vectors_may_read_but_not_write(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    _write(folder, range(20))
    with (
        pytest.raises(StoreError, match="makes other vectors"),
        EncodingWriter(folder, grounding=None, encoder=_OtherMachine(32), encoded_text="title"),
    ):
        pass
    assert IndexFolder(folder).verify().ok
    _write(folder, range(30))
