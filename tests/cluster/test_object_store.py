"""Photos and a table in an object store: one that speaks S3, on this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_shards import captions_made, models, write_table
from made_store import random_vectors, write_store

from vlm4rec_edge import Recommender, Selection, export_to_lancedb
from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.lance.writer import finish, remove_items, upsert_items
from vlm4rec_edge.recommend.source import open_source
from vlm4rec_edge.shards.merging import merge_shards
from vlm4rec_edge.shards.planning import plan_shards
from vlm4rec_edge.shards.running import run_shards

_HOW = "is not installed: make test-cluster"
server = pytest.importorskip("moto.server", reason=f"moto {_HOW}")
s3fs = pytest.importorskip("s3fs", reason=f"s3fs {_HOW}")
pytest.importorskip("lancedb", reason=f"lancedb {_HOW}")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[s3fs.S3FileSystem]:
    """A store with the bucket ``shop``, which programs find by the variables that they know."""
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    told = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "name",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    files = s3fs.S3FileSystem()
    files.mkdir("shop")
    yield files
    files.rm("shop", recursive=True)  # all servers of a process have one memory
    s3fs.S3FileSystem.clear_instance_cache()
    running.stop()


def test_photos_of_a_store_become_a_table_in_it(store: s3fs.S3FileSystem, tmp_path: Path) -> None:
    rows = []
    for number in range(30):
        store.pipe(f"shop/photos/{number}.jpg", b"photo %d" % number)
        rows.append([f"item-{number}", f"s3://shop/photos/{number}.jpg", f"Title {number}", str(number % 7), ""])
    rows[4][1] = "s3://shop/photos/gone.jpg"
    folder, log = tmp_path / "shards", tmp_path / "captions.log"
    assert plan_shards(write_table(tmp_path / "items.csv", rows), folder, rows=10).addresses == 30
    report = run_shards(folder, models=models(log), fetch=True)
    assert (report.items, report.failures, captions_made(log).total()) == (29, 1, 29)
    address = "lancedb+s3://shop/tables/shop"
    merged = merge_shards(folder, address)
    assert [(failure.where, failure.reason) for failure in merged.failures] == [
        ("item-4", "The image s3://shop/photos/gone.jpg cannot be fetched: there is no such file.")
    ]
    merge_shards(folder, tmp_path / "index")
    with Recommender.open(address) as found, Recommender.open(tmp_path / "index") as expected:
        told = [{item.id: replace(item, row=0) for item in shop.store.items()} for shop in (found, expected)]
        assert told[0] == told[1]
        assert told[0]["item-3"].image == "s3://shop/photos/3.jpg"
        selection = Selection(where="price > 2", diversity=0.2)
        answers = [shop.recommend(["item-1", "item-9"], 8, selection=selection) for shop in (found, expected)]
        assert [hit.item_id for hit in answers[0]] == [hit.item_id for hit in answers[1]]
        assert np.allclose(*[[hit.score for hit in answer] for answer in answers], atol=1e-3)


def test_a_table_in_a_store_is_written_by_two_at_once_and_read_meanwhile(
    store: s3fs.S3FileSystem, tmp_path: Path
) -> None:
    index = write_store(tmp_path / "index", random_vectors(40))
    address = "lancedb+s3://shop/tables/shop"
    with pytest.raises(StoreError, match=r"There is no index at lancedb\+s3://shop/tables/shop"):
        Recommender.open(address)
    assert export_to_lancedb(index, address).items == 40
    source, _ = open_source(index)
    items = list(source.items())
    problems: list[BaseException] = []

    def write(name: str) -> None:
        try:
            for number in range(3):
                some = [replace(item, id=f"{name}-{number}-{item.id}") for item in items[:5]]
                upsert_items(address, some, source.vectors_at([item.row for item in some]), space=source.space)
                remove_items(address, [f"item-{number}"])
        except BaseException as error:
            problems.append(error)

    writers = [threading.Thread(target=write, args=[name]) for name in "ab"]
    with Recommender.open(address) as shop:
        for writer in writers:
            writer.start()
        assert len(shop.similar("item-0", 100)) == 39
        for writer in writers:
            writer.join()
        assert problems == []
        assert shop.reload_if_changed()
        ids = sorted(shop.store.ids())
    source.close()
    assert ids == sorted(
        [f"{name}-{number}-item-{place}" for name in "ab" for number in range(3) for place in range(5)]
        + [f"item-{number}" for number in range(3, 40)]
    )
    finish(address)
    export_to_lancedb(index, address)
    with Recommender.open(address) as shop:
        assert shop.store.count() == 40
