"""Photos a second: this package's captioner, llama-cpp-python's own handler, xllamacpp's server, the same files in turns."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from running.results_file import Section

from timing.grounding_engines import HANDLER, OURS, PEERS, SERVER, Done, Task, measure
from timing.photos import photos_in
from timing.spread import percentile, spread
from vlm4rec_edge import resolve_lvlm
from vlm4rec_edge.catalog.photo import decode_photo, read_photo_file
from vlm4rec_edge.cores import usable_cores
from vlm4rec_edge.grounding.clean import clean_caption
from vlm4rec_edge.grounding.llama.prompt import DEFAULT_PROMPT
from vlm4rec_edge.models.resolve import LvlmFiles

EMBEDDED, LARGE = "stylist-lvlm", "SmolVLM-256M's shape"
# Photos that are captioned before time counts; others than those that count. Ours takes more, because each of its engines
# finds out with its first few what need not be encoded twice, once for a whole catalog.
_WARM, _WARM_OTHERS = 8, 2
# Our own batch where only one is measured: what `--batch auto` takes on a CPU.
BATCH = 16


@dataclass(frozen=True)
class Model:
    """A model to measure with, and the photos it is shown; the last ``_WARM`` of them are for warming up."""

    label: str
    files: LvlmFiles
    photos: Sequence[Path]

    @property
    def counted(self) -> Sequence[Path]:
        """The photos that count."""
        return self.photos[:-_WARM]

    @property
    def warm(self) -> Sequence[Path]:
        """The photos to warm up with."""
        return self.photos[-_WARM:]

    def task(self, engine: str, batch: int, **settings: Any) -> Task:
        """Return the task of captioning this model's photos."""
        own, names = self.files.settings, tuple(map(str, self.photos))
        return Task(
            engine,
            str(self.files.folder),
            str(self.files.text),
            str(self.files.projector),
            names[: len(self.counted)],
            names[-_WARM if engine == OURS else -_WARM_OTHERS :],
            own.prompt or DEFAULT_PROMPT,
            own.max_tokens,
            batch,
            own.context_length,
            usable_cores(),
            **settings,
        )


def models(work: Path, photos: Path | None, count: int, large: Path | None, large_count: int) -> Iterator[Model]:
    """Yield the embedded model and the large one, which is made in ``work``; a ``count`` of 0 leaves one out."""
    if count:
        yield Model(EMBEDDED, resolve_lvlm(EMBEDDED), photos_in(work, photos, count + _WARM))
    if large_count:
        if large is None and not (large := work / "smolvlm-256m-shape").is_dir():
            script = str(Path(__file__).parents[1] / "smolvlm_shape.py")
            if subprocess.run([sys.executable, script, str(large)], stdout=sys.stderr, check=False).returncode:
                raise SystemExit("The large model could not be made; --large-photos 0 leaves it out.")
        yield Model(LARGE, resolve_lvlm(large), photos_in(work, photos, large_count + _WARM))


