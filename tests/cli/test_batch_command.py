"""``recommend --histories`` writes for every user of a table what ``recommend --history`` prints."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from made_store import random_vectors, write_store
from program import program, watched

from vlm4rec_edge import Recommender


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 items."""
    return write_store(tmp_path_factory.mktemp("batch") / "shop.index", random_vectors(200))


def _histories(count: int) -> dict[str, list[str]]:
    chance = np.random.default_rng(3)
    return {f"u{user}": [f"item-{item}" for item in chance.integers(0, 200, 1 + user % 7)] for user in range(count)}


def _write(path: Path, histories: dict[str, list[str]]) -> Path:
    path.write_text("user_id,history\n" + "".join(f'{user},"{",".join(items)}"\n' for user, items in histories.items()))
    return path


def test_a_table_comes_out_that_says_what_recommend_says(index: Path, tmp_path: Path) -> None:
    histories = _histories(150)
    out = tmp_path / "out.csv"
    table = _write(tmp_path / "in.csv", histories)
    done = program("recommend", index, "--histories", table, "--out", out, "-k", "3")
    assert done.code == 0, done.err
    assert f"{out}: 450 recommendations for 150 of 150 users" in done.out
    with out.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    with Recommender.open(index) as shop:
        expected = [
            (user, str(hit.rank), hit.item_id) for user, items in histories.items() for hit in shop.recommend(items, 3)
        ]
    assert [(row["user_id"], row["rank"], row["item_id"]) for row in rows] == expected


def test_interactions_are_histories_too_and_the_format_goes_by_the_ending(index: Path, tmp_path: Path) -> None:
    table = tmp_path / "in.jsonl"
    lines = [
        {"user_id": user, "item_id": item, "date": f"2024-01-{place + 1:02d}"}
        for user, items in _histories(20).items()
        for place, item in enumerate(dict.fromkeys(items))
    ]
    table.write_text("".join(json.dumps(line) + "\n" for line in reversed(lines)))
    out = tmp_path / "out.jsonl"
    done = program("recommend", index, "--histories", table, "--out", out, "--half-life", "2", "-k", "2", "--json")
    assert done.code == 0, done.err
    assert (done.json["users"], done.json["answered"], done.json["recommendations"]) == (20, 20, 40)
    user = lines[-1]["user_id"]
    own = [line for line in lines if line["user_id"] == user]
    items, dates = (",".join(line[name] for line in own) for name in ("item_id", "date"))
    alone = program(
        "recommend", index, "--history", items, "--times", dates, "--half-life", "2", "-k", "2", "--json"
    ).json["recommendations"]
    found = [record for record in map(json.loads, out.read_text().splitlines()) if record["user_id"] == user]
    assert [record["item_id"] for record in found] == [hit["item_id"] for hit in alone]


def test_what_cannot_be_answered_is_counted_and_told_with_code_3(index: Path, tmp_path: Path) -> None:
    histories = {"ann": ["item-1", "gone"], "bob": [], "eve": ["gone", "lost"], "joe": ["item-2"]}
    table = _write(tmp_path / "in.csv", histories)
    with table.open("a") as stream:
        stream.write(",item-3\n")
    out = tmp_path / "out.parquet"
    command = ("recommend", index, "--histories", table, "--out", out)
    done = program(*command, "--json")
    assert done.code == 3
    assert (done.json["users"], done.json["answered"], done.json["recommendations"]) == (4, 2, 20)
    assert {each["reason"]: each["users"] for each in done.json["without_answer"]} == {
        "The history is empty.": 1,
        "The index holds no item of the history.": 1,
    }
    assert done.json["unanswered"] == ["bob", "eve"]
    assert (done.json["users_with_unknown"], done.json["unknown"]) == (2, ["gone", "lost"])
    assert (done.json["failed"], len(done.json["failures"])) == (1, 1)
    told = program(*command).err
    assert "1 users got no recommendations: The history is empty." in told
    assert "2 histories contain items that are not in the index and were left out: gone, lost" in told
    assert "line 6 has no user_id" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--histories", "in.csv"], "--histories and --out belong together"),
        (["--out", "out.csv"], "--histories and --out belong together"),
        (["--histories", "in.csv", "--out", "out.csv", "--history", "item-1"], "cannot be combined with --history"),
        (["--histories", "in.csv", "--out", "out.csv", "--explain"], "cannot be combined with --history"),
        (["--histories", "in.csv", "--out", "out.xlsx"], "let its name end in .csv"),
    ],
)
def test_what_cannot_be_meant_is_refused(index: Path, arguments: list[str], message: str) -> None:
    done = program("recommend", index, *arguments)
    assert done.code == 2
    assert message in done.err


def test_a_missing_table_leaves_no_file_behind(index: Path, tmp_path: Path) -> None:
    done = program("recommend", index, "--histories", tmp_path / "none.csv", "--out", tmp_path / "out.csv")
    assert done.code == 1
    assert "cannot be read" in done.err
    assert list(tmp_path.iterdir()) == []


def test_the_online_half_alone_is_enough(index: Path, tmp_path: Path) -> None:
    table = _write(tmp_path / "in.csv", _histories(5))
    none = "onnxruntime,llama_cpp,tokenizers,PIL,huggingface_hub,pyarrow,torch"
    done = watched("recommend", index, "--histories", table, "--out", tmp_path / "out.csv", "--json", without=none)
    assert done.code == 0, done.err


def test_the_histories_are_never_overwritten(index: Path, tmp_path: Path) -> None:
    table = _write(tmp_path / "in.csv", _histories(5))
    before = table.read_bytes()
    done = program("recommend", index, "--histories", table, "--out", tmp_path / "." / "in.csv")
    assert done.code == 2
    assert "another name" in done.err
    assert table.read_bytes() == before
