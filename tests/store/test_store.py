"""What is written is what is read: items, captions, vectors, provenance and failures."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_store import EncodingWriter, GivenVectors, random_vectors, write_store

from vlm4rec_edge import LlamaCaptioner, OnnxEncoder
from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.items import Failure, Item
from vlm4rec_edge.store.grounded import GroundedItem
from vlm4rec_edge.store.made_items import made_items
from vlm4rec_edge.store.reader import StoreReader

VECTORS = random_vectors(40, 8)


def _writer(folder: Path, vectors: np.ndarray = VECTORS) -> EncodingWriter:
    grounding = ("made-grounding", {"name": "made", "prompt": "What?"})
    return EncodingWriter(folder, grounding=grounding, encoder=GivenVectors(vectors), encoded_text="caption")


def _entry(name: str, row: int, caption: str = "A coat.", key: str = "k", **settings: object) -> GroundedItem:
    return GroundedItem(Item(name, Path("photo.png"), **settings), "0" * 64, key, "What?", caption, str(row))  # type: ignore[arg-type]


def test_an_item_comes_back_as_it_went_in(tmp_path: Path) -> None:
    attributes = {"brand": "Ÿ “Acme” 商品 🧥", "empty": "", "nul\0": "a\0b"}
    with _writer(tmp_path / "s") as store:
        counts = store.put([_entry("É/1", 3, "Un manteau.", title="Zwarte jas 🧥", attributes=attributes)])
    assert (counts.captions, counts.encoded) == (1, 1)
    with StoreReader(tmp_path / "s") as read:
        item = read.items_of(["É/1"])["É/1"]
        assert item is not None
        assert (item.title, item.caption, item.attributes) == ("Zwarte jas 🧥", "Un manteau.", attributes)
        assert item.image == str(Path("photo.png").absolute())
        np.testing.assert_array_equal(read.vectors[item.row], VECTORS[3])
        assert read.provenance("groundings") == {"name": "made", "prompt": "What?"}
        assert read.provenance("encoders")["name"] == "given"
        assert read.meta["encoded_text"] == "caption"
        assert read.items_of(["é/1"]) == {}


def test_items_come_in_the_order_they_were_first_written(tmp_path: Path) -> None:
    folder = write_store(tmp_path / "s", VECTORS, [("c", 0), ("a", 1), ("b", 2)])
    write_store(folder, VECTORS, [("d", 3), ("a", 4)])
    with StoreReader(folder) as store:
        assert [item.id for item in store.items()] == ["c", "a", "b", "d"]


def test_one_text_is_encoded_once_and_shared(tmp_path: Path) -> None:
    with _writer(tmp_path / "s") as store:
        first = store.put([_entry("a", 5), _entry("b", 5), _entry("c", 6, key="k2")])
        second = store.put([_entry("d", 5), _entry("e", 7, key="k3")])
    assert (first.captions, first.encoded) == (2, 2)
    assert (second.captions, second.encoded) == (1, 1)
    with StoreReader(tmp_path / "s") as read:
        assert len(read.vectors) == 3
        assert read.ids_at([0])[0] == ["a", "b", "d"]
        assert read.rows_of(["d", "nobody", "a", "d"]) == {"d": 0, "a": 0}
        assert read.counts() == {
            "items": 5,
            "captions": 3,
            "vectors": 3,
            "failures": 0,
            "photos": 5,
            "photo_vectors": 0,
        }


def test_more_ids_than_one_statement_takes_are_found(tmp_path: Path) -> None:
    vectors = random_vectors(1800, 4)
    folder = write_store(tmp_path / "s", vectors)
    with StoreReader(folder) as store:
        assert store.rows_of([f"item-{row}" for row in range(1800)]) == {f"item-{row}": row for row in range(1800)}
        assert len(store.ids_at(range(1800))) == 1800
        assert len(store.items_of([f"item-{row}" for row in range(1800)])) == 1800


def test_failures_are_those_of_the_last_run(tmp_path: Path) -> None:
    failures = [Failure("a", "photo", "It is empty."), Failure("items.csv, line 3", "catalog", "It has no id.")]
    with _writer(tmp_path / "s") as store:
        store.write_failures(failures)
    with StoreReader(tmp_path / "s") as read:
        assert list(read.failures()) == failures
    with _writer(tmp_path / "s"):
        pass
    with StoreReader(tmp_path / "s") as read:
        assert list(read.failures()) == []


def test_a_batch_that_fails_leaves_nothing_of_itself(tmp_path: Path) -> None:
    with _writer(tmp_path / "s") as store:
        store.put([_entry("a", 1)])
        with pytest.raises(IndexError):
            store.put([_entry("b", 2, key="k2"), _entry("c", 99, key="k3")])  # no vector 99
        store.put([_entry("d", 3, key="k4")])
    with StoreReader(tmp_path / "s") as read:
        assert [item.id for item in read.items()] == ["a", "d"]
        for name, row in (("a", 1), ("d", 3)):
            np.testing.assert_array_equal(read.vectors[read.rows_of([name])[name]], VECTORS[row])


def test_a_crash_between_vectors_and_database_is_overwritten(tmp_path: Path) -> None:
    folder = write_store(tmp_path / "s", VECTORS, [("a", 0)])
    (path,) = folder.glob("vectors-*.f32")
    with path.open("ab") as stream:
        stream.write(random_vectors(3, 8, seed=9).tobytes())
    write_store(folder, VECTORS, [("b", 1), ("c", 2)])
    with StoreReader(folder) as store:
        for name, row in (("a", 0), ("b", 1), ("c", 2)):
            np.testing.assert_array_equal(store.vectors[store.rows_of([name])[name]], VECTORS[row])


def test_vectors_are_little_endian_float32_row_after_row(tmp_path: Path) -> None:
    folder = write_store(tmp_path / "s", VECTORS)
    (path,) = folder.glob("vectors-*.f32")
    np.testing.assert_array_equal(np.frombuffer(path.read_bytes(), dtype="<f4").reshape(40, 8), VECTORS)


def test_the_store_of_the_shop_says_what_made_it(
    shop_index: Path, captioner: LlamaCaptioner, encoder: OnnxEncoder
) -> None:
    with StoreReader(shop_index) as store:
        assert store.provenance("groundings") == captioner.identity
        assert store.provenance("encoders") == encoder.identity
        assert (store.meta["grounding"], store.meta["encoder"]) == (captioner.fingerprint, encoder.fingerprint)
        np.testing.assert_allclose(np.linalg.norm(store.vectors, axis=1), 1, atol=1e-5)


def test_a_lock_is_held_against_other_processes_and_ends_with_its_holder(tmp_path: Path) -> None:
    folder = write_store(tmp_path / "s", VECTORS)
    code = "import sys; from pathlib import Path; from vlm4rec_edge.store.lock import WriterLock\n"
    code += "lock = WriterLock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    try:
        with pytest.raises(StoreError, match=rf"is being written by process {holder.pid} on .*; wait for it to end"):
            write_store(folder, VECTORS)
        with StoreReader(folder) as store:
            assert store.count() == 40
    finally:
        holder.kill()
        holder.communicate()
    write_store(folder, VECTORS)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_can_be_read_and_not_written(tmp_path: Path) -> None:
    folder = write_store(tmp_path / "s", VECTORS)
    folder.chmod(0o555)
    try:
        with StoreReader(folder) as store:
            assert store.count() == 40
        with pytest.raises(StoreError, match="cannot be written"):
            write_store(folder, VECTORS)
    finally:
        folder.chmod(0o755)


def test_where_no_item_has_further_photos_none_is_looked_for(tmp_path: Path) -> None:
    asked: list[str] = []

    class Watched(StoreReader):
        def query(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Any]:
            asked.append(sql)
            return super().query(sql, parameters)

    with Watched(write_store(tmp_path / "i", random_vectors(2))) as store:
        assert (len(list(store.items())), len(store.table().ids), len(list(made_items(store)))) == (2, 2, 2)
    assert [sql for sql in asked if "photos" in sql] == ["SELECT EXISTS (SELECT 1 FROM photos)"]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read where Linux tells it")
def test_what_is_read_once_does_not_stay_in_memory(tmp_path: Path) -> None:
    rows = 20_000
    write_store(tmp_path, random_vectors(rows, 384))
    everything = np.arange(rows)
    with StoreReader(tmp_path) as store:
        whole = store.vectors.nbytes
        assert np.array_equal(store.vectors_once(everything), store.vectors)  # which maps it all
        before = _mapped_bytes()
        kept = store.vectors_at(everything[:1])
        assert np.array_equal(store.vectors_once(everything[:1]), kept)
        assert before - _mapped_bytes() > whole // 2


def _mapped_bytes() -> int:
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return int(fields["RssFile"].split()[0]) * 1024
