"""Pictures of the results: how right against how large, and which kinds are taken for which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from captioning.figures import Figures

_SHOWN = ("kind", "group", "colour family", "pattern", "audience", "audience, women as one")
_KINDS = 15
_OTHER = "another, or none"


def draw_sizes(figures: Sequence[Figures], compared: Sequence[Figures], sizes: Mapping[str, float], path: Path) -> str:
    """Draw how right models are on one set against their size in MB, ``compared`` as lines; return the picture's name."""
    from matplotlib import pyplot

    shown = [column for column in _SHOWN if figures[0].share(column)]
    figure, all_axes = pyplot.subplots(
        1, len(shown), figsize=(3 * len(shown), 3.6), layout="constrained", sharey=True, squeeze=False
    )
    for axes, column in zip(all_axes[0], shown, strict=True):
        for one in figures:
            if right := one.share(column):
                error = [[100 * (right.value - right.low)], [100 * (right.high - right.value)]]
                axes.errorbar(sizes[one.model], 100 * right.value, yerr=error, fmt="o", capsize=3, label=one.model)
        for one, style in zip(compared, (":", "-.", "--"), strict=False):
            if right := one.share(column):
                axes.axhline(100 * right.value, color="grey", linestyle=style, label=one.model)
        axes.set(title=column, xlabel="MB", ylim=(0, 100))
        axes.grid(alpha=0.3)
    all_axes[0][0].set_ylabel("% right")
    handles, labels = all_axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8)
    figure.suptitle(f"Captions of {figures[0].photos.name}, 95 % intervals", fontsize=10)
    return _save(figure, path)


def confusion(figures: Figures, kinds: int = _KINDS) -> tuple[list[str], np.ndarray]:
    """Return the most frequent true kinds and, in rows by them, the shares of what was said: these kinds, then another."""
    pairs = [
        (min(case.truth["kind"]), said.kind)
        for case, said in zip(figures.photos.cases, figures.said, strict=True)
        if case.truth["kind"]
    ]
    names = [name for name, _ in Counter(true for true, _ in pairs).most_common(kinds)]
    place = {name: at for at, name in enumerate(names)}
    counts = np.zeros((len(names), len(names) + 1))
    for true, said in pairs:
        if true in place:
            counts[place[true], place.get(said, len(names))] += 1
    return names, counts / counts.sum(1, keepdims=True)


def draw_confusion(figures: Figures, path: Path) -> str:
    """Draw which of the most frequent kinds a model confuses with which; return the picture's name."""
    from matplotlib import pyplot

    names, shares = confusion(figures)
    figure, axes = pyplot.subplots(figsize=(8, 6.6), layout="constrained")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(shares >= 0.005):
        value = shares[row, column]
        axes.text(
            column, row, f"{100 * value:.0f}", ha="center", va="center", fontsize=7, color="w" if value > 0.5 else "k"
        )
    axes.set_xticks(range(len(names) + 1), [*names, _OTHER], rotation=60, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set(xlabel="said", ylabel="true")
    axes.set_title(f"{figures.model} on {figures.photos.name}: of 100 products of a kind", fontsize=10)
    return _save(figure, path)


def use_files_only() -> None:
    """Let matplotlib draw without a screen."""
    import matplotlib as mpl

    mpl.use("Agg")


def _save(figure: Any, path: Path) -> str:
    from matplotlib import pyplot

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})
    pyplot.close(figure)
    return path.name
