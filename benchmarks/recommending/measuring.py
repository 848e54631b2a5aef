"""What each row is worth to each user, kept on disk, and how it differs from the row of captions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import vlm4rec_edge
from recommending.shop import Task
from recommending.system import Row, System
from vlm4rec_edge.evaluation import (
    Estimate,
    PairedDifference,
    Split,
    bootstrap_interval,
    compare,
    measure,
    parse_metric,
    rank,
)

METRICS = ("recall@10", "ndcg@10", "hit_rate@10")
SEED = 0
_DEPTH = 10
# What decides a value besides the data; figures of changed code are measured anew.
_CODE = ("evaluation/*.py", "recommend/profile.py", "recommend/interests.py", "index/*.py", "bundle/vectors.py")


@dataclass(frozen=True)
class Measured:
    """One row of one table.

    Attributes:
        system: What was measured.
        task: On whom.
        figures: Metric to mean over users and 95 % interval.
        differences: Metric to the paired difference from the baseline; empty for the baseline, and where there is none.
        by_seed: Seed to the mean of each metric, of a trained row.
    """

    system: Row
    task: Task
    figures: Mapping[str, Estimate]
    differences: Mapping[str, PairedDifference]
    by_seed: Mapping[int, Mapping[str, float]] = field(default_factory=dict)


def measure_all(systems: Sequence[Row], task: Task, baseline: Row | None, folder: Path) -> list[Measured]:
    """Measure systems on one task, each against ``baseline``, user by user; values in ``folder`` are not made again."""
    against = values_of(baseline, task, folder) if baseline else {}
    found = []
    for system in systems:
        values = values_of(system, task, folder)
        figures = {name: bootstrap_interval(own, seed=SEED) for name, own in values.items()}
        differences = {name: compare(values[name], other, seed=SEED) for name, other in against.items()}
        by_seed = {
            seed: {name: float(kept[name].mean()) for name in METRICS}
            for seed, one in system.tries(task).items()
            if system.seeds
            for kept in (_kept(one, task, folder),)
        }
        found.append(Measured(system, task, figures, {} if system is baseline else differences, by_seed))
    return found


def values_of(system: Row, task: Task, folder: Path) -> dict[str, np.ndarray]:
    """Return the value of each metric for each user, [users], float64; of a trained row the mean over its seeds."""
    tries = [_kept(one, task, folder) for one in system.tries(task).values()]
    return {name: np.mean([one[name] for one in tries], axis=0) for name in METRICS}


def top_of(system: System, task: Task, folder: Path) -> np.ndarray:
    """Return what is recommended to each user, best first: [users, 10], int32; -1 where there is no more."""
    return _kept(system, task, folder)["top"]


def _kept(system: System, task: Task, folder: Path) -> dict[str, np.ndarray]:
    decisive = [system.key, _digest_of_split(task.split), _digest_of_code(), METRICS, "top", _DEPTH, SEED]
    path = folder / f"{hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:24]}.npz"
    if not path.is_file():
        ranking = rank(system.scorer(task.split), task.split, depth=_DEPTH, seed=SEED)
        values = {name: measure(parse_metric(name), ranking, task.split) for name in METRICS}
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npz")
        np.savez(part, top=ranking.top, **values)
        part.replace(path)
    with np.load(path) as kept:
        return dict(kept)


def _digest_of_split(split: Split) -> str:
    digest = hashlib.sha256(json.dumps([split.users, split.item_count]).encode())
    for lists in (split.history, split.test, split.excluded):
        digest.update(lists.starts.tobytes() + lists.items.tobytes())
    for array in (split.counts, split.dates, split.weights):
        digest.update(array.tobytes())
    return digest.hexdigest()


def _digest_of_code() -> str:
    package = Path(vlm4rec_edge.__file__).parent
    files = sorted(path for pattern in _CODE for path in package.glob(pattern))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
