"""What each knob does, as tables for people, as numbers, and as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from running.results_file import Section

from recommending.caption_knobs import Captions
from recommending.measuring import SEED, Measured, values_of
from recommending.report import difference_text, interval_text, numbers
from recommending.shop import Task
from recommending.system import System
from vlm4rec_edge.evaluation import Estimate, bootstrap_interval

# Users of a table by history length: from so many items of the history on. Fewer users than this say nothing.
LENGTHS = (1, 2, 5, 10, 20, 50)
_FEWEST = 5
_SHOWN = {"recall@10": "Recall@10", "ndcg@10": "NDCG@10"}
_NONE = "-"


def knobs_section(name: str, title: str, measured: Sequence[Measured], default: str) -> Section:
    """Return the table of knobs on one task; each row is compared with the default of what it represents."""
    rows = []
    for one in measured:
        row = {"setting": one.system.name}
        for metric, shown in _SHOWN.items():
            row[shown] = interval_text(one.figures[metric])
            row[f"{shown} - {default}"] = difference_text(one, metric)
        rows.append(row)
    return Section(name, title, rows, [numbers(one) for one in measured])


def lengths_section(systems: Sequence[System], task: Task, folder: Path) -> Section | None:
    """Return Recall@10 by the length of the history; None where all histories are of one class."""
    sizes = task.split.history.sizes
    classes = np.digitize(sizes, LENGTHS) - 1
    present = [own for own in range(len(LENGTHS)) if (classes == own).sum() >= _FEWEST]
    if len(present) < 2:
        return None
    rows, figures = [], []
    for system in systems:
        values = values_of(system, task, folder)["recall@10"]
        row: dict[str, str] = {"an item is": system.name}
        for own in present:
            found = bootstrap_interval(values[classes == own], seed=SEED)
            users = int((classes == own).sum())
            row[f"{_class_name(own)} ({users:,} users)"] = interval_text(found)
            figures.append(
                {"row": system.name, "history": _class_name(own), "users": users, "recall@10": asdict(found)}
            )
        rows.append(row)
    remark = (
        "Recall@10 by the number of items in the history, 95 % intervals. Rows are compared within a column: longer "
    )
    remark += "histories also have more to predict."
    return Section(f"lengths-{task.name}", f"Users by history length: {task.title}", rows, figures, [remark])


def captions_section(captions: Sequence[Captions], remarks: Sequence[str]) -> Section:
    """Return what the captions of each setting are like."""
    rows = [
        {
            "setting": one.name,
            "words": f"{one.words:.1f}",
            "different captions": f"{one.distinct:,}",
            "equal to the model's own": f"{100 * one.equal_to(captions[0]):.1f} %",
            "without": f"{one.texts.count(''):,}",
        }
        for one in captions
    ]
    figures = [
        {"setting": one.name, "words": one.words, "distinct": one.distinct, "equal": one.equal_to(captions[0])}
        for one in captions
    ]
    return Section("captions", "The captions themselves", rows, figures, remarks)


def draw_knobs(measured: Sequence[Measured], folder: Path, stem: str) -> str:
    """Draw the difference of each knob from its default in Recall@10, with intervals, on one task; return the file's name."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    shown = [one for one in measured if one.differences]
    figure, axes = pyplot.subplots(figsize=(8, 1.2 + 0.26 * len(shown)), layout="constrained")
    for place, one in enumerate(shown):
        _point(axes, one, place)
    axes.axvline(0, color="#2e7d4f", linestyle=":")
    axes.set_yticks(range(len(shown)), [one.system.name for one in shown], fontsize=8)
    axes.set(xlabel="Recall@10 less that of the default, 95 % interval", title=shown[0].task.title)
    axes.title.set_fontsize(10)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{stem}.png", dpi=110, metadata={"Software": None})
    pyplot.close(figure)
    return f"{stem}.png"


def _point(axes: Any, one: Measured, place: int) -> None:
    found = one.differences["recall@10"]
    interval = Estimate(found.mean, found.low, found.high)
    error = [[interval.mean - interval.low], [interval.high - interval.mean]]
    colour = "#30628c" if one.system.kind == "profile" else "#7a4f9a"
    axes.errorbar(interval.mean, place, xerr=error, fmt="o", capsize=3, color=colour)


def _class_name(own: int) -> str:
    if own + 1 == len(LENGTHS):
        return f"{LENGTHS[own]} or more"
    last = LENGTHS[own + 1] - 1
    return str(last) if last == LENGTHS[own] else f"{LENGTHS[own]} to {last}"
