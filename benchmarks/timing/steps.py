"""Where the time of indexing a catalog goes: photos read, encoded, prompts, words, texts encoded, rows stored."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from running.results_file import Section

from timing.grounding import BATCH, Model
from timing.grounding_steps import DECODE, ENCODE, OTHER, PROMPT, READ, STEPS, STORE, VISION, timed
from timing.photos import photo_catalog
from timing.spread import spread
from vlm4rec_edge import LlamaCaptioner, OnnxEncoder, build_index, resolve_encoder
from vlm4rec_edge.catalog.photo import read_photo_file
from vlm4rec_edge.grounding.protocol import CaptionRequest


def steps(work: Path, chosen: Sequence[Model], *, runs: int) -> Section:
    """Index the photos of each model in this process and measure each step."""
    rows, figures = [], []
    for model in chosen:
        own = [measure_steps(work, model) for _ in range(runs)]
        photos = own[0]["photos"]
        per_photo = {step: [one["seconds"][step] / photos for one in own] for step in STEPS}
        whole = [one["whole_s"] / photos for one in own]
        rows.append(
            {
                "model": model.label,
                "engines": str(own[0]["engines"]),
                "whole, ms a photo": spread(whole).text(1e3, 1),
                **{step: spread(per_photo[step]).text(1e3, 2) for step in STEPS},
            }
        )
        figures.append(
            {"model": model.label, "photos": photos, "whole_s": whole, "steps_s": per_photo, "beside": own[0]["beside"]}
        )
    remarks = [
        f"Milliseconds a photo of `index`, batch {BATCH}; medians of {runs} runs, with llama.cpp's own vision tower. "
        "Timers stand around what the engine calls.",
        "Engines work side by side, each in a thread with cores of its own: a step is the mean of their threads, and what "
        f"they do adds up to the whole; `{OTHER}` is Python, and waiting for a photo or a core.",
        f"Photos are read and preprocessed in threads of their own: `{READ}` is their processor time and runs beside the "
        "engines. So do encoding texts and storing where there is more than one engine; with one they are part of the sum.",
        "`index` is the store and its graph (a graph is made from some thousands of items on).",
    ]
    return Section("steps", "Where the time goes", rows, figures, remarks)


def measure_steps(work: Path, model: Model) -> dict[str, Any]:
    """Index the photos of a model once; return seconds by step, and how much llama.cpp was asked for."""
    folder, out = work / "steps-photos", work / "steps.index"
    for place in (folder, out):
        shutil.rmtree(place, ignore_errors=True)
    photo_catalog(folder, model.counted, len(model.counted))
    with (
        LlamaCaptioner(model.files, batch=BATCH, vision="mtmd") as captioner,
        OnnxEncoder(resolve_encoder()) as encoder,
    ):
        question = captioner.prompt.text
        for _ in captioner.caption(CaptionRequest(str(path), read_photo_file(path), question) for path in model.warm):
            pass
        encoder.encode(["a text before the others"])
        with timed() as measured:
            started = time.perf_counter()
            report = build_index(folder, out, captioner=captioner, encoder=encoder)
            whole = time.perf_counter() - started
        engines = captioner.engines
    # One engine works in this thread, between encoding and storing; several in threads beside it.
    beside = [READ] if engines == 1 else [READ, ENCODE, STORE]
    shared = (VISION, PROMPT, DECODE)
    seconds = {step: measured.seconds[step] / (engines if step in shared else 1) for step in STEPS}
    seconds[OTHER] = whole - sum(seconds[step] for step in STEPS if step not in (*beside, OTHER))
    return {
        "photos": report.progress.done,
        "whole_s": whole,
        "seconds": seconds,
        "engines": engines,
        "beside": beside,
        "calls": dict(measured.calls),
        "rows": dict(measured.rows),
    }
