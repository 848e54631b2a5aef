"""The pictures of ``latency.py``, each as PNG and SVG."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from results_file import Section
from timing import spread

# Below this a shopper sees no delay that is ours (the project's own target).
_TARGET_MS = 5


def draw(sections: Sequence[Section], folder: Path, name: str) -> list[str]:
    """Draw what has a picture and return the names of the PNG files.

    Raises:
        ImportError: matplotlib is not installed.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = name  # the same figures give the same file
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for section in sections:
        picture = _PICTURES.get(section.name)
        if picture is None:
            continue
        figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
        picture(axes, section.figures)
        figure.savefig(folder / f"{name}-{section.name}.png", dpi=120)
        figure.savefig(folder / f"{name}-{section.name}.svg", metadata={"Date": None})
        pyplot.close(figure)
        drawn.append(f"{name}-{section.name}.png")
    return drawn


def _retrieval(axes: Any, figures: Sequence[Mapping[str, Any]]) -> None:
    engines = dict.fromkeys(_family(own["engine"]) for own in figures)
    for engine in engines:
        points = sorted((own["vectors"], spread(own["p50_s"])) for own in figures if _family(own["engine"]) == engine)
        sizes, values = zip(*points, strict=True)
        middle = [value.median * 1e3 for value in values]
        errors = [[(v.median - v.low) * 1e3 for v in values], [(v.high - v.median) * 1e3 for v in values]]
        style = "-" if engine.startswith("vlm4rec") else "--"
        axes.errorbar(sizes, middle, yerr=errors, marker="o", linestyle=style, capsize=3, label=engine)
    axes.set(xscale="log", yscale="log", xlabel="vectors of 384 values", ylabel="one query, p50, ms")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def _family(engine: str) -> str:
    """One line for ``recommend()``, by whichever method it answers."""
    return engine.removesuffix(", exact").removesuffix(", hnsw")


def _options(axes: Any, figures: Sequence[Mapping[str, Any]]) -> None:
    names = [own["option"] for own in figures][::-1]
    for key, label, colour in (("p99_s", "p99", "#c9d7e8"), ("p50_s", "p50", "#30628c")):
        axes.barh(names, [spread(own[key]).median * 1e3 for own in figures][::-1], color=colour, label=label)
    axes.axvline(_TARGET_MS, color="#b03030", linestyle=":", label=f"{_TARGET_MS} ms")
    axes.set(xlabel="recommend(), ms")
    axes.legend(fontsize="small")


_PICTURES: Mapping[str, Callable[[Any, Sequence[Mapping[str, Any]]], None]] = {
    "retrieval": _retrieval,
    "options": _options,
}
