"""``kill -9`` at any moment costs the batch in flight, and nothing else."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from breaking.child import Task
from breaking.trials import captions_lost, captions_made, damage_after_kill, run_child, truth_of
from drawings import Drawing, write_catalog

from vlm4rec_edge.indexing.window import WINDOW_ITEMS

_KILLS = 10


def test_a_run_killed_again_and_again_ends_with_every_item_once_and_right(task: Task) -> None:
    chance = random.Random(5)
    slow = replace(task, seconds_a_caption=0.005)
    killed = 0
    while killed < _KILLS:
        ended = run_child(slow, kill_after=chance.uniform(0, 0.5))
        if ended.was_killed:
            killed += 1
            assert captions_lost(slow) <= WINDOW_ITEMS
            assert damage_after_kill(Path(slow.out)) == []
        else:  # done before it was killed: another prompt makes new work
            assert ended.code == 0, ended.said
            slow = replace(slow, prompt=f"Describe this after {killed} kills.")
    assert run_child(slow).code == 0
    assert truth_of(slow).is_right
    made = captions_made(Path(slow.log))
    assert made.total() - len(made) <= killed * WINDOW_ITEMS

    again = run_child(slow)
    assert again.answer == {"items": 96, "captioned": 0, "removed": 0}
    assert captions_made(Path(slow.log)) == made, "a run with nothing to do makes no caption"


def test_twins_that_share_a_photo_cost_one_caption(finished: Task) -> None:
    assert set(captions_made(Path(finished.log)).values()) == {1}
    assert len(captions_made(Path(finished.log))) == 90


def test_another_encoder_makes_no_caption_and_another_prompt_makes_all(task: Task) -> None:
    assert run_child(task).answer["captioned"] == 90
    encoded = replace(task, encoder=2)
    assert run_child(encoded).answer["captioned"] == 0
    assert truth_of(encoded).is_right
    assert run_child(replace(encoded, prompt="What is this?")).answer["captioned"] == 90


def test_a_kill_while_the_encoder_changes_leaves_no_mixture(task: Task) -> None:
    assert run_child(task).code == 0
    for version, seconds in enumerate((0.02, 0.06), start=2):
        encoded = replace(task, encoder=version)
        run_child(encoded, kill_after=seconds)
        assert damage_after_kill(Path(task.out)) == []
        assert run_child(encoded).code == 0
        assert truth_of(encoded).is_right


def test_the_real_program_with_the_real_models_goes_on_after_a_kill(tmp_path: Path) -> None:
    drawings = [Drawing("t-shirt", colour, "solid", 7) for colour in ("red", "black", "white", "grey")]
    table = write_catalog(tmp_path, drawings)
    task = Task("engine", str(table), str(tmp_path / "shop.index"), "", str(tmp_path / "captions.log"))
    assert run_child(task, kill_after=1.5).was_killed or captions_made(Path(task.log))
    assert damage_after_kill(Path(task.out)) == []
    ended = run_child(task)
    assert ended.code == 0, ended.said
    assert truth_of(task).is_right