def throughput(
    chosen: Sequence[Model], batches: Mapping[str, tuple[Sequence[int], Sequence[int]]], *, singles: int, runs: int
) -> Section:
    """Measure each engine at each batch, and one photo alone; the engines take turns.

    ``batches`` holds, by the label of a model, our batches and those of the server.
    """
    rows: list[dict[str, str]] = []
    figures: list[dict[str, Any]] = []
    remarks = [
        "From the files to the captions: read, decode, look, say. The model is loaded and has captioned other photos "
        f"before; each engine is a process of its own with {usable_cores()} threads. Medians of {runs} runs, in "
        "which the engines took turns; lowest and highest in brackets.",
        "Flash attention is off in every engine's text model where the context is 2,048 tokens or less: on a CPU it is "
        "slower there. In the vision tower the handler goes without, ours uses it from 257 patches on.",
        f"One photo alone: p50 of {singles} photos at most, each asked for when the one before it was done.",
    ]
    for model in chosen:
        remarks += _missing()
        measured: dict[Task, list[Done]] = {}
        broken: dict[Task, str] = {}
        for _ in range(runs):
            for task in _tasks(model, *batches[model.label], singles):
                if task not in broken:
                    try:
                        measured.setdefault(task, []).append(measure(task))
                    except RuntimeError as error:
                        broken[task] = str(error)
        remarks += [f"{model.label}: {task.engine} failed and was left out: {why}" for task, why in broken.items()]
        done = {task: own for task, own in measured.items() if task not in broken}
        figures += _figures(model, done)
        remarks += _about(model, done)
    for own in figures:
        rows.append(
            {
                "model": own["model"],
                "engine": own["engine"],
                "batch": str(own["batch"]),
                "photos/s": spread(own["photos_per_s"]).text(1, 2),
                "times the handler": f"{own['times_handler']:.2f}" if own["times_handler"] else "",
                "one photo alone, p50 ms": spread(own["single_p50_s"]).text(1e3, 0) if own["single_p50_s"] else "",
                "tokens a caption": f"{own['tokens']:.1f}",
                "captions as the handler's": "" if own["same"] is None else f"{own['same']:.1%}",
            }
        )
    return Section("throughput", "Photos a second", rows, figures, list(dict.fromkeys(remarks)))


def _missing() -> list[str]:
    return [
        f"{package} is not installed and was left out: pip install {package}"
        for module, package in PEERS.values()
        if find_spec(module) is None
    ]


def _tasks(model: Model, batches: Sequence[int], server_batches: Sequence[int], singles: int) -> Iterator[Task]:
    """Yield what is measured of a model; the handler knows no batches, so its loop is its single latency as well."""
    engines = [engine for engine in (HANDLER, SERVER) if find_spec(PEERS[engine][0])]
    if HANDLER in engines:
        yield model.task(HANDLER, 1, one_by_one=True)
    for batch in batches:
        yield model.task(OURS, batch)
    if SERVER in engines:
        for batch in server_batches:
            yield model.task(SERVER, batch)
    for engine in (OURS, *(engine for engine in engines if engine == SERVER)):
        task = model.task(engine, 1, one_by_one=True)
        yield replace(task, photos=task.photos[:singles])


def _figures(model: Model, done: dict[Task, list[Done]]) -> Iterator[dict[str, Any]]:
    alone = {task.engine: own for task, own in done.items() if task.one_by_one}
    reference = next((own[0] for task, own in done.items() if task.engine == HANDLER), None)
    handler = spread([own.rate for own in alone[HANDLER]]).median if HANDLER in alone else None
    for task, own in done.items():
        if task.one_by_one and task.engine != HANDLER:
            continue  # stands in the engine's row of batch 1
        rates = [one.rate for one in own]
        singles = alone[task.engine] if task.batch == 1 and task.engine in alone else []
        yield {
            "model": model.label,
            "engine": task.engine,
            "batch": task.batch,
            "photos": len(task.photos),
            "photos_per_s": rates,
            "times_handler": spread(rates).median / handler if handler else None,
            "single_p50_s": [percentile(sorted(one.each_s), 50) for one in singles],
            "tokens": float(np.mean(own[0].tokens)),
            "same": _same(own[0], reference, task.max_tokens) if reference else None,
            "system": own[0].system,
        }


def _same(own: Done, other: Done, most: int) -> float:
    """Return the share of captions that are the same text, each cleaned as this package cleans its own."""
    return float(np.mean([a == b for a, b in zip(_cleaned(own, most), _cleaned(other, most), strict=True)]))


def _cleaned(done: Done, most: int) -> list[str]:
    return [clean_caption(text, cut_off=said >= most) for text, said in zip(done.texts, done.tokens, strict=True)]


