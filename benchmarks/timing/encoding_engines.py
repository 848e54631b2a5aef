"""One way to turn texts into vectors, in a process of its own: ours, fastembed, sentence-transformers on torch or ONNX.

``encoding.py`` starts this file with a task as JSON and reads what it measured from the last line. All have the
weights of one all-MiniLM-L6-v2 and the same threads; each takes its own default for what is encoded together.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from running.fresh_process import ask_process

from vlm4rec_edge.quiet import load

OURS, FASTEMBED, TORCH, ONNX = (
    "vlm4rec-edge",
    "fastembed",
    "sentence-transformers, torch",
    "sentence-transformers, ONNX",
)
# The modules each needs, and how they are had.
PEERS = {
    FASTEMBED: (("fastembed",), "pip install fastembed"),
    TORCH: (("sentence_transformers", "torch"), "pip install sentence-transformers"),
    ONNX: (("sentence_transformers", "optimum.onnxruntime"), "pip install sentence-transformers optimum-onnx"),
}
_DIMENSIONS = 384


@dataclass(frozen=True)
class Task:
    """What to encode with: an engine, its model's folder, a file of texts (one a line), and how many of them one by one."""

    engine: str
    model: str
    texts: str
    singles: int
    threads: int
    vectors: str


def measure(task: Task) -> dict[str, Any]:
    """Do a task in a fresh process; return ``rate`` (texts/s) and ``each_s`` (seconds of single texts, sorted).

    Raises:
        RuntimeError: the engine failed; the message holds the last line of what it said.
    """
    measured: dict[str, Any] = ask_process(__name__, task)
    return measured


def _ours(task: Task) -> Callable[[Sequence[str]], np.ndarray]:
    from vlm4rec_edge import OnnxEncoder, resolve_encoder

    return OnnxEncoder(resolve_encoder(task.model), threads=task.threads).encode


def _fastembed(task: Task) -> Callable[[Sequence[str]], np.ndarray]:
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    name = "benchmark/all-minilm-l6-v2"
    # The graph pools and normalises by itself.
    TextEmbedding.add_custom_model(
        name, PoolingType.DISABLED, False, ModelSource(hf=name), _DIMENSIONS, model_file="model.onnx"
    )
    model = TextEmbedding(name, threads=task.threads, specific_model_path=task.model)
    return lambda texts: np.array(list(model.embed(list(texts))))


def _sentence_transformers(task: Task) -> Callable[[Sequence[str]], np.ndarray]:
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(task.threads)
    if task.engine == TORCH:
        model = SentenceTransformer(task.model, device="cpu")
    else:
        options = load("onnxruntime").SessionOptions()
        options.intra_op_num_threads = task.threads
        model = SentenceTransformer(task.model, device="cpu", backend="onnx", model_kwargs={"session_options": options})

    def encode(texts: Sequence[str]) -> np.ndarray:
        return np.asarray(model.encode(list(texts), show_progress_bar=False, normalize_embeddings=True))

    return encode


_ENGINES = {OURS: _ours, FASTEMBED: _fastembed, TORCH: _sentence_transformers, ONNX: _sentence_transformers}


def _main() -> None:
    task = Task(**json.load(sys.stdin))
    texts = Path(task.texts).read_text(encoding="utf-8").splitlines()
    encode = _ENGINES[task.engine](task)
    encode(texts[:64])
    started = time.perf_counter()
    vectors = encode(texts)
    rate = len(texts) / (time.perf_counter() - started)
    np.save(task.vectors, vectors.astype(np.float32))
    each = []
    for text in texts[: task.singles]:
        started = time.perf_counter()
        encode([text])
        each.append(time.perf_counter() - started)
    sys.stdout.write("\n" + json.dumps({"rate": rate, "each_s": sorted(each)}) + "\n")


if __name__ == "__main__":
    _main()
