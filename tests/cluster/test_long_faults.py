"""Twenty times each, at random moments: a worker killed, all workers killed, a disk that is full, an output that is torn."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from shard_trials import Trial, new_trial

_TIMES = 20
# Of a caption: so much that the work is not done before the last of them is killed.
_SECONDS = 0.08


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """An odd catalog in shards, of which nothing was run."""
    return new_trial(tmp_path, items=200, rows=16)


def test_a_worker_is_killed(trial: Trial) -> None:
    chance, killed = random.Random(1), 0
    for _ in range(_TIMES):
        killed += trial.killed(chance, 1.0, seconds=_SECONDS)
    assert killed == _TIMES
    trial.check(killed)


def test_several_workers_and_who_started_them_are_killed(trial: Trial) -> None:
    chance, killed = random.Random(2), 0
    for _ in range(_TIMES):
        other = trial.start(seconds=2 * _SECONDS)
        killed += trial.killed(chance, 1.0, seconds=2 * _SECONDS)
        killed += other.poll() is None
        other.kill()
        other.communicate()
    assert killed == 2 * _TIMES
    trial.check(killed)


def test_the_disk_is_full(trial: Trial) -> None:
    chance = random.Random(3)
    for _ in range(_TIMES):
        trial.run(file_bytes=chance.randrange(500, 120_000))
    trial.check(3 * _TIMES)  # shards in a row, and then a run ends


def test_an_output_is_torn(trial: Trial) -> None:
    chance = random.Random(4)
    trial.run()
    for _ in range(_TIMES):
        path = chance.choice(sorted((trial.folder / "output").iterdir()))
        content = path.read_bytes()
        path.write_bytes(content[: chance.randrange(len(content))])
        said = trial.run()
        assert len(said["done"]) == 1
        assert len(said["damaged"]) == 1
    trial.check(_TIMES)  # the captions of a torn shard are made again