def _about(model: Model, done: dict[Task, list[Done]]) -> Iterator[str]:
    first = next(iter(done))
    yield (
        f"{model.label}: {len(first.photos)} photos, at most {first.max_tokens} tokens a caption, {first.context} of "
        "context. A server counts the token that ends an answer as well."
    )
    if model.label == LARGE:
        yield (
            "SmolVLM-256M's shape: the tensors of the real model at the size of the real model with random values, and "
            "answers of a fixed length; how long it takes depends on the shapes and not on the values. Unless "
            "--large-model is another one, a photo is one tile of 512 pixels and its overview; the real model's own "
            "setting enlarges a photo into 13 to 17 (smolvlm_shape.py --edge 2048)."
        )
    for engine in (HANDLER, SERVER):
        systems = {own[0].system for task, own in done.items() if task.engine == engine}
        for system in systems:
            yield f"{engine} was compiled for: {' '.join(system.replace('CPU :', '').replace(' = 1', '').split())}"
    if any(task.engine == SERVER for task in done):
        yield "xllamacpp is the registry's wheel, made to run on many processors; ours and the handler share one llama.cpp."
    ours = [own[0] for task, own in done.items() if task.engine == OURS and not task.one_by_one]
    if len(ours) > 1:
        least = min(_same(one, ours[0], first.max_tokens) for one in ours[1:])
        yield f"{model.label}: our captions are those of our first batch for {least:.1%} of the photos, whatever the batch."
    yield from _with_the_same_pixels(model, ours)


def _with_the_same_pixels(model: Model, ours: Sequence[Done]) -> Iterator[str]:
    """Ask the handler once more, of the pixels that our engine hands to llama.cpp; untimed."""
    side = model.files.settings.max_side
    if not side or not ours or find_spec(PEERS[HANDLER][0]) is None:
        return
    import tempfile

    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        pictures = []
        for number, photo in enumerate(model.photos):
            pixels = decode_photo(read_photo_file(photo), photo.name, max_side=side)
            pictures.append(Path(folder) / f"{number:05}.png")
            Image.fromarray(pixels).save(pictures[-1])
        task = replace(model, photos=pictures).task(HANDLER, 1)
        try:
            same = _same(ours[0], measure(task), task.max_tokens)
        except RuntimeError:
            return
    yield (
        f"{model.label}: the handler leaves it to llama.cpp to make photos smaller, ours has Pillow reduce them to "
        f"{side} pixels first. Of the same pixels both say the same of {same:.1%} of the photos."
    )


def image_sizes(model: Model, sizes: Sequence[int], *, runs: int) -> Section:
    """Measure what ``--max-side`` changes: speed, and what the captions say."""
    from vlm4rec_edge import OnnxEncoder, resolve_encoder

    own_size = model.files.settings.max_side
    done: dict[int, list[Done]] = {size: [] for size in (0, *sizes)}
    for _ in range(runs):
        for size, own in done.items():
            own.append(measure(model.task(OURS, BATCH, max_side=size)))
    with OnnxEncoder(resolve_encoder()) as encoder:
        vectors = {size: encoder.encode(own[0].texts) for size, own in done.items()}
    figures = [
        {
            "image_size": size or own_size,
            "default": size == 0,
            "photos_per_s": [one.rate for one in own],
            "unchanged": float(np.mean([a == b for a, b in zip(own[0].texts, done[0][0].texts, strict=True)])),
            "cosine": float((vectors[size] * vectors[0]).sum(axis=1).mean()),
        }
        for size, own in done.items()
    ]
    rows = [
        {
            "--max-side": f"{figure['image_size']} (the model's own)"
            if figure["default"]
            else str(figure["image_size"]),
            "photos/s": spread(figure["photos_per_s"]).text(1, 1),
            "captions unchanged": f"{figure['unchanged']:.1%}",
            "mean cosine of the captions": f"{figure['cosine']:.3f}",
        }
        for figure in figures
    ]
    remarks = [
        f"{model.label}, {len(model.counted)} photos, batch {BATCH}; medians of {runs} runs. Captions are "
        "compared with those at the model's own size; the cosine is that of the embedded encoder.",
        "This model sees 128 x 128 pixels whatever it is given: a smaller photo is enlarged again, a larger one made "
        "smaller by llama.cpp. The knob saves tokens where a model looks at a photo at its own resolution (Qwen-VL, LFM2-VL).",
    ]
    return Section("image-size", "The size of photos", rows, figures, remarks)
