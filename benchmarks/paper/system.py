"""A trained row: trained once for each group of users and seed, on their histories, and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from recommending.shop import Task
from recommending.system import System, scorer_of_vectors

from paper.histories import Histories, histories_of
from vlm4rec_edge.evaluation import Scorer, Split

SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Learned:
    """What training ends with, float32.

    Attributes:
        items: The vector of each item.
        users: The vector of each user that it was trained on, whose products with the items are the scores; None where
            a user is the mean of a history.
    """

    items: np.ndarray
    users: np.ndarray | None = None


# Trains on vectors of photos and of texts, what may be learned from, and a seed; told how far it is.
Training = Callable[[np.ndarray, np.ndarray, Histories, int, Callable[[str], None]], Learned]


@dataclass(frozen=True)
class TrainedSystem:
    """A row that learns from histories.

    Attributes:
        name: See ``System``; ``kind``, ``about``, ``dimensions`` and ``without`` as well.
        kind: See ``name``.
        about: See ``name``.
        training: How it learns.
        vision: Unit vectors of photos, [items, dimensions], float32, zero where there is none.
        text: Those of texts, of as many dimensions.
        folder: Keeps what was learned.
        say: Told how far it is.
        threads: Of torch; 0: its own choice.
        dimensions: See ``name``.
        seeds: Every one is a training of its own.
    """

    name: str
    kind: str
    about: str
    training: Training
    vision: np.ndarray
    text: np.ndarray
    folder: Path
    say: Callable[[str], None]
    threads: int = 0
    dimensions: int = 0
    seeds: tuple[int, ...] = SEEDS

    @property
    def without(self) -> int:
        """How many items have neither photo nor text."""
        return int((~(self.vision.any(axis=1) | self.text.any(axis=1))).sum())

    def tries(self, task: Task) -> Mapping[int, System]:
        """Return the row trained with each seed; nothing is trained before its scorer is asked for."""
        return {
            seed: System(self.name, self.kind, self.about, self._key(task, seed), partial(self._scorer, task, seed))
            for seed in self.seeds
        }

    def _key(self, task: Task, seed: int) -> str:
        history = task.taught.history
        decisive = [self.training.__name__, list(task.taught.users), task.taught.item_count, seed]
        digest = hashlib.sha256(json.dumps(decisive).encode())
        for array in (self.vision, self.text, history.starts, history.items):
            digest.update(array.tobytes())
        for path in sorted(Path(__file__).parent.glob("*.py")):
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def _scorer(self, task: Task, seed: int, split: Split) -> Scorer:
        learned = self._learned(task, seed)
        if learned.users is None:
            return scorer_of_vectors(split, learned.items)
        place = {user: number for number, user in enumerate(task.taught.users)}
        users = learned.users[[place[user] for user in split.users]]
        return lambda some: np.asarray(users[some.start : some.stop] @ learned.items.T)

    def _learned(self, task: Task, seed: int) -> Learned:
        path = self.folder / f"{self._key(task, seed)[:24]}.npz"
        if not path.is_file():
            import torch

            if self.threads:
                torch.set_num_threads(self.threads)
            # The tests of the split stay behind: what learns is never given them.
            histories = histories_of(task.taught.history, task.taught.item_count, seed)
            learned = self.training(
                self.vision,
                self.text,
                histories,
                seed,
                lambda line: self.say(f"{self.name}, {task.name}, seed {seed}: {line}"),
            )
            self.folder.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part.npz")
            np.savez(part, **{name: array for name, array in vars(learned).items() if array is not None})
            part.replace(path)
        with np.load(path) as kept:
            return Learned(**kept)
