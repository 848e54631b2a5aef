"""What each saving costs, as tables for people, as numbers, and as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from running.results_file import Section

from recommending.keeping import Target, kept_share, overlap
from recommending.measuring import METRICS, SEED, Measured, top_of, values_of
from recommending.saved import Saved
from recommending.setups import ENCODER, LVLM, SEARCH, VECTORS, WHOLE
from recommending.shop import Task
from vlm4rec_edge.evaluation import Estimate, bootstrap_interval

# What is wanted of the package's defaults, and of the graph.
LEAST_RECALL, LEAST_TOP, LEAST_HNSW = 0.99, 0.85, 0.995
_PARTS = {LVLM: "captioning", "encoder": "encoding", "search": "searching"}
_PACES = {LVLM: "photos/s", "encoder": "texts/s", "search": "searches/s"}
_SHOWN = {"recall@10": "Recall@10", "ndcg@10": "NDCG@10"}
_NONE = "-"
_MARKERS = ("s", "o", "^", "v", "D", "P", "X", "<", ">", "*", "h", "p")


@dataclass(frozen=True)
class Kept:
    """One row of one task: its figures, and what it keeps of full precision's Recall@10 and of its ten items.

    ``found_by_full``: for how many users full precision finds anything, which is what a row can lose.
    """

    saved: Saved
    measured: Measured
    recall: Estimate
    top: Estimate
    found_by_full: int


def kept(saved: Sequence[Saved], measured: Sequence[Measured], folder: Path) -> list[Kept]:
    """Return what each row keeps of the first one, which is full precision; one task's rows in the same order."""
    task, full = measured[0].task, measured[0].system
    reference, best = values_of(full, task, folder)["recall@10"], top_of(full, task, folder)
    return [
        Kept(
            one,
            own,
            kept_share(values_of(own.system, task, folder)["recall@10"], reference, seed=SEED),
            bootstrap_interval(overlap(top_of(own.system, task, folder), best), seed=SEED),
            int((reference > 0).sum()),
        )
        for one, own in zip(saved, measured, strict=True)
    ]


def targets(rows: Sequence[Kept]) -> list[Target]:
    """Return what is wanted, and what is there; nothing of rows that were not measured."""
    found = []
    for row in rows:
        if row.saved.saving.name == "as shipped":
            found.append(
                Target("as shipped", "of full precision's Recall@10", LEAST_RECALL, row.recall, row.found_by_full)
            )
            found.append(Target("as shipped", "of full precision's ten items", LEAST_TOP, row.top))
        elif row.saved.saving.name == "hnsw":
            found.append(Target("hnsw", "of the exact search's Recall@10", LEAST_HNSW, row.recall, row.found_by_full))
            found.append(Target("hnsw", "of the exact search's ten items", LEAST_HNSW, row.top))
    return found


def targets_section(by_task: Mapping[str, Sequence[Kept]]) -> Section:
    """Return the table of what is wanted, task by task."""
    rows, figures = [], []
    for title, kept_rows in by_task.items():
        for target in targets(kept_rows):
            rows.append(
                {
                    "on": title,
                    "row": target.row,
                    "keeps": f"{_share(target.found)} {target.what}",
                    "wanted": f"{100 * target.least:g} %",
                    "": target.verdict,
                }
            )
            figures.append({"on": title, **asdict(target), "verdict": target.verdict})
    return Section("targets", "What is kept of full precision", rows, figures)


def quality_section(rows: Sequence[Kept]) -> Section:
    """Return the table of one task."""
    task = rows[0].measured.task
    table, figures = [], []
    for row in rows:
        own = row.measured
        line = {"row": row.saved.saving.name, "MB": f"{row.saved.total / 1e6:.1f}"}
        for metric, title in _SHOWN.items():
            found, difference = own.figures[metric], own.differences.get(metric)
            line[title] = f"{found.mean:.4f} ({found.low:.4f} to {found.high:.4f})"
            line[f"{title} - full"] = (
                f"{difference.mean:+.4f} ({difference.low:+.4f} to {difference.high:+.4f}), p = {difference.p_value:.3f}"
                if difference
                else _NONE
            )
        line["Recall@10 kept"], line["top 10 kept"] = _share(row.recall), _share(row.top)
        table.append(line)
        figures.append(_numbers(row))
    return Section(task.name, task.title, table, figures)


