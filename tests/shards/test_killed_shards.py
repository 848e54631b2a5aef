"""Whatever a process is killed in, or whatever disk is full: the next run goes on, and the index is the same."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import pytest
from made_shards import captions_made
from shard_trials import Trial, new_trial

from vlm4rec_edge.shards.status import shard_status

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs kill -9 and RLIMIT_FSIZE")
_KILLS = 4


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """An odd catalog in shards, of which nothing was run."""
    return new_trial(tmp_path)


def test_a_worker_killed_again_and_again_ends_with_every_item_once(trial: Trial) -> None:
    chance = random.Random(3)
    killed = sum(trial.killed(chance, 0.8, seconds=0.01) for _ in range(_KILLS))
    assert killed
    trial.check(killed)


def test_a_killed_attempt_is_told_until_the_shard_is_done(trial: Trial) -> None:
    process = trial.start(seconds=0.05)
    deadline = time.monotonic() + 60
    while captions_made(trial.log).total() < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert [one.index for one in shard_status(trial.folder).running] == [0]
    process.kill()
    process.communicate()
    (open_shard,) = shard_status(trial.folder).failed
    assert (open_shard.index, open_shard.attempts) == (0, 1)
    assert "killed" in open_shard.reason
    trial.run(indexes=[0])
    assert shard_status(trial.folder).failed == ()


def test_two_processes_share_the_shards(trial: Trial) -> None:
    processes = [trial.start(seconds=0.005) for _ in range(2)]
    for process in processes:
        assert process.communicate(timeout=120)[1] == ""
    trial.check(0)


@pytest.mark.parametrize("kilobytes", [1, 30, 90])
def test_a_full_disk_is_told_and_what_was_made_is_kept(trial: Trial, kilobytes: int) -> None:
    """At 1 not even the note of the models can be written; beyond, the work of a shard, or its output."""
    said = trial.run(file_bytes=kilobytes * 1000)
    assert "error" in said or said["failed"]
    trial.check(3)  # shards in a row, and then the run ends
