"""`recommend`, `similar`, `search` and `info` through real processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_store import random_vectors, write_store
from program import program, watched

from vlm4rec_edge import Recommender
from vlm4rec_edge.demo.drawings import Drawing

ANSWER = {"index", "method", "query", "unknown", "recommendations"}
HIT = {"rank", "item_id", "score", "title", "caption", "image", "attributes"}
INFO = {
    "index", "items", "captions", "vectors", "failures", "dimensions", "bytes", "method", "encoded_text", "run",
    "grounding", "encoder",
}  # fmt: skip


@pytest.fixture
def ids(drawings: list[Drawing]) -> list[str]:
    """The ids of the shop's items."""
    return [drawing.item_id for drawing in drawings]


def test_recommend_answers_a_program_with_the_documented_fields(shop_index: Path, ids: list[str]) -> None:
    done = program("recommend", shop_index, "--history", f"{ids[0]},{ids[1]}", "-k", "5", "--json")
    assert (done.code, done.err) == (0, "")
    document = done.json
    assert set(document) >= ANSWER
    assert document["query"] == {"history": ids[:2]}
    assert (document["method"], document["unknown"]) == ("exact", [])
    hits = document["recommendations"]
    assert [hit["rank"] for hit in hits] == [1, 2, 3, 4, 5]
    assert all(set(hit) >= HIT for hit in hits)
    assert not {hit["item_id"] for hit in hits} & set(ids[:2])
    with Recommender.open(shop_index) as shop:
        expected = shop.recommend(ids[:2], k=5)
    assert [(hit["item_id"], hit["caption"]) for hit in hits] == [(hit.item_id, hit.caption) for hit in expected]
    assert [hit["score"] for hit in hits] == pytest.approx([hit.score for hit in expected], abs=1e-6)


def test_recommend_in_a_fresh_process_loads_no_model(shop_index: Path, ids: list[str]) -> None:
    done = watched("recommend", shop_index, "--history", ids[0], "-k", "3", "--json")
    assert len(done.json["recommendations"]) == 3
    assert "numpy" in done.loaded  # the list of modules is a true one
    assert not {"llama_cpp", "onnxruntime", "tokenizers", "torch", "PIL", "transformers"} & done.loaded


def test_recommend_shows_people_a_table(shop_index: Path, ids: list[str]) -> None:
    done = program("recommend", shop_index, "--history", ids[0], "-k", "4")
    assert done.code == 0
    header, *rows = done.out.strip().splitlines()
    assert header.split()[:3] == ["#", "item", "score"]
    assert [row.split()[0] for row in rows] == ["1", "2", "3", "4"]
    assert not any(row.split()[1] == ids[0] for row in rows)


def test_a_history_may_be_given_in_any_number_of_parts(shop_index: Path, ids: list[str]) -> None:
    whole = program("recommend", shop_index, "--history", ",".join(ids[:3]), "--json").json
    for parts in (
        ["--history", ids[0], "--history", f"{ids[1]},{ids[2]}"],
        ["--history", f" {ids[0]} , {ids[1]},,{ids[2]}, "],
    ):
        assert program("recommend", shop_index, *parts, "--json").json == whole


def test_an_id_with_a_comma_in_it_is_understood(tmp_path: Path) -> None:
    index = write_store(tmp_path / "s", random_vectors(4), [("a,b", 0), ("a", 1), ("b", 2), ("c", 3)])
    assert program("recommend", index, "--history", "a,b", "--json").json["query"] == {"history": ["a,b"]}
    assert program("recommend", index, "--history", "a,c", "--json").json["query"] == {"history": ["a", "c"]}


def test_unknown_ids_are_left_out_told_and_coded(shop_index: Path, ids: list[str]) -> None:
    done = program("recommend", shop_index, "--history", f"nobody,{ids[0]}", "-k", "2")
    assert done.code == 3
    assert "Not in the index, and left out: nobody." in done.err
    assert len(done.out.strip().splitlines()) == 3
    document = program("recommend", shop_index, "--history", f"nobody,{ids[0]}", "--json").json
    assert document["unknown"] == ["nobody"]


