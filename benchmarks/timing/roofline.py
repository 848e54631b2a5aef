"""How near to what the machine can do: the work of captions and vectors over measured rates, beside the time it took.

The roofline (Williams et al., "Roofline: an insightful visual performance model", 2009): a step takes at least its operations
over the rate of operations, and at least its bytes over the rate of memory; the longer of the two is the least time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from running.results_file import Section

from timing.grounding import Model
from timing.grounding_steps import DECODE, PROMPT, VISION
from timing.machine_rates import machine_rates
from timing.model_work import CaptioningWork, Work, encoding_work
from timing.roofline_rows import rows_of
from timing.steps import measure_steps
from vlm4rec_edge import OnnxEncoder, resolve_encoder
from vlm4rec_edge.cores import usable_cores

# Of the embedded encoder: texts in one call, and a weight's bytes once its 8 bits are unpacked to float32 at loading.
_SENTENCES_A_CALL, _WEIGHT_BYTES = 8, 4


def roofline(work: Path, chosen: Sequence[Model], texts: Path, *, runs: int) -> Section:
    """Measure the machine, then the steps of captioning with each model, and of encoding."""
    threads = usable_cores()
    rates = machine_rates(threads)
    memory = rates.pop("memory")
    floats = rates["float32, numpy"]
    best = max(rates, key=lambda name: rates[name])
    figures = []
    for model in chosen:
        figures += _captioning(model, [measure_steps(work, model) for _ in range(runs)], rates[best], memory)
    figures += _encoding(texts, floats, memory, runs=runs)
    rows = rows_of(figures, ("work", "step"), digits=3)
    remarks = [
        f"Measured rates, {threads} threads, billion operations/s: "
        + "; ".join(f"{name} {rate / 1e9:.0f}" for name, rate in rates.items())
        + f". Memory, read and written: {memory / 1e9:.1f} GB/s. Products of 1,536 x 1,536, the fastest of some calls.",
        f"Captioning is held against the highest of them ({best}), though attention and norms are computed in float; "
        "encoding with this package's int8-weights, which computes in float, against float32.",
        "Per photo or text; a photo's work is what was asked of llama.cpp in this run (an overview that equals its "
        "tile is not encoded twice). Weights are read once a call, the batch sharing them; where they fit the caches "
        "memory is no bound at all.",
        f"Medians of {runs} runs.",
    ]
    machine = {"rates": rates, "memory": memory}
    return Section(
        "roofline", "Against what the machine can do", rows, [{**own, "machine": machine} for own in figures], remarks
    )


def _captioning(
    model: Model, measured: Sequence[dict[str, Any]], rate: float, memory: float
) -> Iterator[dict[str, Any]]:
    shapes = CaptioningWork.of(model.files)
    one = measured[0]
    photos, rows, calls = one["photos"], one["rows"], one["calls"]
    prompt = rows[PROMPT] / photos
    said = rows[DECODE] / photos
    steps = {
        VISION: shapes.look(rows[VISION], calls[VISION]),
        PROMPT: shapes.read(rows[PROMPT], calls[PROMPT], prompt, photos),
        DECODE: shapes.say(rows[DECODE], calls[DECODE], prompt + said / 2),
    }
    for step, needed in steps.items():
        seconds = [own["seconds"][step] / photos for own in measured]
        yield _figure(f"{model.label}, a photo", step, needed, photos, seconds, rate, memory)
    whole = Work(sum(own.operations for own in steps.values()), sum(own.bytes for own in steps.values()))
    seconds = [own["whole_s"] / photos for own in measured]
    total = _figure(f"{model.label}, a photo", "the whole of index", whole, photos, seconds, rate, memory)
    # Steps follow each other, so their least times add up, whatever bounds each.
    least = sum(max(own.operations / rate, own.bytes / memory) for own in steps.values()) / photos
    yield {**total, "least_s": least, "bound_by": ""}


def _encoding(texts: Path, rate: float, memory: float, *, runs: int) -> Iterator[dict[str, Any]]:
    from tokenizers import Tokenizer

    lines = texts.read_text(encoding="utf-8").splitlines()
    files = resolve_encoder()
    tokenizer = Tokenizer.from_str(files.tokenizer.read_text(encoding="utf-8"))
    tokenizer.no_padding()
    lengths = [len(own.ids) for own in tokenizer.encode_batch(lines)]
    seconds = []
    with OnnxEncoder(files) as encoder:
        encoder.encode(lines[:64])
        for _ in range(runs):
            started = time.perf_counter()
            encoder.encode(lines)
            seconds.append((time.perf_counter() - started) / len(lines))
    needed = encoding_work(lengths, _SENTENCES_A_CALL, _WEIGHT_BYTES)
    yield _figure("all-minilm-l6-v2, a text", "encode", needed, len(lines), seconds, rate, memory)


def _figure(
    work: str, step: str, needed: Work, count: int, seconds: Sequence[float], rate: float, memory: float
) -> dict[str, Any]:
    """Return the figures of one of ``count`` photos or texts."""
    computing, moving = needed.operations / rate / count, needed.bytes / memory / count
    return {
        "work": work,
        "step": step,
        "operations": needed.operations / count,
        "bytes": needed.bytes / count,
        "least_s": max(computing, moving),
        "bound_by": "computing" if computing >= moving else "memory",
        "seconds": list(seconds),
    }
