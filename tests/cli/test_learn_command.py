"""``learn`` judges, switches on, says why, and forgets."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from program import program, watched

sys.path.insert(0, str(Path(__file__).parents[1] / "learning"))
from made_purchases import ITEMS, at_random, shop, together
from made_store import random_vectors, write_store

from vlm4rec_edge.interactions import Interactions


def write(path: Path, purchases: Interactions) -> Path:
    rows = zip(purchases.user.tolist(), purchases.item.tolist(), purchases.date.tolist(), strict=True)
    lines = [f"{purchases.users[user]},{purchases.items[item]},{date:.0f}" for user, item, date in rows]
    path.write_text("\n".join(["user_id,item_id,date", *lines]), encoding="utf-8")
    return path


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return shop(tmp_path / "shop.index")


def test_people_see_a_table_what_is_better_and_that_it_is_switched_on(index: Path, tmp_path: Path) -> None:
    done = program("learn", index, "--interactions", write(tmp_path / "p.csv", together()))
    assert done.code == 0, done.err
    words = " ".join((done.out + done.err).split())
    for way in ("content", "popularity", "content and popularity", "learned"):
        assert way in words
    assert "Learned recommends significantly better than content" in words
    assert f"From now on {index} recommends by it." in words
    assert "learned" in program("info", index).out
    first = program("recommend", index, "--history", "item-1", "-k", "1", "--explain", "--json").json
    assert set(first["recommendations"][0]["because"][0]["parts"]) == {"reads alike", "bought together", "often bought"}


def test_programs_get_a_document_and_a_dry_run_switches_nothing_on(index: Path, tmp_path: Path) -> None:
    document = program(
        "learn", index, "--interactions", write(tmp_path / "p.csv", together()), "--dry-run", "--json"
    ).json
    assert document["stored"] is False
    assert document["gain"]["low"] > 0
    assert program("info", index, "--json").json["learned"] == {}


def test_random_purchases_stay_with_the_words_and_say_why(index: Path, tmp_path: Path) -> None:
    done = program("learn", index, "--interactions", write(tmp_path / "p.csv", at_random()))
    assert done.code == 0
    assert "is not significantly better than content" in " ".join(done.err.split())
    assert program("info", index, "--json").json["learned"] == {}


def test_it_forgets_and_says_whether_there_was_anything(index: Path, tmp_path: Path) -> None:
    program("learn", index, "--interactions", write(tmp_path / "p.csv", together()))
    assert program("learn", index, "--forget", "--json").json == {"index": str(index), "forgotten": True}
    assert "Nothing had been learned." in program("learn", index, "--forget").err


def test_unknown_items_are_named_and_the_exit_code_says_so(index: Path, tmp_path: Path) -> None:
    table = write(tmp_path / "p.csv", together())
    table.write_text(table.read_text() + "\nuser-1,nobody,20500\n")
    done = program("learn", index, "--interactions", table, "--dry-run")
    assert done.code == 3
    assert "nobody" in done.err


@pytest.mark.parametrize(
    "command", [["recommend", "--history", "item-1"], ["similar", "item-1"]], ids=lambda call: call[0]
)
def test_items_are_compared_by_what_was_learned_or_by_the_words_alone_as_asked(
    index: Path, tmp_path: Path, command: list[str]
) -> None:
    def found(*more: str) -> list[tuple[str, float]]:
        hits = program(command[0], index, *command[1:], *more, "--json").json["recommendations"]
        return [(hit["item_id"], hit["score"]) for hit in hits]

    before = found()
    program("learn", index, "--interactions", write(tmp_path / "p.csv", together()))
    assert found() == found("--representation", "learned") != before
    assert found("--representation", "words") == before


def test_neither_or_both_of_purchases_and_forget_is_wrong_usage(index: Path, tmp_path: Path) -> None:
    assert program("learn", index).code == 2
    assert program("learn", index, "--forget", "--interactions", tmp_path / "p.csv").code == 2


def test_a_dry_run_never_forgets(index: Path, tmp_path: Path) -> None:
    program("learn", index, "--interactions", write(tmp_path / "p.csv", together()))
    assert program("learn", index, "--forget", "--dry-run").code == 2
    assert program("info", index, "--json").json["learned"]


def test_a_date_that_is_yet_to_come_is_told_as_such(index: Path, tmp_path: Path) -> None:
    purchases = together()
    later = replace(purchases, date=purchases.date + 20_000, days=None)
    done = program("learn", index, "--interactions", write(tmp_path / "p.csv", later), "--dry-run")
    assert "which is in the future" in " ".join(done.err.split())


def test_recommending_by_what_was_learned_loads_no_scipy_and_learning_without_it_says_what_to_install(
    index: Path, tmp_path: Path
) -> None:
    table = write(tmp_path / "p.csv", together())
    lacking = watched("learn", index, "--interactions", table, without="scipy")
    assert lacking.code == 1
    assert 'pip install "vlm4rec-edge[learn]"' in lacking.err
    program("learn", index, "--interactions", table)
    done = watched("recommend", index, "--history", "item-1")
    assert done.code == 0
    assert "scipy" not in done.loaded


def test_how_many_items_a_column_marks_as_new_is_told(tmp_path: Path) -> None:
    folder = write_store(
        tmp_path / "shop.index",
        random_vectors(ITEMS),
        attributes={f"item-{row}": {"new": "yes" if row < 7 else "no"} for row in range(ITEMS)},
    )
    arguments = ["--interactions", write(tmp_path / "p.csv", together()), "--new-items", "new", "--dry-run"]
    assert "7 are marked as new." in program("learn", folder, *arguments).err
    assert program("learn", folder, *arguments, "--json").json["items_new"] == 7
