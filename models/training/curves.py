"""The journals of a training as a picture."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

_SMOOTH = 50


def draw_curves(folder: Path) -> Path:
    """Draw ``looking.csv`` and ``speaking.csv`` of a training into ``curves.png`` and return its path."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    seeing, speaking = _series(folder / "looking.csv"), _series(folder / "speaking.csv")
    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    for name, points in seeing.items():
        if name.startswith("right_"):
            left.plot(*zip(*points, strict=True), label=name.removeprefix("right_"))
        elif name != "loss":
            middle.plot(*zip(*_smoothed(points), strict=True), label=name)
    for name, points in speaking.items():
        if name == "held_out_loss":
            right.plot(*zip(*points, strict=True), "o-", label="held-out sentences")
        else:
            label = {"loss": "sentences", "json_loss": "JSON", "away": "the tower, from what it saw"}[name]
            right.plot(*zip(*_smoothed(points), strict=True), label=label)
    left.set(title="Seeing: held-out photos named right", xlabel="step", ylabel="share")
    middle.set(title="Seeing: losses by teacher", xlabel="step", yscale="log")
    right.set(title="Speaking: loss a token", xlabel="step")
    for axes in (left, middle, right):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=7)
    path = folder / "curves.png"
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path


def _series(path: Path) -> dict[str, list[tuple[int, float]]]:
    series: dict[str, list[tuple[int, float]]] = defaultdict(list)
    if not path.is_file():  # that lesson has not begun
        return series
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            series[row["name"]].append((int(row["step"]), float(row["value"])))
    return series


def _smoothed(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return the means of 50 points each."""
    blocks = [points[at : at + _SMOOTH] for at in range(0, len(points), _SMOOTH)]
    return [(block[-1][0], sum(value for _, value in block) / len(block)) for block in blocks]
