"""Where the time of the encoder's graph goes: ONNX Runtime's own profile of it, operator by operator."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from running.results_file import Section

from timing.spread import spread
from vlm4rec_edge.quiet import load

# As many texts as the encoder gives to one run of the graph.
_BATCH = 8
_WARM, _COUNTED = 5, 20
_SHOWN = 8


def operators(folders: Mapping[str, Path], texts: Path, *, runs: int) -> Section:
    """Profile the graph of each precision on one batch of texts of usual length, with one thread."""
    figures = []
    for precision, folder in folders.items():
        tokens = _usual_tokens(folder, texts)
        profiles = [_profile(folder / "model.onnx", tokens) for _ in range(runs)]
        names = set().union(*profiles)
        figures.append(
            {
                "precision": precision,
                "tokens": int(tokens.shape[1]),
                "ms_a_text": {name: [1e3 * own[name] / _BATCH for own in profiles] for name in names},
            }
        )
    remarks = [
        f"Milliseconds a text, by ONNX Runtime's profiler: {_BATCH} texts of {figures[0]['tokens']} tokens each, one thread; "
        f"medians of {runs} runs. An operator that a graph has not is empty.",
    ]
    return Section("operators", "Where the time of the encoder goes", _rows(figures), figures, remarks)


def _usual_tokens(folder: Path, texts: Path) -> np.ndarray:
    """Return token ids [batch, length]: the texts nearest to the median length, cut to the shortest of them."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids = [own.ids for own in tokenizer.encode_batch(texts.read_text(encoding="utf-8").splitlines())]
    middle = median(map(len, ids))
    usual = sorted(ids, key=lambda own: abs(len(own) - middle))[:_BATCH]
    return np.array([own[: min(map(len, usual))] for own in usual], dtype=np.int64)


def _profile(graph: Path, tokens: np.ndarray) -> Counter[str]:
    """Return the seconds a run of each operator."""
    onnxruntime = load("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.enable_profiling = True
    feed = {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        for _ in range(_WARM + _COUNTED):
            session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    each: dict[str, list[float]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            each.setdefault(event["name"], []).append(event["dur"] / 1e6)
    kinds = {event["name"]: event["args"]["op_name"] for event in events if event.get("cat") == "Node"}
    seconds: Counter[str] = Counter()
    for name, took in each.items():
        seconds[kinds[name]] += sum(took[_WARM:]) / _COUNTED
    return seconds


def _rows(figures: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    whole: Counter[str] = Counter()
    for own in figures:
        for name, milliseconds in own["ms_a_text"].items():
            whole[name] += median(milliseconds)
    shown = [name for name, _ in whole.most_common(_SHOWN)]
    rows = []
    for name in [*shown, "all others", "whole"]:
        row = {"operator": name}
        for own in figures:
            parts = own["ms_a_text"]
            chosen = {
                "all others": [values for other, values in parts.items() if other not in shown],
                "whole": list(parts.values()),
            }.get(name, [parts[name]] if name in parts else [])
            row[own["precision"]] = spread([sum(run) for run in zip(*chosen, strict=True)]).text(1, 3) if chosen else ""
        rows.append(row)
    return rows
