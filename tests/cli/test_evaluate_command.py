"""``evaluate`` gives a shop the figures of its own users, beside popularity and chance, and tells what it left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_store import unit, write_store
from program import program, watched

from vlm4rec_edge import Recommender

KINDS, OF_EACH = 6, 10


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Items of six kinds that lie apart: 0 to 9 of the first kind, and so on; neighbours share six letters of their id."""
    noise = np.random.default_rng(1).normal(size=(KINDS * OF_EACH, KINDS))
    vectors = unit(np.repeat(np.eye(KINDS), OF_EACH, axis=0) + 0.1 * noise)
    items = [(f"p{row // 2:05d}-{row % 2}", row) for row in range(len(vectors))]
    return write_store(tmp_path_factory.mktemp("evaluate") / "shop.index", vectors, items)


@pytest.fixture(scope="module")
def purchases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 users who buy six items of one kind each, a day apart."""
    generator = np.random.default_rng(2)
    lines = ["user_id,item_id,date"]
    for user in range(60):
        liked = (user % KINDS) * OF_EACH + generator.permutation(OF_EACH)[:6]
        lines += [f"u{user},p{item // 2:05d}-{item % 2},2024-01-{day + 1:02d}" for day, item in enumerate(liked)]
    table = tmp_path_factory.mktemp("purchases") / "purchases.csv"
    table.write_text("\n".join(lines) + "\n")
    return table


@pytest.fixture(scope="module")
def document(index: Path, purchases: Path) -> Any:
    """What the command says to a program."""
    done = program("evaluate", index, "--interactions", purchases, "--group", "id:6", "--resamples", "300", "--json")
    assert done.code == 0, done.err
    return done.json


def systems(table: Any) -> dict[str, Any]:
    return {each["system"]: each for each in table["systems"]}


def test_the_document_has_every_figure_with_its_interval_and_its_difference(document: Any) -> None:
    assert document["items"] == document["vectors"] == KINDS * OF_EACH
    assert document["interactions"]["used"] == 360
    assert [table["own_variants"] for table in document["tables"]] == ["kept", "removed"]
    names = {"recall@10", "ndcg@10", "hit_rate@10", "mrr", "coverage@10", "novelty@10"}
    for table in document["tables"]:
        measured = systems(table)
        assert set(measured) == {"index", "popularity", "random"}
        for each in measured.values():
            assert set(each["figures"]) == names
            for figure in each["figures"].values():
                assert 0 <= figure["low"] <= figure["mean"] <= figure["high"]
        assert measured["index"]["differences"] == {}
        for name in ("popularity", "random"):
            assert set(measured[name]["differences"]) == names - {"coverage@10"}
            assert measured[name]["differences"]["recall@10"]["high"] < 0, "the index knows the tastes"
    assert document["tables"][0]["users"] == 60
    assert document["tables"][1]["users"] < 60, "some tests were variants only"


def test_the_figures_are_those_of_recommend(index: Path, purchases: Path, document: Any) -> None:
    """One user after the other through the public API gives the recall that the command prints."""
    bought: dict[str, list[str]] = {}
    for line in purchases.read_text().splitlines()[1:]:
        user, item, _ = line.split(",")
        bought.setdefault(user, []).append(item)
    recalls = []
    with Recommender.open(index) as shop:
        for items in bought.values():
            found = {hit.item_id for hit in shop.recommend(items[:-1], k=3)}
            recalls.append(items[-1] in found)
    done = program("evaluate", index, "--interactions", purchases, "--metric", "recall@3,mrr", "--json")
    figures = systems(done.json["tables"][0])["index"]["figures"]
    assert list(figures) == ["recall@3", "mrr"]
    assert figures["recall@3"]["mean"] == pytest.approx(np.mean(recalls))


def test_recency_and_weights_are_evaluated_too(index: Path, purchases: Path, tmp_path: Path) -> None:
    """With a half-life of minutes, or with nearly all weight on it, the last item of a history decides alone."""
    lines = purchases.read_text().splitlines()
    weighted = [f"{line},{1000 ** int(line[-1])}" for line in lines[1:]]
    table = tmp_path / "weighted.csv"
    table.write_text("\n".join([f"{lines[0]},weight", *weighted]) + "\n")
    command = ("evaluate", index, "--interactions", table, "--metric", "mrr", "--resamples", "10", "--json")
    mean, last, half_life, by_weight = (
        systems(program(*command, *more).json["tables"][0])["index"]["figures"]["mrr"]["mean"]
        for more in ([], ["--last", "1"], ["--half-life", "0.01"], ["--weighted"])
    )
    assert last == pytest.approx(half_life)
    assert last == pytest.approx(by_weight)
    assert last != pytest.approx(mean)


def test_what_else_was_bought_on_the_day_of_the_test_can_be_left_out(index: Path, tmp_path: Path) -> None:
    """Users buy three kinds on one day and three on another; only the second tells the last item's kind."""
    lines = ["user_id,item_id,date"]
    for user in range(KINDS):
        kinds = [(user + 1) % KINDS] * 3 + [user] * 3
        bought = [kind * OF_EACH + number for number, kind in enumerate(kinds)]
        lines += [
            f"u{user},p{item // 2:05d}-{item % 2},2024-01-0{1 + number // 3}" for number, item in enumerate(bought)
        ]
    table = tmp_path / "days.csv"
    table.write_text("\n".join(lines) + "\n")
    command = ("evaluate", index, "--interactions", table, "--metric", "mrr", "--resamples", "10", "--json")
    documents = {order: program(*command, "--same-day", order).json for order in ("by-id", "random", "left-out")}
    assert {order: each["protocol"]["same_day"] for order, each in documents.items()} == {o: o for o in documents}
    mrr = {order: systems(each["tables"][0])["index"]["figures"]["mrr"]["mean"] for order, each in documents.items()}
    assert min(mrr["by-id"], mrr["random"]) > 2 * mrr["left-out"] > 0

    lines = [line.replace("-02", "-01") if line.startswith("u0,") else line for line in lines]
    table.write_text("\n".join(lines) + "\n")
    told = program(*command[:-1], "--same-day", "left-out")
    assert "1 users have fewer than 5 items, or none of an earlier day, and are not tested." in told.err

    table.write_text(table.read_text().replace("-02\n", "-01\n"))
    refused = program(*command, "--same-day", "left-out")
    assert refused.code == 2
    assert "No user has a history before the day of the first item to predict." in refused.err


