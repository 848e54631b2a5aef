"""`export` through real processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from drawings import Drawing
from program import program

FIELDS = {"index", "format", "items", "dimensions", "files", "collection", "address"}


def test_a_file_and_a_folder(shop_index: Path, tmp_path: Path, drawings: list[Drawing]) -> None:
    done = program("export", shop_index, tmp_path / "s.jsonl", "--format", "jsonl", "--json")
    assert (done.code, done.err) == (0, "")
    assert set(done.json) >= FIELDS
    assert (done.json["items"], done.json["dimensions"]) == (len(drawings), 384)
    assert done.json["files"] == [str(tmp_path / "s.jsonl")]
    folder = program("export", shop_index, tmp_path / "out", "--format", "numpy")
    assert f"{len(drawings)} items with vectors of 384 values" in folder.out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["about.json", "items.jsonl", "vectors.npy"]


@pytest.mark.parametrize(("name", "form"), [("s.JSONL", "jsonl"), ("s.csv", "csv"), ("s.txt", "parquet")])
def test_the_ending_of_the_file_decides_the_format(shop_index: Path, tmp_path: Path, name: str, form: str) -> None:
    assert program("export", shop_index, tmp_path / name, "--json").json["format"] == form
    assert (tmp_path / name).read_bytes()[:4] == {"jsonl": b'{"id', "csv": b"id,t", "parquet": b"PAR1"}[form]


def test_a_qdrant_collection(shop_index: Path, tmp_path: Path, drawings: list[Drawing]) -> None:
    client = pytest.importorskip("qdrant_client", reason="qdrant-client is not installed")
    place = tmp_path / "qdrant"
    done = program("export", shop_index, "--format", "qdrant", "--url", place, "--collection", "shop", "--json")
    assert (done.code, done.json["collection"], done.json["files"]) == (0, "shop", [])
    opened = client.QdrantClient(path=str(place))
    assert opened.count("shop").count == len(drawings)
    opened.close()


def test_a_lancedb_table_and_what_is_asked_of_it(shop_index: Path, tmp_path: Path, drawings: list[Drawing]) -> None:
    pytest.importorskip("lancedb", reason="lancedb is not installed")
    address = f"lancedb://{tmp_path / 'shop'}"
    done = program("export", shop_index, address, "--json")
    assert (done.code, done.err, done.json["format"], done.json["address"]) == (0, "", "lancedb", address)
    history = ["--history", drawings[0].item_id]
    answers = [program("recommend", index, *history, "--explain", "--json") for index in (shop_index, address)]
    assert [answer.code for answer in answers] == [0, 0]
    assert answers[1].json["index"] == address
    told = [[(hit["item_id"], round(hit["score"], 3)) for hit in answer.json["recommendations"]] for answer in answers]
    assert told[0] == told[1]
    info = program("info", address, "--json")
    assert (info.json["items"], info.json["method"], "bundle" in info.json) == (len(drawings), "exact", False)
    assert info.json["table"]["version"] > 0
    assert f"{len(drawings)} items" in program("items", address, "--limit", 1).err
    refused = program("verify", address, "--json")
    assert (refused.code, refused.json["error"]["kind"]) == (2, "UsageError")


def test_a_qdrant_server_that_is_not_there_is_a_sentence(shop_index: Path) -> None:
    pytest.importorskip("qdrant_client", reason="qdrant-client is not installed")
    address = ["--url", "http://127.0.0.1:9", "--collection", "shop"]
    done = program("export", shop_index, "--format", "qdrant", *address, "--json")
    assert (done.code, done.json["error"]["kind"]) == (1, "StoreError")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["x", "--format", "qdrant"],
        ["--format", "qdrant", "--url", "u"],
        ["x", "--url", "u"],
        ["x", "--format", "y"],
        ["x", "--format", "lancedb"],
        ["lancedb://x", "--format", "jsonl"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant(shop_index: Path, tmp_path: Path, arguments: list[str]) -> None:
    done = program("export", shop_index, *arguments, cwd=tmp_path)
    assert done.code == 2
    assert list(tmp_path.iterdir()) == []