@pytest.mark.parametrize(
    ("arguments", "kind", "code"),
    [
        (["recommend", "--history", "nobody"], "UnknownItemError", 1),
        (["recommend", "--history", " , ,"], "UsageError", 2),
        (["similar", "nobody"], "UnknownItemError", 1),
        (["search", "  "], "UsageError", 2),
        (["search", "red", "--encoder", "starter-lvlm"], "ModelError", 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_can_not_be_answered_is_a_sentence_and_a_code(
    shop_index: Path, arguments: list[str], kind: str, code: int
) -> None:
    command, *rest = arguments
    done = program(command, shop_index, *rest, "--json")
    assert done.code == code
    assert done.json["error"]["kind"] == kind
    assert done.err == f"Error: {done.json['error']['message']}\n"


@pytest.mark.parametrize("command", ["recommend", "similar", "search"])
def test_bytes_that_are_no_text_are_an_unknown_item_and_no_crash(shop_index: Path, command: str) -> None:
    option = ["--history"] if command == "recommend" else []
    done = program(command, shop_index, *option, b"caf\xe9".decode("utf-8", "surrogateescape"), "--json")
    assert done.code == (0 if command == "search" else 1)
    assert done.json


def test_k_beyond_the_catalog_gives_all_there_is_and_says_so(shop_index: Path, ids: list[str]) -> None:
    done = program("similar", shop_index, ids[0], "-k", "1000")
    assert done.code == 0
    assert f"has only {len(ids) - 1} items to offer" in done.err
    assert len(done.out.strip().splitlines()) == len(ids)


def test_similar_is_a_history_of_one(shop_index: Path, ids: list[str]) -> None:
    similar = program("similar", shop_index, ids[4], "--json").json
    assert similar["query"] == {"item": ids[4]}
    assert (
        similar["recommendations"]
        == program("recommend", shop_index, "--history", ids[4], "--json").json["recommendations"]
    )


def test_search_finds_by_words(shop_index: Path) -> None:
    with Recommender.open(shop_index) as shop:
        caption = next(iter(shop.store.items())).caption
    done = program("search", shop_index, caption, "-k", "2", "--json")
    assert done.code == 0
    assert done.json["query"] == {"text": caption}
    assert done.json["recommendations"][0]["caption"] == caption
    same = program("search", shop_index, caption, "-k", "2", "--encoder", "all-minilm-l6-v2", "--json")
    assert same.json == done.json
    assert caption[:30] in program("search", shop_index, caption, "-k", "2").out


def test_info_says_what_an_index_holds_and_what_made_it(shop_index: Path, ids: list[str]) -> None:
    done = program("info", shop_index, "--json")
    assert (done.code, done.err) == (0, "")
    document = done.json
    assert set(document) >= INFO
    assert (document["items"], document["failures"], document["dimensions"]) == (len(ids), 0, 384)
    assert (document["method"], document["encoded_text"], document["run"]) == ("exact", "caption", 1)
    assert document["grounding"]["name"] == "starter-lvlm"
    assert document["encoder"]["name"] == "all-minilm-l6-v2"
    assert document["bytes"] >= sum(path.stat().st_size for path in shop_index.glob("*.f32"))
    shown = program("info", shop_index).out
    for part in (str(shop_index), str(len(ids)), "starter-lvlm", "all-minilm-l6-v2", "Describe this product."):
        assert part in shown


@pytest.mark.parametrize(
    ("command", "place"),
    [("recommend", "nowhere"), ("similar", "file"), ("search", "nowhere"), ("info", "nowhere"), ("info", "x" * 300)],
)
def test_where_there_is_no_index_the_message_names_the_place(tmp_path: Path, command: str, place: str) -> None:
    (tmp_path / "file").write_text("no index")
    rest = {"recommend": ["--history", "a"], "similar": ["a"], "search": ["red"], "info": []}[command]
    done = program(command, tmp_path / place, *rest)
    assert done.code == 1
    assert str(tmp_path / place) in done.err
    assert done.err.startswith("Error: ")
    assert done.out == ""


def test_an_index_may_be_named_relative_to_any_working_folder(shop_index: Path, ids: list[str]) -> None:
    done = program("similar", shop_index.name, ids[0], "-k", "1", "--json", cwd=shop_index.parent)
    assert (done.code, done.json["index"]) == (0, shop_index.name)
