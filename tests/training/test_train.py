"""Training goes on where it was stopped, makes the same every time, and ends in a checkpoint that the export takes."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from training_code import MISSING

if MISSING:
    pytest.skip(f"training needs {MISSING[0]}: pip install -e '.[cpu,export,train]'", allow_module_level=True)

import looking
import speaking
import torch
from drawings import catalog_of_drawings, draw
from journal import Journal
from rows import row_of_drawing
from tower import UNKNOWN, Lessons
from words import kind_word
from world import World, build_world

from vlm4rec_edge.errors import UsageError

ROOT = Path(__file__).parents[2]
_STEPS = 4  # with so few rows an epoch is one step


def _write_items(folder: Path, rows: list[dict[str, str]]) -> None:
    with (folder / "items.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop of drawings, as a catalog of clothes has its columns."""
    folder = tmp_path_factory.mktemp("catalog")
    rows = []
    for number, drawing in enumerate(catalog_of_drawings(1, seed=5)):
        draw(drawing, (96, 144)).save(folder / f"{number}.jpg")
        row = row_of_drawing(drawing) | {"audience": "Menswear", "description": f"A {drawing.title} with two pockets."}
        row |= {"department": f"d{number % 2}", "section": "s", "garment_group": f"g{number % 3}"}
        rows.append({"id": str(number), "image": f"{number}.jpg", "title": drawing.title, **row})
    _write_items(folder, rows)
    return folder


