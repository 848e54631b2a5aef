"""Vision towers: llama.cpp's own and ONNX Runtime's in our engine beside other engines, in turns; and whose words they say."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from running.bfloat16 import lack_of_bfloat16
from running.fresh_process import PROGRAM, run_process
from running.results_file import Section

from timing.grounding_engines import HANDLER, OURS, PEERS, SERVER, Done, Task, measure
from timing.photos import photos_in
from timing.spread import percentile, spread
from vlm4rec_edge import resolve_lvlm
from vlm4rec_edge.cores import usable_cores
from vlm4rec_edge.grounding.clean import clean_caption
from vlm4rec_edge.grounding.llama.prompt import DEFAULT_PROMPT

# Photos that are captioned before time counts.
_WARM = 1
# What the real SmolVLM enlarges every photo to, before it cuts it into views.
_EDGE = 2048


@dataclass(frozen=True)
class Way:
    """One way to caption: its name in the table, its engine, and what is set of ours."""

    label: str
    engine: str
    vision: str = "auto"
    precision: str = "fp32"
    device: str = "cpu"


WAYS = {
    "mtmd": Way("ours, llama.cpp's tower (mtmd)", OURS, "mtmd"),
    "fp32": Way("ours, ONNX Runtime, fp32", OURS, "onnx"),
    "int8": Way("ours, ONNX Runtime, int8", OURS, "onnx", "int8"),
    "bf16": Way("ours, OpenVINO, bf16", OURS, "onnx", "bf16"),
    "handler": Way("llama-cpp-python's handler", HANDLER),
    "server": Way("xllamacpp's server", SERVER),
    "cuda-mtmd": Way("ours on CUDA, llama.cpp's tower (mtmd)", OURS, "mtmd", device="cuda"),
    "cuda-fp32": Way("ours on CUDA, ONNX Runtime, fp32", OURS, "onnx", device="cuda"),
}


@dataclass(frozen=True)
class Setting:
    """A model, the photos it is shown, and how many of them are at work together."""

    label: str
    model: Path | str
    photos: Sequence[Path]
    batch: int

    def task(self, way: Way) -> Task:
        """Return the task of captioning them in one way."""
        files = resolve_lvlm(self.model)
        own, names = files.settings, tuple(map(str, self.photos))
        return Task(
            way.engine,
            str(self.model),
            str(files.text),
            str(files.projector),
            names[_WARM:],
            names[:_WARM],
            own.prompt or DEFAULT_PROMPT,
            own.max_tokens,
            1 if way.engine == HANDLER else self.batch,
            own.context_length,
            usable_cores(),
            vision=way.vision,
            vision_precision=way.precision,
            device=way.device,
        )


def large_model(work: Path) -> Path:
    """Make SmolVLM-256M's shape with the real model's number of views, or take the one made before."""
    place = work / "smolvlm-256m-shape-2048"
    if not place.is_dir():
        script = str(Path(__file__).parents[1] / "smolvlm_shape.py")
        command = [sys.executable, script, str(place), "--edge", str(_EDGE)]
        if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
            raise SystemExit("The large model could not be made; give another with --large-model, or --large-photos 0.")
    return place


def photos_of_side(work: Path, folder: Path | None, count: int, side: int) -> list[Path]:
    """Return ``count`` photos and some to warm up with, their longer side ``side`` pixels."""
    from PIL import Image

    target = work / f"photos-{side}"
    target.mkdir(parents=True, exist_ok=True)
    made = []
    for number, photo in enumerate(photos_in(work, folder, count + _WARM)):
        made.append(target / f"{number:05}-{photo.stem}.jpg")
        if not made[-1].exists():
            with Image.open(photo) as picture:
                scale = side / max(picture.size)
                width, height = (max(round(size * scale), 1) for size in picture.size)
                picture.convert("RGB").resize((width, height)).save(made[-1], quality=92)
    return made


def speed(settings: Sequence[Setting], ways: Sequence[str], *, rounds: int) -> Section:
    """Measure photos a second in each way, the ways in turns."""
    figures: list[dict[str, Any]] = []
    remarks = [
        "From the files to the captions; the model is loaded and its graph made before. Each way is a process of its own with "
        f"{usable_cores()} threads; medians of {rounds} rounds, in which they took turns; lowest and highest in brackets.",
        "Processor seconds count all threads of a process: on a busy machine they tell more than the time that passed.",
    ]
    for setting in settings:
        remarks.append(f"{setting.label}: {len(setting.photos) - _WARM} photos, {setting.batch} at work together.")
        measured: dict[Way, list[Done]] = {}
        broken: dict[Way, str] = {}
        for _ in range(rounds):
            for way in _there(ways, remarks):
                if way not in broken:
                    try:
                        measured.setdefault(way, []).append(measure(setting.task(way)))
                    except RuntimeError as error:
                        broken[way] = str(error)
        remarks += [f"{setting.label}: {way.label} failed and was left out: {why}" for way, why in broken.items()]
        figures += _figures(setting, {way: done for way, done in measured.items() if way not in broken})
    rows = [
        {
            "model": own["model"],
            "engine": own["engine"],
            "photos/s": spread(own["photos_per_s"]).text(1, 3),
            "times the handler": _times(own["times_handler"]),
            "times the server": _times(own["times_server"]),
            "CPU s/photo": spread(own["cpu_s_per_photo"]).text(1, 3),
            "peak MB": f"{own['peak_mb']:,.0f}",
            **({"VRAM MB": f"{own['vram_mb']:,.0f}"} if any(figure["vram_mb"] for figure in figures) else {}),
        }
        for own in figures
    ]
    return Section("speed", "Photos a second with each vision tower", rows, figures, list(dict.fromkeys(remarks)))


def _there(names: Sequence[str], remarks: list[str]) -> Iterator[Way]:
    for name in names:
        if lack := lack_of(WAYS[name]):
            remarks.append(f"{WAYS[name].label} was left out: {lack}")
        else:
            yield WAYS[name]


def lack_of(way: Way) -> str:
    """Return why a way cannot be measured here; empty where it can."""
    if way.engine in PEERS and find_spec(PEERS[way.engine][0]) is None:
        return f"pip install {PEERS[way.engine][1]}"
    return lack_of_bfloat16() if way.precision == "bf16" else ""


def _figures(setting: Setting, done: dict[Way, list[Done]]) -> Iterator[dict[str, Any]]:
    medians = {way.engine: spread([one.rate for one in own]).median for way, own in done.items() if way.engine != OURS}
    for way, own in done.items():
        rates = [one.rate for one in own]
        of_others = {engine: spread(rates).median / rate for engine, rate in medians.items()}
        yield {
            "model": setting.label,
            "engine": way.label,
            "photos": len(own[0].texts),
            "batch": setting.batch,
            "photos_per_s": rates,
            "times_handler": of_others.get(HANDLER),
            "times_server": of_others.get(SERVER),
            "cpu_s_per_photo": [one.cpu_s / len(one.texts) for one in own],
            "peak_mb": max(one.peak_mb for one in own),
            "vram_mb": max(one.vram_mb for one in own),
            "tower": own[0].tower,
            "tokens": float(np.mean(own[0].tokens)),
            "system": own[0].system,
        }


def alone(setting: Setting, ways: Sequence[str], *, rounds: int) -> Section:
    """Measure one photo alone, the next asked for when the one before it was done; the ways in turns."""
    remarks = [
        f"{setting.label}: {len(setting.photos) - _WARM} photos, each asked for when the one before it was done; medians of "
        f"{rounds} rounds, lowest and highest in brackets. xllamacpp's server has one slot."
    ]
    measured: dict[Way, list[float]] = {}
    for _ in range(rounds):
        for way in _there(ways, remarks):
            done = measure(replace(setting.task(way), one_by_one=True, batch=1))
            measured.setdefault(way, []).append(percentile(sorted(done.each_s), 50))
    figures = [{"engine": way.label, "p50_s": own} for way, own in measured.items()]
    rows = [{"engine": way.label, "p50 ms": spread(own).text(1e3, 1)} for way, own in measured.items()]
    return Section("alone", "One photo alone", rows, figures, list(dict.fromkeys(remarks)))


def whole_index(setting: Setting, ways: Sequence[str], *, rounds: int) -> Section:
    """Measure the whole ``index`` command with each of our ways against the handler, which is warm and only captions."""
    remarks = [
        f"{setting.label}, {len(setting.photos) - _WARM} photos. Ours: the command from its start to its end, with loading, "
        "captions, their vectors, the store and the graph. The handler: captions alone, loaded and warm. In turns; medians of "
        f"{rounds} rounds, lowest and highest in brackets."
    ]
    measured: dict[Way, list[float]] = {}
    for _ in range(rounds):
        for way in _there(ways, remarks):
            rate = _indexed(setting, way) if way.engine == OURS else measure(setting.task(way)).rate
            measured.setdefault(way, []).append(rate)
    handler = spread(measured[WAYS["handler"]]).median if WAYS["handler"] in measured else None
    figures = [
        {
            "engine": way.label,
            "photos_per_s": own,
            "times_handler": spread(own).median / handler if handler else None,
        }
        for way, own in measured.items()
    ]
    rows = [
        {
            "engine": own["engine"],
            "photos/s": spread(own["photos_per_s"]).text(1, 2),
            "times the handler": _times(own["times_handler"]),
        }
        for own in figures
    ]
    return Section("index", "The whole of index, against a warm handler", rows, figures, list(dict.fromkeys(remarks)))


def _indexed(setting: Setting, way: Way) -> float:
    """Return photos a second of ``vlm4rec-edge index`` over the photos that count."""
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder) / "photos"
        photos.mkdir()
        for photo in setting.photos[_WARM:]:
            shutil.copy(photo, photos)
        command = [sys.executable, str(PROGRAM), "index", str(photos), "--out", str(Path(folder) / "index"), "--json"]
        command += ["--model", str(setting.model), "--vision", way.vision, "--vision-precision", way.precision]
        return (len(setting.photos) - _WARM) / run_process(command).seconds


def _times(value: float | None) -> str:
    return f"{value:.2f}" if value else ""


def words(setting: Setting, ways: Sequence[str]) -> Section:
    """Compare captions with those of llama.cpp's tower, photo by photo."""
    remarks: list[str] = []
    said = {way: _captions(setting, way) for way in _there(["mtmd", *ways], remarks)}
    reference = said.pop(WAYS["mtmd"])
    figures = [
        {
            "engine": way.label,
            "photos": len(own),
            "same": float(np.mean([a == b for a, b in zip(own, reference, strict=True)])),
            "same_words": float(np.mean([_shared(a, b) for a, b in zip(own, reference, strict=True)])),
        }
        for way, own in said.items()
    ]
    rows = [
        {
            "engine": own["engine"],
            "the very same caption": f"{own['same']:.1%}",
            "words in common": f"{own['same_words']:.1%}",
        }
        for own in figures
    ]
    remarks.append(
        f"{setting.label}, {len(reference)} photos, against our engine with llama.cpp's own tower. Words in common: of the "
        "different words of both captions, the share that stands in both; the mean over photos."
    )
    return Section("words", "Whose words they say", rows, figures, remarks)


def _captions(setting: Setting, way: Way) -> list[str]:
    task = setting.task(way)
    done = measure(replace(task, photos=(*task.warm, *task.photos)))
    return [
        clean_caption(text, cut_off=said >= task.max_tokens) for text, said in zip(done.texts, done.tokens, strict=True)
    ]


def _shared(one: str, other: str) -> float:
    own, others = set(one.lower().split()), set(other.lower().split())
    return len(own & others) / max(len(own | others), 1)
