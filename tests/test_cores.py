"""How many cores there are to compute on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vlm4rec_edge.cores import physical_cores, usable_cores

needs_affinity = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not tell")


def _topology(root: Path, siblings: dict[int, str]) -> None:
    for number, text in siblings.items():
        folder = root / f"sys/devices/system/cpu/cpu{number}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{text}\n")


@needs_affinity
def test_two_threads_of_one_core_count_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    _topology(tmp_path, {0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"})
    assert physical_cores(tmp_path) == 2
    assert usable_cores() == 4


@needs_affinity
def test_cores_that_this_process_may_not_use_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1})
    _topology(tmp_path, {0: "0", 1: "1"})
    assert physical_cores(tmp_path) == usable_cores() == 1


@needs_affinity
def test_where_nobody_tells_of_the_threads_of_a_core_each_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    assert physical_cores(tmp_path) == 3