@pytest.fixture(scope="module")
def world(catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    torch.set_num_threads(1)
    return build_world(catalog, tmp_path_factory.mktemp("cache"), 1)


def _learn(world: World, folder: Path) -> dict[str, Any]:
    """Train both lessons for a few steps and return all weights."""
    folder.mkdir(exist_ok=True)
    lessons = looking.learn_to_see(world, folder, epochs=_STEPS, seed=3, device="cpu")
    speaker = speaking.learn_to_speak(world, lessons, folder, epochs=_STEPS, seed=3, device="cpu")
    return {**lessons.state_dict(), **{f"speaker.{name}": value for name, value in speaker.model.state_dict().items()}}


def test_a_stopped_training_goes_on_and_ends_with_the_same_weights(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _learn(world, tmp_path / "straight")
    for lesson in (looking, speaking):
        saved = lesson.save_state

        def stop_in_the_middle(path: Path, saved: Any = saved, **state: Any) -> None:
            saved(path, **state)
            if state["step"] == _STEPS // 2:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(lesson, "_SAVE_EVERY", 1)
            patch.setattr(lesson, "save_state", stop_in_the_middle)
            with pytest.raises(KeyboardInterrupt):
                _learn(world, tmp_path / "stopped")
    found = _learn(world, tmp_path / "stopped")
    assert [name for name, value in expected.items() if not torch.equal(value, found[name])] == []


def test_other_seeds_make_other_weights(world: World, tmp_path: Path) -> None:
    tmp_path.joinpath("other").mkdir()
    lessons = [
        looking.learn_to_see(world, folder, epochs=1, seed=seed, device="cpu")
        for seed, folder in ((3, tmp_path), (4, tmp_path / "other"))
    ]
    first, second = (each.to_map.weight for each in lessons)
    assert not torch.equal(first, second)


def test_what_was_begun_with_another_seed_is_not_gone_on_with(world: World, tmp_path: Path) -> None:
    looking.learn_to_see(world, tmp_path, epochs=1, seed=3, device="cpu")
    with pytest.raises(UsageError, match="--seed 3"):
        looking.learn_to_see(world, tmp_path, epochs=2, seed=4, device="cpu")


def test_speaking_begins_anew_where_the_tower_has_learned_more(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings: dict[str, Any] = {"seed": 3, "device": "cpu"}
    lessons = looking.learn_to_see(world, tmp_path, epochs=1, **settings)
    speaking.learn_to_speak(world, lessons, tmp_path, epochs=1, **settings)
    lessons = looking.learn_to_see(world, tmp_path, epochs=2, **settings)
    speaker = speaking.learn_to_speak(world, lessons, tmp_path, epochs=1, **settings)
    assert "begins anew" in capsys.readouterr().out
    seen, kept = lessons.tower.vision.state_dict(), speaker.tower.vision.state_dict()
    assert all(torch.equal(seen[name], kept[name]) for name in seen)


def _changed(catalog: Path, folder: Path, change: Callable[[dict[str, str]], dict[str, str]]) -> Path:
    """Copy a catalog with every row changed."""
    shutil.copytree(catalog, folder)
    with (catalog / "items.csv").open(encoding="utf-8", newline="") as stream:
        rows = [change(row) for row in csv.DictReader(stream)]
    _write_items(folder, rows)
    return folder


def test_an_empty_cell_is_no_class_of_its_own(catalog: Path, tmp_path: Path) -> None:
    some = _changed(catalog, tmp_path / "some", lambda row: row | {"section": "" if row["id"] < "5" else "s"})
    world = build_world(some, tmp_path / "cache", 1)
    assert world.classes["section"] == ["s"]
    assert UNKNOWN in world.labels["section"].tolist()
    right = looking.accuracy(
        Lessons({head: len(names) for head, names in world.classes.items()}), world, world.train, "cpu"
    )
    assert right["section"] == 1.0  # of those that have one


@pytest.mark.parametrize("column", ["audience", "description"])
def test_a_column_that_is_missing_is_named(catalog: Path, tmp_path: Path, column: str) -> None:
    without = _changed(catalog, tmp_path / "without", lambda row: {name: row[name] for name in row if name != column})
    done = _train(without, tmp_path / "out")
    assert done.returncode == 2
    assert f"no column {column}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("device", ["cdua", "cuda:99"])
def test_a_device_that_is_not_there_is_told_before_any_work(catalog: Path, tmp_path: Path, device: str) -> None:
    done = _train(catalog, tmp_path / "out", "--device", device)
    assert done.returncode == 2
    assert f"--device {device}" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_mean_goes_on_where_the_training_was_stopped(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.csv", 0)
    for step in range(4):
        journal.add(step + 1, loss=float(step))
    journal.save()
    assert Journal(tmp_path / "journal.csv", 2).mean("loss") == 0.5


def test_a_cache_of_other_rows_is_refused(catalog: Path, tmp_path: Path) -> None:
    build_world(catalog, tmp_path / "cache", 1)
    with pytest.raises(UsageError, match="another number of drawings"):
        build_world(catalog, tmp_path / "cache", 2)


def test_seeing_alone_leaves_no_checkpoint(catalog: Path, tmp_path: Path) -> None:
    done = _train(catalog, tmp_path, "--see-epochs", "1", "--speak-epochs", "0")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "checkpoint").exists()
    assert (tmp_path / "curves.png").is_file()
    other = _train(catalog, tmp_path, "--see-epochs", "2", "--seed", "9")
    assert other.returncode == 2
    assert "--seed 1" in other.stderr
    assert "Traceback" not in other.stderr


def _train(catalog: Path, out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "models/training/train.py"), str(catalog), "--out", str(out), *arguments]
    command += ["--drawings", "1", "--threads", "1"]
    command += [] if "--device" in arguments else ["--device", "cpu"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_it_learns_to_say_what_the_tower_sees(world: World) -> None:
    lessons = Lessons({head: len(names) for head, names in world.classes.items()})
    with torch.no_grad():
        for head in lessons.heads.values():  # whatever the photo, the last class
            head.weight.zero_()
            head.bias.copy_(torch.arange(len(head.bias)))
    words = speaking.words_seen(world, lessons, "cpu")
    assert {words[row].kind for row in world.train} == {kind_word(world.classes["type"][-1])}
    assert [words[row].details for row in world.train] == [world.words[row].details for row in world.train]
    assert [words[row] for row in world.held_out] == [world.words[row] for row in world.held_out]
    # What a drawing does not tell is not made up.
    assert {words[row].audience for row in world.train if world.labels["audience"][row] == UNKNOWN} == {""}


def test_the_command_ends_in_a_checkpoint_and_curves(catalog: Path, tmp_path: Path) -> None:
    done = _train(catalog, tmp_path, "--see-epochs", "2", "--speak-epochs", "2")
    assert done.returncode == 0, done.stderr
    names = {path.name for path in (tmp_path / "checkpoint").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.model", "preprocessor_config.json"} <= names
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    assert "held out: kind" in done.stdout or "held out: type" in done.stdout
