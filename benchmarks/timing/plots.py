"""The pictures of ``latency.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from running.results_file import Section

from timing.spread import spread

# Below this a shopper sees no delay that is ours (the project's own target).
_TARGET_MS = 5
_COLOURS = {"vlm4rec-edge": "#30628c", "xllamacpp": "#c07020"}
_HANDLER = "llama-cpp-python"


def draw(sections: Sequence[Section], folder: Path, name: str) -> list[str]:
    """Draw what has a picture and return the names of the files.

    Raises:
        ImportError: matplotlib is not installed.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for section in sections:
        picture = _PICTURES.get(section.name)
        if picture is None:
            continue
        figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
        picture(axes, section.figures)
        figure.savefig(folder / f"{name}-{section.name}.png", dpi=120, metadata={"Software": None})
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


def _throughput(axes: Any, figures: Sequence[Mapping[str, Any]]) -> None:
    """Draw how many times the handler's photos a second, so that models of any size share the axis; else photos a second."""
    relative = all(own["times_handler"] for own in figures)
    if relative:
        axes.axhline(1, color="#707070", label=f"{_HANDLER}, one at a time")
    for model, line in zip(dict.fromkeys(own["model"] for own in figures), ("-", "--", ":"), strict=False):
        for engine, colour in _COLOURS.items():
            own = sorted((one["batch"], one) for one in figures if (one["model"], one["engine"]) == (model, engine))
            if not own:
                continue
            values = [spread(one["photos_per_s"]) for _, one in own]
            scales = [
                one["times_handler"] / value.median if relative else 1
                for (_, one), value in zip(own, values, strict=True)
            ]
            middle = [value.median * scale for value, scale in zip(values, scales, strict=True)]
            errors = [
                [(value.median - value.low) * scale for value, scale in zip(values, scales, strict=True)],
                [(value.high - value.median) * scale for value, scale in zip(values, scales, strict=True)],
            ]
            axes.errorbar(
                [batch for batch, _ in own],
                middle,
                yerr=errors,
                marker="o",
                color=colour,
                linestyle=line,
                capsize=3,
                label=f"{engine}, {model}",
            )
    ticks = sorted({own["batch"] for own in figures})
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set(
        xlabel="photos at work together",
        ylabel="photos/s, times llama-cpp-python's" if relative else "photos/s",
        ylim=0,
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def _steps(axes: Any, figures: Sequence[Mapping[str, Any]]) -> None:
    names = [f"{own['model']}\n{spread(own['whole_s']).median * 1e3:,.1f} ms a photo" for own in figures]
    wholes = [spread(own["whole_s"]).median for own in figures]
    steps = list(figures[0]["steps_s"])
    for place, (own, whole) in enumerate(zip(figures, wholes, strict=True)):
        left, left_beside = 0.0, 0.0
        for number, step in enumerate(steps):
            share = spread(own["steps_s"][step]).median / whole * 100
            if step in own["beside"]:
                axes.barh(place + 0.4, share, height=0.12, left=left_beside, color=f"C{number}")
                left_beside += share
            else:
                axes.barh(place, share, height=0.6, left=left, color=f"C{number}")
                left += share
    for number, step in enumerate(steps):
        axes.barh(0, 0, color=f"C{number}", label=step)
    axes.set_yticks(range(len(figures)), names)
    axes.set(xlabel="% of the time of index (thin: in threads beside)")
    axes.legend(fontsize="small", ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.15))


def _encoding(axes: Any, figures: Sequence[Mapping[str, Any]]) -> None:
    names = [own["engine"] for own in figures][::-1]
    rates = [spread(own["texts_per_s"]) for own in figures][::-1]
    colours = ["#30628c" if name.startswith("vlm4rec") else "#c9d7e8" for name in names]
    errors = [[rate.median - rate.low for rate in rates], [rate.high - rate.median for rate in rates]]
    axes.barh(names, [rate.median for rate in rates], xerr=errors, color=colours, capsize=3)
    axes.set(xlabel="texts/s")


_PICTURES: Mapping[str, Callable[[Any, Sequence[Mapping[str, Any]]], None]] = {
    "retrieval": _retrieval,
    "options": _options,
    "throughput": _throughput,
    "steps": _steps,
    "encoding": _encoding,
}
