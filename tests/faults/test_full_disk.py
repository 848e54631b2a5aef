"""A full disk ends a run with a sentence; when there is room again, the next run goes on."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from breaking.child import Task
from breaking.trials import captions_made, run_child, truth_of

from vlm4rec_edge.indexing.window import WINDOW_ITEMS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")


@pytest.mark.parametrize("kilobytes", [1, 20, 80, 150])
def test_no_room_is_told_and_nothing_is_lost(task: Task, kilobytes: int) -> None:
    """At 1 not even the database can be made; at 20 not the first batch; beyond, the second, or the graph."""
    ended = run_child(replace(task, file_bytes=kilobytes * 1000))
    assert ended.code == 1
    assert ended.said.startswith("Error: ")
    assert "Traceback" not in ended.said
    assert task.out in ended.said
    assert run_child(task).code == 0
    assert truth_of(task).is_right
    made = captions_made(Path(task.log))
    assert made.total() - len(made) <= WINDOW_ITEMS