def test_people_get_a_table_and_what_it_rests_on(index: Path, purchases: Path) -> None:
    done = program("evaluate", index, "--interactions", purchases, "--protocol", "last", "--metric", "ndcg@10")
    assert done.code == 0
    assert "60 users" in done.out
    assert "difference from the index" in done.out
    assert done.out.count("ndcg@10") == 3
    assert "60 items (60 different vectors) are the candidates; 360 interactions" in done.err


def test_what_was_left_out_is_told_with_code_3(index: Path, purchases: Path, tmp_path: Path) -> None:
    table = tmp_path / "more.csv"
    table.write_text(purchases.read_text() + "u1,gone,2024-02-01\nu2,,2024-02-01\nu99,p00001-0,2024-02-01\n")
    done = program("evaluate", index, "--interactions", table, "--metric", "mrr", "--resamples", "10")
    assert done.code == 3
    assert "Not in the index, and left out: gone." in done.err
    assert "line 363 has no item_id" in done.err
    assert "1 users have fewer than 5 items" in done.err
    as_json = program("evaluate", index, "--interactions", table, "--metric", "mrr", "--resamples", "10", "--json")
    assert as_json.code == 3
    assert as_json.json["unknown_items"] == ["gone"]
    assert as_json.json["short_users"] == 1
    assert len(as_json.json["interactions"]["failures"]) == 1


def test_the_same_seed_gives_the_same_document(index: Path, purchases: Path) -> None:
    command = ("evaluate", index, "--interactions", purchases, "--resamples", "50", "--json", "--seed")
    first, again, other = (program(*command, seed).json["tables"] for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metric", "f1@10"], "There is no metric 'f1@10'; the metrics are recall@10"),
        (["--group", "colour"], "There is no column 'colour' to group by"),
        (["--min-items", "7"], "No user has 7 different items of this catalog"),
        (["--test-share", "1.5"], "test share is 1.5"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(
    index: Path, purchases: Path, arguments: list[str], message: str
) -> None:
    done = program("evaluate", index, "--interactions", purchases, *arguments)
    assert done.code == 2
    assert message in done.err
    assert done.out == ""


def test_evaluating_needs_numpy_alone(index: Path, purchases: Path) -> None:
    none = "onnxruntime,llama_cpp,tokenizers,PIL,huggingface_hub,pyarrow,torch,hnswlib,scipy,pandas"
    done = watched("evaluate", index, "--interactions", purchases, "--resamples", "10", "--json", without=none)
    assert done.code == 0, done.err


def test_weights_that_are_not_there_cannot_count_and_columns_can_be_named(
    index: Path, purchases: Path, tmp_path: Path
) -> None:
    done = program("evaluate", index, "--interactions", purchases, "--weighted")
    assert done.code == 2
    assert "has no column weight, and --weighted" in done.err
    table = tmp_path / "renamed.csv"
    _, *rows = purchases.read_text().splitlines()
    table.write_text("\n".join(["who;what;when", *(row.replace(",", ";") for row in rows)]))
    command = ("evaluate", index, "--interactions", table, "--json")
    refused = program(*command)
    assert refused.code == 1
    assert "--user-column and --item-column and --date-column; its columns, separated by semicolons" in refused.err
    named = ("--user-column", "Who", "--item-column", "what", "--date-column", "when")
    done, plain = program(*command, *named), program("evaluate", index, "--interactions", purchases, "--json")
    assert done.json["tables"] == plain.json["tables"]
    assert done.json["notes"] == ["renamed.csv is read separated by semicolons."]
    out = tmp_path / "out.csv"
    assert program("recommend", index, "--histories", table, "--out", out, *named).code == 0
    assert out.read_text().startswith("user_id,rank")
