"""benchmarks/accuracy.py, whole, on drawings and made customers with the embedded models."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from forked import run_script
from made_shop_folder import SENTENCE, made_shop_folder

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "accuracy.py"
ROWS = "random,popularity,title,attributes,caption,title-caption,weighted"
TASKS = ["customers", "no-variants-customers", "baskets", "no-variants-baskets"]


def run(shop: Path, cache: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    arguments = ["--data", str(shop), "--cache", str(cache), "--out", str(out), "--threads", "1"]
    return run_script(SCRIPT, *arguments, "--sentence", SENTENCE, *more)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_shop_folder(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def out(shop: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a first run."""
    folder = tmp_path_factory.mktemp("out")
    done = run(shop, cache, folder, *_with_captions())
    assert done.returncode == 0, done.stderr
    assert "captions to make" in done.stderr
    assert (folder / "accuracy.md").read_text(encoding="utf-8").strip() == done.stdout.strip()
    return folder


def _with_captions() -> list[str]:
    return ["--rows", ROWS, "--model", "embedded=stylist-lvlm", "--group", "colour", "--no-plots"]


def document(out: Path, name: str = "accuracy") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / f"{name}.json").read_text(encoding="utf-8"))
    return found


def test_every_row_stands_in_every_table_with_intervals_and_its_difference(out: Path) -> None:
    sections = {section["name"]: section for section in document(out)["sections"]}
    assert list(sections) == [*TASKS, "rows"]
    names = ["random", "popularity", "title", "attributes"]
    names += ["caption, embedded", "title + caption, embedded", "title and caption, weighted, embedded"]
    for task in TASKS:
        assert [row["an item is"] for row in sections[task]["rows"]] == names
        users = {figures["users"] for figures in sections[task]["figures"]}
        assert len(users) == 1
        for figures in sections[task]["figures"]:
            assert figures["items"] == 36
            for figure in figures["figures"].values():
                assert 0 <= figure["low"] <= figure["mean"] <= figure["high"] <= 1
            has_difference = figures["row"] != "caption, embedded"
            assert list(figures["differences"]) == (["recall@10", "ndcg@10", "hit_rate@10"] if has_difference else [])
            for difference in figures["differences"].values():
                assert 0 < difference["p_value"] <= 1
    assert [row["row"] for row in sections["rows"]["rows"]] == names


def test_no_folder_of_this_machine_is_told(out: Path, shop: Path) -> None:
    for path in out.iterdir():
        assert str(shop) not in path.read_text(encoding="utf-8")


def test_a_second_run_makes_nothing_and_says_the_same(out: Path, shop: Path, cache: Path, tmp_path: Path) -> None:
    done = run(shop, cache, tmp_path, *_with_captions())
    assert done.returncode == 0, done.stderr
    assert all(line.startswith("measuring ") for line in done.stderr.splitlines())
    assert document(tmp_path)["sections"] == document(out)["sections"]


def test_without_captions_there_is_no_difference_and_what_is_left_out_is_said(
    shop: Path, cache: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    done = run(shop, cache, tmp_path, "--quick")
    assert done.returncode == 0, done.stderr
    assert "left out, caption: no captioner was given with --model" in done.stderr
    found = document(tmp_path, "accuracy-quick")
    remarks = found["sections"][-1]["remarks"]
    assert any(remark.startswith("No differences") for remark in remarks)
    assert "Left out: description: items.csv has no column description." in remarks
    assert [section["name"] for section in found["sections"]] == ["customers", "baskets", "rows"]
    assert all(row["seeds"] in ([], [0]) for row in found["sections"][-1]["figures"])
    for section in found["sections"][:-1]:
        assert section["title"].startswith("Only a sample, 36 of 36 items: 6 ")
        assert not any(" - " in column for column in section["rows"][0])
        assert (tmp_path / f"accuracy-quick-{section['name']}.png").stat().st_size > 1000
        assert f"![accuracy-quick-{section['name']}.png]" in done.stdout


def test_what_interactions_name_and_nobody_knows_is_counted(shop: Path, cache: Path, tmp_path: Path) -> None:
    other = shutil.copytree(shop, tmp_path / "other")
    with (other / "interactions.csv").open("a", encoding="utf-8") as stream:
        stream.write("buyer-1,no-such-item,2020-09-09\nbuyer-1,,2020-09-09\n")
    done = run(other, cache, tmp_path, "--rows", "random", "--no-plots")
    assert done.returncode == 0, done.stderr
    assert "- Left out: 1 rows of interactions that cannot be read." in done.stdout
    assert "- Left out: 1 ids that items.csv has not." in done.stdout


def test_raw_visual_features_and_their_fusions_run(shop: Path, cache: Path, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    rows = ["vision", "vision-projected", "average-title", "concatenation-title"]
    done = run(shop, cache, tmp_path, "--rows", ",".join(rows), "--no-plots")
    assert done.returncode == 0, done.stderr
    described = document(tmp_path)["sections"][-1]["figures"]
    assert [row["dimensions"] for row in described] == [1280, 384, 384, 1664]
    assert all(row["without"] == 0 for row in described)


def test_trained_rows_tell_their_seeds_and_are_not_trained_twice(shop: Path, cache: Path, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    # What other tests had trained of the same shop is not to be found.
    cache = shutil.copytree(cache, tmp_path / "cache", ignore=shutil.ignore_patterns("trained", "measured"))
    rows = ["title", "gating-title", "smore-title"]
    arguments = ["--rows", ",".join(rows), "--group", "colour", "--no-plots"]
    done = run(shop, cache, tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    assert "gating of vision and title, baskets, seed 2: best after" in done.stderr
    # Without variants the same users are taught the same.
    assert ", no-variants-" not in done.stderr
    found = document(tmp_path)
    assert [row["seeds"] for row in found["sections"][-1]["figures"]] == [[], [0, 1, 2], [0, 1, 2]]
    assert [row["trained"] for row in found["sections"][-1]["rows"]] == ["no", "seeds 0, 1, 2", "seeds 0, 1, 2"]
    assert any(remark.startswith("Trained rows learn from") for remark in found["sections"][-1]["remarks"])
    for section in found["sections"][:-1]:
        untrained, *trained = section["figures"]
        assert untrained["by_seed"] == {}
        assert section["rows"][0]["Recall@10 of each seed"] == "-"
        for figures in trained:
            means = [by_metric["ndcg@10"] for by_metric in figures["by_seed"].values()]
            assert len(means) == 3
            assert figures["figures"]["ndcg@10"]["mean"] == pytest.approx(sum(means) / 3)
    again = run(shop, cache, tmp_path / "again", *arguments)
    assert all(line.startswith("measuring ") for line in again.stderr.splitlines())
    assert document(tmp_path / "again")["sections"] == found["sections"]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (["--rows", "caption"], "The row caption cannot be made: no captioner was given with --model"),
        (
            ["--rows", "title,gating-caption"],
            "The row gating-caption cannot be made: no captioner was given with --model",
        ),
        (["--rows", "titles"], "There is no row titles; the rows are random, popularity, title,"),
        (["--group", "product"], "There is no column 'product' to group by"),
        (["--model", "stylist-lvlm"], "--model is NAME=MODEL"),
        (["--model", "a=stylist-lvlm", "--model", "a=stylist-lvlm"], "Two captioners have one name"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    wrong: list[str], sentence: str, shop: Path, cache: Path, tmp_path: Path
) -> None:
    done = run(shop, cache, tmp_path, "--no-plots", *wrong)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {sentence}"), done.stderr
