"""The figures as tables for people, as numbers, and as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from running.results_file import Section

from recommending.measuring import METRICS, Measured
from recommending.system import Row
from vlm4rec_edge.evaluation import Estimate, PairedDifference

_TITLES = {"recall@10": "Recall@10", "ndcg@10": "NDCG@10", "hit_rate@10": "HitRate@10"}
_COLOURS = {"control": "#999999", "text": "#30628c", "vision": "#b06a30", "caption": "#2e7d4f", "fusion": "#7a4f9a"}
_NONE = "-"


def task_section(measured: Sequence[Measured], baseline: Row | None) -> Section:
    """Return the table of one task."""
    task = measured[0].task
    rows = []
    for one in measured:
        row = {"an item is": one.system.name}
        row |= {_TITLES[name]: interval_text(one.figures[name]) for name in METRICS}
        if baseline:
            row |= {f"{_TITLES[name]} - {baseline.name}": difference_text(one, name) for name in METRICS}
        if any(other.by_seed for other in measured):
            row["Recall@10 of each seed"] = _seeds(one)
        rows.append(row)
    return Section(task.name, task.title, rows, [numbers(one) for one in measured])


def rows_section(systems: Sequence[Row], remarks: Sequence[str]) -> Section:
    """Return the table that says what each row is."""
    rows = [
        {
            "row": system.name,
            "what it is": system.about,
            "dimensions": f"{system.dimensions:,}" if system.dimensions else _NONE,
            "items without": f"{system.without:,}",
            "trained": f"seeds {', '.join(map(str, system.seeds))}" if system.seeds else "no",
        }
        for system in systems
    ]
    figures = [
        {
            "row": system.name,
            "kind": system.kind,
            "dimensions": system.dimensions,
            "without": system.without,
            "seeds": list(system.seeds),
        }
        for system in systems
    ]
    return Section("rows", "What each row is", rows, figures, remarks)


def draw(measured: Sequence[Measured], baseline: Row | None, folder: Path, name: str) -> str:
    """Draw the Recall@10 of one task with its intervals and return the name of the picture."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    task = measured[0].task
    figure, axes = pyplot.subplots(figsize=(8, 1.2 + 0.34 * len(measured)), layout="constrained")
    for place, one in enumerate(measured):
        found = one.figures["recall@10"]
        error = [[found.mean - found.low], [found.high - found.mean]]
        axes.errorbar(found.mean, place, xerr=error, fmt="o", capsize=3, color=_COLOURS[one.system.kind])
        if one.system is baseline:
            axes.axvline(found.mean, color=_COLOURS["caption"], linestyle=":")
    axes.set_yticks(range(len(measured)), [one.system.name for one in measured], fontsize=8)
    axes.set(xlabel="Recall@10, 95 % interval", title=task.title)
    axes.title.set_fontsize(10)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"{name}-{task.name}"
    figure.savefig(f"{stem}.png", dpi=120, metadata={"Software": None})
    pyplot.close(figure)
    return f"{stem.name}.png"


def numbers(one: Measured) -> dict[str, Any]:
    """Return the figures of one row of one task."""
    return {
        "row": one.system.name,
        "kind": one.system.kind,
        "users": len(one.task.split),
        "items": one.task.split.item_count,
        "figures": {name: asdict(figure) for name, figure in one.figures.items()},
        "differences": {name: asdict(difference) for name, difference in one.differences.items()},
        "by_seed": {str(seed): dict(means) for seed, means in one.by_seed.items()},
    }


def interval_text(found: Estimate) -> str:
    """Return a figure with its interval as people read it."""
    return f"{found.mean:.4f} ({found.low:.4f} to {found.high:.4f})"


def _seeds(one: Measured) -> str:
    return ", ".join(f"{means['recall@10']:.4f}" for means in one.by_seed.values()) or _NONE


def difference_text(one: Measured, name: str) -> str:
    """Return how far a metric lies above the baseline's, ``-`` for the baseline."""
    found: PairedDifference | None = one.differences.get(name)
    if found is None:
        return _NONE
    return f"{found.mean:+.4f} ({found.low:+.4f} to {found.high:+.4f}), p = {found.p_value:.4f}"
