"""benchmarks/knobs.py: profiles as the package makes them, and one run on drawings and made customers."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forked import run_script
from made_shop_folder import made_shop_folder, write_interactions
from recommending.caption_knobs import FIRST_SENTENCE, OWN, Captions, first_sentence
from recommending.caption_knobs import KNOBS as CAPTION_KNOBS
from recommending.knobs_report import lengths_section
from recommending.profiles import DEFAULT, KNOBS, interests_scorer, profile_systems
from recommending.representations import System
from recommending.shop import Task
from timing.made_index import item_id, made_index

from vlm4rec_edge import Recommender, evaluation
from vlm4rec_edge.evaluation import Split
from vlm4rec_edge.recommend.profile import ProfileSettings
from vlm4rec_edge.store.reader import StoreReader

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "knobs.py"
ITEMS = 120


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, _ = made_index(tmp_path_factory.mktemp("index"), ITEMS, graph=False)
    return folder


@pytest.fixture(scope="module")
def vectors(index: Path) -> np.ndarray:
    with StoreReader(index) as store:
        rows = store.rows_of(item_id(number) for number in range(ITEMS))
        return np.asarray(store.vectors[[rows[item_id(number)] for number in range(ITEMS)]])


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """Twelve users with histories of 4 to 26 items on as many days."""
    path = tmp_path_factory.mktemp("users") / "interactions.csv"
    chance = np.random.default_rng(3)
    rows = []
    for user in range(12):
        for day, number in enumerate(chance.permutation(ITEMS)[: 5 + 2 * user], 1):
            rows.append((f"user-{user:02}", item_id(int(number)), f"2020-{1 + day // 28:02}-{1 + day % 28:02}"))
    write_interactions(path, rows)
    interactions, _ = evaluation.read_interactions(path)
    return evaluation.chronological_split(interactions, [item_id(number) for number in range(ITEMS)])


@pytest.mark.parametrize("knob", KNOBS)
def test_a_setting_recommends_what_the_package_recommends(
    knob: str, index: Path, vectors: np.ndarray, split: Split
) -> None:
    systems = dict(zip(KNOBS, profile_systems("made", vectors), strict=True))
    top = evaluation.rank(systems[knob].scorer(split), split).top
    with Recommender.open(index) as shop:
        for user in range(len(split)):
            history = split.history[user]
            start = split.history.starts[user]
            times = split.dates[start : start + len(history)].tolist()
            own = shop.recommend([item_id(item) for item in history], 10, times=times, settings=KNOBS[knob])
            assert [item_id(item) for item in top[user]] == [one.item_id for one in own], (knob, user)


def test_every_setting_is_a_system_of_its_own(vectors: np.ndarray) -> None:
    systems = profile_systems("made", vectors)
    assert systems[0].name == f"made: {DEFAULT}"
    assert len({system.key for system in systems}) == len({system.name for system in systems}) == len(KNOBS)


def test_nothing_is_recommended_where_nothing_is_known_of_a_history(vectors: np.ndarray, split: Split) -> None:
    unknown = vectors.copy()
    unknown[split.history[0]] = 0
    for merge in ("quota", "best"):
        settings = ProfileSettings(interests=3, merge=merge)
        top = evaluation.rank(interests_scorer(split, unknown, np.arange(ITEMS), settings), split).top
        assert (top[0] == -1).all()
        assert (top[1] >= 0).all()


def test_users_are_counted_in_the_class_of_their_history(split: Split, tmp_path: Path) -> None:
    popularity = System("popularity", "control", "", "popularity", evaluation.popularity_scorer)
    task = Task("made", "12 made users", split)
    # One class has five users or more.
    assert lengths_section([popularity], task, tmp_path) is None
    sizes = split.history.sizes
    place = np.arange(len(split.history.items)) - np.repeat(split.history.starts[:-1], sizes)
    lengths = np.where(np.arange(12) < 6, 3, 12)
    cut = replace(split, history=split.history.only(place < np.repeat(lengths, sizes)))
    section = lengths_section([popularity], replace(task, split=cut), tmp_path)
    assert section is not None
    assert [(own["history"], own["users"]) for own in section.figures] == [("2 to 4", 6), ("10 to 19", 6)]
    values = evaluation.measure(
        evaluation.parse_metric("recall@10"), evaluation.rank(evaluation.popularity_scorer(cut), cut), cut
    )
    means = [own["recall@10"]["mean"] for own in section.figures]
    assert means == pytest.approx([values[:6].mean(), values[6:].mean()])


def test_captions_are_told_apart() -> None:
    own = Captions("own", ["Red shirt.", "Red shirt.", ""])
    other = Captions("other", ["Red shirt.", "A blue shirt.", ""])
    assert (own.distinct, other.distinct) == (1, 2)
    assert other.words == 2.5
    assert other.equal_to(own) == pytest.approx(2 / 3)


def test_what_comes_after_the_first_sentence_is_left_out() -> None:
    assert first_sentence("Red shirt for men. A shirt with a collar. Slits.") == "Red shirt for men."
    assert first_sentence("Red shirt.") == "Red shirt."
    assert first_sentence("") == ""


def run(shop: Path, cache: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    arguments = ["--data", str(shop), "--cache", str(cache), "--out", str(out), "--threads", "1", "--columns", "title"]
    return run_script(SCRIPT, *arguments, *more)


def sections(out: Path, name: str) -> dict[str, Any]:
    document = json.loads((out / f"{name}.json").read_text(encoding="utf-8"))
    return {section["name"]: section for section in document["sections"]}


def test_every_setting_stands_in_the_tables_with_its_difference(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    shop = made_shop_folder(tmp_path)
    cache, out = tmp_path / "cache", tmp_path / "out"
    done = run(shop, cache, out, "--quick", "--model", "embedded=stylist-lvlm")
    assert done.returncode == 0, done.stderr
    found, said = sections(out, "knobs-quick"), sections(out, "knobs-captions-quick")
    assert list(found) == ["profiles-customers", "profiles-baskets"]
    assert list(said) == ["customers", "baskets", "captions"]
    settings = [OWN, FIRST_SENTENCE, *(name for name in CAPTION_KNOBS if name != OWN)]
    for task in ("customers", "baskets"):
        rows = found[f"profiles-{task}"]["figures"]
        assert [row["row"] for row in rows] == [f"{name}: {knob}" for name in ("caption", "title") for knob in KNOBS]
        assert [row["row"] for row in rows if not row["differences"]] == [f"caption: {DEFAULT}", f"title: {DEFAULT}"]
        assert [row["row"] for row in said[task]["figures"]] == settings
        for page, picture in (("knobs", f"profiles-{task}"), ("knobs-captions", task)):
            assert (out / f"{page}-quick-{picture}.png").stat().st_size > 1000
            assert f"]({page}-quick-{picture}.png)" in (out / f"{page}-quick.md").read_text(encoding="utf-8")
    words = {row["setting"]: row["words"] for row in said["captions"]["figures"]}
    assert words["at most 8 tokens"] <= words["at most 16 tokens"] <= words[OWN]
    assert 0 < words[FIRST_SENTENCE] <= words[OWN]
    assert said["captions"]["figures"][0]["equal"] == 1
    again = run(shop, cache, out, "--model", "embedded=stylist-lvlm", "--no-plots")
    assert again.returncode == 0, again.stderr
    assert all(line.startswith("measuring ") for line in again.stderr.splitlines())
    assert sections(out, "knobs-captions")["baskets"]["figures"] == said["baskets"]["figures"]


def test_without_caption_knobs_their_page_stays_as_it_was(tmp_path: Path) -> None:
    shop, out = made_shop_folder(tmp_path), tmp_path / "out"
    out.mkdir()
    for file in ("knobs-captions.md", "knobs-captions.json"):
        (out / file).write_text("of an earlier run", encoding="utf-8")
    done = run(shop, tmp_path / "cache", out, "--model", "embedded=stylist-lvlm", "--no-caption-knobs", "--no-plots")
    assert done.returncode == 0, done.stderr
    assert list(sections(out, "knobs")) == ["profiles-customers", "profiles-baskets"]
    for file in ("knobs-captions.md", "knobs-captions.json"):
        assert (out / file).read_text(encoding="utf-8") == "of an earlier run"


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--columns", "taste"], "items.csv has no column taste"),
        (["--columns", ""], "Nothing represents an item"),
        (["--model", "stylist-lvlm"], "--model is NAME=MODEL"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(more: list[str], sentence: str, tmp_path: Path) -> None:
    done = run(made_shop_folder(tmp_path), tmp_path / "cache", tmp_path / "out", "--no-plots", *more)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {sentence}"), done.stderr
