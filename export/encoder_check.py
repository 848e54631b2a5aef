"""Does an exported encoder say what its source says? Cosine and nearest neighbours against transformers in fp32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from encoder_head import Head

from vlm4rec_edge.errors import ModelError
from vlm4rec_edge.quiet import load

_NEIGHBOURS = 10
# Unsorted sentences padded to the longest of each batch: a graph that looks at padding shows it here.
_BATCH = 16
# float32 keeps a unit vector's length to about 1e-6.
_LENGTH_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Bounds:
    """The least agreement with the source that passes: mean and worst cosine, share of nearest neighbours kept."""

    mean: float
    worst: float
    neighbours: float


@dataclass(frozen=True)
class Agreement:
    """How near the exported vectors are to the source's."""

    sentences: int
    cosine_mean: float
    cosine_worst: float
    worst_sentence: str
    neighbours_kept: float
    length_error: float

    def figures(self) -> dict[str, float]:
        """Return the figures for the manifest, rounded to what repeats from machine to machine."""
        figures = asdict(self)
        del figures["worst_sentence"], figures["length_error"]
        return {name: round(value, 4) for name, value in figures.items()}

    def check(self, bounds: Bounds) -> None:
        """Fail below the bounds.

        Raises:
            ModelError: a figure is below its bound, or the vectors are not of unit length.
        """
        pairs = {
            "mean cosine": (self.cosine_mean, bounds.mean),
            "worst cosine": (self.cosine_worst, bounds.worst),
            "share of nearest neighbours kept": (self.neighbours_kept, bounds.neighbours),
        }
        for name, (found, least) in pairs.items():
            if not found >= least:  # so that a NaN fails as well
                raise ModelError(
                    f"The export differs too much from its source: {name} {found:.4f} is below {least} (worst sentence: "
                    f"{self.worst_sentence!r}). Choose a higher precision, or lower the bound if you mean it."
                )
        if not self.length_error <= _LENGTH_TOLERANCE:
            raise ModelError(f"The exported vectors are not of unit length (off by {self.length_error:.2g}).")


def source_vectors(model: Any, tokenizer: Any, texts: Sequence[str], *, head: Head, max_tokens: int) -> np.ndarray:
    """Return the unit vectors [texts, dimensions] of a transformers model in fp32, one text at a time, unpadded."""
    import torch

    # Single sentences gain little from more threads, and on a busy machine threads that wait for each other stall.
    torch.set_num_threads(1)
    vectors = []
    for text in texts:
        tokens = tokenizer(text, truncation=True, max_length=max_tokens, return_tensors="pt")
        with torch.no_grad():
            hidden = model(tokens["input_ids"], attention_mask=tokens["attention_mask"]).last_hidden_state[0]
        vectors.append(head.vector(hidden.numpy()))
    return np.stack(vectors)


def exported_vectors(folder: Path, texts: Sequence[str], *, max_tokens: int, batch: int = _BATCH) -> np.ndarray:
    """Return what ``model.onnx`` and ``tokenizer.json`` in ``folder`` give for ``texts``: [texts, dimensions].

    Raises:
        ModelError: ONNX Runtime cannot load the graph on the CPU.
    """
    from tokenizers import Tokenizer

    onnxruntime = load("onnxruntime")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(max_length=max_tokens)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no public base class
        raise ModelError(f"ONNX Runtime cannot load the exported graph: {error}") from error
    vectors = []
    for start in range(0, len(texts), batch):
        encodings = tokenizer.encode_batch(list(texts[start : start + batch]))
        longest = max(len(encoding.ids) for encoding in encodings)
        ids = np.zeros((len(encodings), longest), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, encoding in enumerate(encodings):
            ids[row, : len(encoding.ids)] = encoding.ids
            mask[row, : len(encoding.ids)] = 1
        vectors.append(session.run(["embedding"], {"input_ids": ids, "attention_mask": mask})[0])
    return np.concatenate(vectors)


def compare(texts: Sequence[str], source: np.ndarray, exported: np.ndarray) -> Agreement:
    """Compare two sets of vectors [texts, dimensions] of the same texts; ``source`` holds unit vectors."""
    lengths = np.linalg.norm(exported, axis=1)
    cosines = (source * exported).sum(axis=1) / lengths
    kept = [
        len(set(mine) & set(theirs)) / len(theirs)
        for mine, theirs in zip(_neighbours(exported), _neighbours(source), strict=True)
    ]
    worst = int(cosines.argmin())
    return Agreement(
        sentences=len(texts),
        cosine_mean=float(cosines.mean()),
        cosine_worst=float(cosines[worst]),
        worst_sentence=texts[worst],
        neighbours_kept=float(np.mean(kept)),
        length_error=float(np.abs(lengths - 1).max()),
    )


def _neighbours(vectors: np.ndarray) -> np.ndarray:
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    return np.argsort(-scores, axis=1, kind="stable")[:, :_NEIGHBOURS]
