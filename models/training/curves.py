"""The journals of a training as a picture."""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

_SMOOTH = 50
_SAID = {"loss": "sentences", "json_loss": "JSON", "away": "the tower, from what it saw"}
Points = list[tuple[int, float]]


@dataclass
class Panel:
    """One panel of the picture; a line is its label, its points and matplotlib's format of it."""

    title: str
    unit: str = ""
    scale: str = "linear"
    lines: list[tuple[str, Points, str]] = field(default_factory=list)


def draw_curves(folder: Path) -> Path:
    """Draw ``looking.csv`` and ``speaking.csv`` of a training into ``curves.png`` and return its path.

    A further training has only the second, and gets no panels of the first.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    panels = panels_of(folder)
    figure = pyplot.figure(figsize=(1 + 4 * len(panels), 3.8), layout="constrained")
    for place, panel in enumerate(panels, 1):
        axes = figure.add_subplot(1, len(panels), place)
        for label, points, style in panel.lines:
            axes.plot(*zip(*points, strict=True), style, label=label)
        axes.set(title=panel.title, xlabel="step", ylabel=panel.unit, yscale=panel.scale)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    path = folder / "curves.png"
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path


def panels_of(folder: Path) -> list[Panel]:
    """Return the panels that the journals of a training have lines for."""
    right = Panel("Seeing: held-out photos named right", unit="share")
    losses = Panel("Seeing: losses by teacher", scale="log")
    speaking = Panel("Speaking: loss a token")
    for name, points in _series(folder / "looking.csv").items():
        if name.startswith("right_"):
            right.lines.append((name.removeprefix("right_"), points, "-"))
        elif name != "loss":
            losses.lines.append((name, _smoothed(points), "-"))
    for name, points in _series(folder / "speaking.csv").items():
        if name == "held_out_loss":
            speaking.lines.append(("held-out sentences", points, "o-"))
        else:
            speaking.lines.append((_SAID[name], _smoothed(points), "-"))
    return [panel for panel in (right, losses, speaking) if panel.lines]


def _series(path: Path) -> dict[str, Points]:
    series: dict[str, Points] = defaultdict(list)
    if not path.is_file():  # that lesson has not begun
        return series
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            series[row["name"]].append((int(row["step"]), float(row["value"])))
    return series


def _smoothed(points: Points) -> Points:
    """Return the means of 50 points each."""
    blocks = [points[at : at + _SMOOTH] for at in range(0, len(points), _SMOOTH)]
    return [(block[-1][0], sum(value for _, value in block) / len(block)) for block in blocks]
