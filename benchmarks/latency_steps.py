"""Where the time of indexing a catalog goes: photos read, encoded, prompts, words, texts encoded, rows stored."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grounding_steps import OTHER, READ, STEPS, timed
from latency_grounding import BATCH, Model
from photo_catalog import photo_catalog
from results_file import Section
from timing import spread

from vlm4rec_edge import Captioner, Encoder, build_index, resolve_encoder


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
                "whole, ms a photo": spread(whole).text(1e3, 1),
                **{step: spread(per_photo[step]).text(1e3, 2) for step in STEPS},
            }
        )
        figures.append({"model": model.label, "photos": photos, "whole_s": whole, "steps_s": per_photo})
    remarks = [
        f"Milliseconds a photo of `index`, batch {BATCH}; medians of {runs} runs. Timers stand around what the engine calls.",
        f"Photos are read and preprocessed in threads of their own: `{READ}` is their processor time and runs beside "
        f"the rest. All other steps add up to the whole; `{OTHER}` is Python, and waiting for a photo or a core.",
        "`index` is the store and its graph (a graph is made from some thousands of items on).",
    ]
    return Section("steps", "Where the time goes", rows, figures, remarks)


def measure_steps(work: Path, model: Model) -> dict[str, Any]:
    """Index the photos of a model once; return seconds by step, and how much llama.cpp was asked for."""
    folder, out = work / "steps-photos", work / "steps.index"
    for place in (folder, out):
        shutil.rmtree(place, ignore_errors=True)
    photo_catalog(folder, model.photos, len(model.photos))
    with Captioner(model.files, batch=BATCH) as captioner, Encoder(resolve_encoder()) as encoder:
        captioner.caption_file(model.photos[-1])
        encoder.encode(["a text before the others"])
        with timed() as measured:
            started = time.perf_counter()
            report = build_index(folder, out, captioner=captioner, encoder=encoder)
            whole = time.perf_counter() - started
    seconds = {step: measured.seconds[step] for step in STEPS}
    seconds[OTHER] = whole - sum(seconds[step] for step in STEPS if step not in (READ, OTHER))
    return {
        "photos": report.progress.done,
        "whole_s": whole,
        "seconds": seconds,
        "calls": dict(measured.calls),
        "rows": dict(measured.rows),
    }