def costs_section(saved: Sequence[Saved], remarks: Sequence[str]) -> Section:
    """Return the table of bytes, memory, time and captions."""
    table = []
    for one in saved:
        line = {"row": one.saving.name, "on what": one.saving.stage, "kept as": str(one.saving.setup)}
        line |= {f"{part}, MB": f"{size / 1e6:.1f}" for part, size in one.bytes.items()}
        for part, unit in _PACES.items():
            cost = one.costs.get(part)
            line[unit] = f"{cost.pace:,.0f} ({cost.slowest:,.0f} to {cost.fastest:,.0f})" if cost else _NONE
        for part, doing in _PARTS.items():
            cost = one.costs.get(part)
            line[f"{doing}, peak MB"] = f"{cost.peak / 1e6:.0f}" if cost and cost.peak else _NONE
        line["tokens equal"] = _NONE if one.tokens is None else f"{100 * one.tokens:.1f} %"
        line["captions equal"] = _NONE if one.captions is None else f"{100 * one.captions:.1f} %"
        table.append(line)
    return Section("costs", "What each row takes", table, [_taken(one) for one in saved], remarks)


# Rows of these stages share a panel, beside full precision: what they are large in, what they take time for, and its name.
_PANELS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], str]] = {
    "language model": ((LVLM,), (LVLM,), (LVLM,), "a photo"),
    "encoder": ((ENCODER,), ("encoder",), ("encoder",), "a text"),
    "vectors and search": ((VECTORS, SEARCH), ("vectors",), ("search",), "a search"),
    "all together": ((WHOLE,), (LVLM, "encoder", "vectors"), (LVLM, "encoder"), "an item, captioned and encoded"),
}


def draw_pareto(rows: Sequence[Kept], folder: Path, name: str) -> str:
    """Draw Recall@10 against the size and, where it was measured, the time of each part.

    A line joins the rows that no other beats in both (Pareto's front). Intervals are those of the difference from full
    precision, user by user: those of the figures themselves would be many times wider than any difference.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    task: Task = rows[0].measured.task
    kinds = ["size", *(["time"] if rows[0].saved.costs else [])]
    figure, all_axes = pyplot.subplots(
        len(kinds), len(_PANELS), figsize=(18, 5.6 * len(kinds)), layout="constrained", sharey="row", squeeze=False
    )
    for kind, some in zip(kinds, all_axes, strict=True):
        for axes, (title, (stages, sized, timed, thing)) in zip(some, _PANELS.items(), strict=True):
            shown = [rows[0], *(row for row in rows[1:] if row.saved.saving.stage in stages)]
            if kind == "size":
                places = [sum(row.saved.bytes[part] for part in sized) / 1e6 for row in shown]
            else:
                places = [sum(1000 / row.saved.costs[part].pace for part in timed) for row in shown]
            _panel(axes, shown, places)
            axes.set(title=title, xlabel="MB on disk" if kind == "size" else f"ms {thing}")
        some[0].set_ylabel("Recall@10")
    figure.suptitle(f"{task.title}: intervals of the paired difference from full precision", fontsize=10)
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{name}-{task.name}"
    figure.savefig(folder / f"{stem}.png", dpi=110, metadata={"Software": None})
    pyplot.close(figure)
    return f"{stem}.png"


def front(places: Sequence[float], values: Sequence[float]) -> list[int]:
    """Return which points no other beats: none is as small or smaller and better, nor as good and smaller; by size."""
    chosen: list[int] = []
    for at in sorted(range(len(places)), key=lambda at: (places[at], -values[at])):
        if not chosen or values[at] > values[chosen[-1]]:
            chosen.append(at)
    return chosen


def _panel(axes: Any, shown: Sequence[Kept], places: Sequence[float]) -> None:
    values = [row.measured.figures["recall@10"].mean for row in shown]
    for number, (row, place, value) in enumerate(zip(shown, places, values, strict=True)):
        difference = row.measured.differences.get("recall@10")
        error = [[difference.mean - difference.low], [difference.high - difference.mean]] if difference else None
        marker = _MARKERS[number % len(_MARKERS)]
        axes.errorbar(place, value, yerr=error, fmt=marker, capsize=3, label=row.saved.saving.name, alpha=0.8)
    best = front(places, values)
    axes.plot([places[at] for at in best], [values[at] for at in best], color="#2e7d4f", alpha=0.6)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.12))


def _taken(one: Saved) -> dict[str, Any]:
    return {
        "row": one.saving.name,
        "stage": one.saving.stage,
        **asdict(one.saving.setup),
        "bytes": {**one.bytes, "total": one.total},
        "costs": {part: asdict(cost) for part, cost in one.costs.items()},
        "tokens_equal": one.tokens,
        "captions_equal": one.captions,
    }


def _numbers(row: Kept) -> dict[str, Any]:
    return {
        **_taken(row.saved),
        "users": len(row.measured.task.split),
        "items": row.measured.task.split.item_count,
        "figures": {name: asdict(row.measured.figures[name]) for name in METRICS},
        "differences": {name: asdict(found) for name, found in row.measured.differences.items()},
        "recall_kept": asdict(row.recall),
        "top_kept": asdict(row.top),
    }


def _share(found: Estimate) -> str:
    if not np.isfinite(found.mean):
        return _NONE
    return f"{100 * found.mean:.1f} % ({100 * found.low:.1f} to {100 * found.high:.1f})"
