"""What happened during training: figures a step, kept in a CSV file, and checkpoints that survive an interruption."""

from __future__ import annotations

import csv
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import torch

_RECENT = 50


class Journal:
    """Figures by step, in a long table with the columns step, name, value; what came after ``from_step`` is forgotten."""

    def __init__(self, path: Path, from_step: int) -> None:
        self._path = path
        self._rows: list[tuple[int, str, float]] = []
        self._recent: dict[str, deque[float]] = {}
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as stream:
                rows = [(int(row["step"]), row["name"], float(row["value"])) for row in csv.DictReader(stream)]
            for step, name, value in rows:
                if step <= from_step:
                    self._remember(step, name, value)

    def add(self, step: int, **figures: float) -> None:
        """Remember some figures of a step."""
        for name, value in figures.items():
            self._remember(step, name, value)

    def mean(self, name: str) -> float:
        """Return the mean of a figure over the last 50 steps that had it."""
        recent = self._recent[name]
        return sum(recent) / len(recent)

    def save(self) -> None:
        """Write the table, whole."""
        part = self._path.with_suffix(".part")
        with part.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(("step", "name", "value"))
            writer.writerows((step, name, f"{value:.6g}") for step, name, value in self._rows)
        part.replace(self._path)

    def _remember(self, step: int, name: str, value: float) -> None:
        self._rows.append((step, name, value))
        self._recent.setdefault(name, deque(maxlen=_RECENT)).append(value)


def save_state(path: Path, **state: Any) -> None:
    """Write a checkpoint, whole: a stop in the middle leaves the earlier one."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def save_array(path: Path, array: np.ndarray) -> None:
    """Write an array as ``.npy``, whole: a stop in the middle leaves nothing that would be taken for it."""
    part = path.with_suffix(".part.npy")
    np.save(part, array)
    part.replace(path)


def load_state(path: Path) -> dict[str, Any]:
    """Read a checkpoint that ``save_state`` wrote."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
