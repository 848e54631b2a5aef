"""The plots of the page on quality: bars with their figures, made of ``benchmarks/results`` when the site is built."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from html import escape
from statistics import median
from typing import Any, NamedTuple

from kept import ROOT

RESULTS = ROOT / "benchmarks" / "results"


class Bar(NamedTuple):
    """A bar: what it is of, how long it is, what is written behind it, its interval, and whether it is one of ours."""

    label: str
    value: float
    shown: str
    low: float | None = None
    high: float | None = None
    ours: bool = False


def drawn(what: str, bars: Sequence[Bar]) -> str:
    """Return bars as HTML, which ``docs/site.css`` lays out on a desk and on a phone; ``what`` says what they show."""
    most = max(bar.high or bar.value for bar in bars)
    rows = []
    for bar in bars:
        interval = ""
        if bar.low is not None and bar.high is not None:
            low, high = 100 * bar.low / most, 100 * bar.high / most
            interval = f'<i style="left: {low:.1f}%; width: {high - low:.1f}%"></i>'
        rows.append(
            f'<div class="bar{" ours" if bar.ours else ""}"><span>{escape(bar.label)}</span>'
            f'<span class="track"><b style="width: {100 * bar.value / most:.1f}%"></b>{interval}</span>'
            f"<span>{escape(bar.shown)}</span></div>"
        )
    return f'<div class="bars" role="group" aria-label="{escape(what, quote=True)}">{"".join(rows)}</div>'


def _section(results: str, name: str) -> list[dict[str, Any]]:
    document = json.loads((RESULTS / f"{results}.json").read_text(encoding="utf-8"))
    return next(list(section["figures"]) for section in document["sections"] if section["name"] == name)


def _of_100(label: str, found: Mapping[str, float], *, ours: bool = False) -> Bar:
    return Bar(label, found["mean"], f"{100 * found['mean']:.1f}", found["low"], found["high"], ours)


def representation() -> str:
    """What represents an item best, before and after ``learn``: baskets completed of 100."""
    rows = {one["row"]: one["figures"]["recall@10"] for one in _section("accuracy", "baskets")}
    learned, content = (
        {
            text: next(one["all_users"] for one in _section(f"learning-baskets-{text}", "rivals") if one["way"] == way)
            for text in ("title", "caption", "weighted")
        }
        for way in ("learned, content and popularity", "content")
    )
    return drawn(
        "Baskets of 100 whose hidden item is among ten recommended",
        [
            _of_100("title, after learn", learned["title"], ours=True),
            _of_100("title and caption, after learn", learned["weighted"], ours=True),
            _of_100("caption alone, after learn", learned["caption"], ours=True),
            _of_100("title", content["title"], ours=True),
            _of_100("title and caption", content["weighted"], ours=True),
            _of_100("what most people buy", rows["popularity"]),
            _of_100("the photo's features, no words", rows["vision, EfficientNet-Lite0"]),
            _of_100("caption of the embedded model", content["caption"], ours=True),
            _of_100("chance", rows["random"]),
        ],
    )


def savings() -> str:
    """What each saved byte costs: how many of ten recommended items stay the same."""
    rows = {one["row"]: one for one in _section("savings", "baskets")}

    def bar(label: str, row: str, part: str, *, ours: bool = False) -> Bar:
        kept, megabytes = rows[row]["top_kept"], rows[row]["bytes"][part] / 1e6
        return Bar(
            label, kept["mean"], f"{10 * kept['mean']:.1f} of 10, {megabytes:.1f} MB", kept["low"], kept["high"], ours
        )

    return drawn(
        "Of ten recommended items, how many stay the same",
        [
            bar("captioner in F16", "full precision", "language model"),
            bar("captioner in Q8_0, as shipped", "text Q8_0-F16, projector Q8_0", "language model", ours=True),
            bar("captioner in Q4_K_M", "text Q4_K_M, projector Q8_0", "language model"),
            bar("captioner in Q4_0", "text Q4_0, projector Q4_0", "language model"),
            bar("encoder, int8 weights, as shipped", "encoder int8-weights", "encoder", ours=True),
            bar("encoder, all in int8", "encoder int8", "encoder"),
            bar("vectors in float16, a bundle's", "vectors float16", "vectors", ours=True),
            bar("vectors in int8", "vectors int8", "vectors"),
            bar("vectors of one bit a value", "vectors binary", "vectors"),
        ],
    )


def speed() -> str:
    """Photos a second, the best of each engine's batches, beside that of the handler of llama-cpp-python."""
    bars = []
    for label, results in (("embedded model", "latency-grounding"), ("SmolVLM-256M's size", "latency-grounding-large")):
        best: dict[str, float] = {}
        for one in _section(results, "throughput"):
            best[one["engine"]] = max(best.get(one["engine"], 0.0), median(one["photos_per_s"]))
        base = best["llama-cpp-python"]
        for engine in ("vlm4rec-edge", "llama-cpp-python", "xllamacpp"):
            pace = best[engine]
            shown = f"{pace:.0f} photos/s" if pace > 1 else f"{pace:.2f} photos/s"
            bars.append(Bar(f"{engine}, {label}", pace / base, shown, ours=engine == "vlm4rec-edge"))
    return drawn("How fast, as a multiple of llama-cpp-python's own handler", bars)


def mistakes() -> str:
    """What a larger captioner would have to get right: the embedded model's captions with their mistakes corrected."""
    rows = {one["row"]: one["figures"]["recall@10"] for one in _section("mistakes", "baskets")}
    names = {
        "caption": "the captions as they are",
        "first sentence, kind corrected": "first sentence, kind corrected",
        "first sentence, colour corrected": "first sentence, colour corrected",
        "first sentence, all four corrected": "first sentence, all four corrected",
        "caption, details corrected": "details corrected",
        "vision, EfficientNet-Lite0": "the photo's features, no words",
        "caption, everything corrected": "everything corrected",
        "the shop's description": "the shop's own description",
    }
    bars = [_of_100(shown, rows[name], ours=name.startswith("caption")) for name, shown in names.items()]
    return drawn("Baskets of 100 whose hidden item is among ten recommended", bars)


PLOTS: dict[str, Callable[[], str]] = {
    "plot of representations": representation,
    "plot of savings": savings,
    "plot of speed": speed,
    "plot of mistakes": mistakes,
}
