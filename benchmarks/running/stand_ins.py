"""Stand-ins for the two models, so that faults and scale of the store can be measured without waiting for a model.

They are named for what they are and are used by ``faults.py``, ``scale.py`` and ``tests/faults``, nowhere else.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vlm4rec_edge.grounding.llama.prompt import Prompt
from vlm4rec_edge.grounding.protocol import Captioned, CaptionRequest
from vlm4rec_edge.index import files
from vlm4rec_edge.items import Failure, Item
from vlm4rec_edge.store import vectors


class RecordedCaptioner:
    """Answers from a file of captions (JSON, photo's sha256 to caption) instead of a model, with a small delay each.

    Every caption is noted in ``log``, one line forced to disk before the caption is handed on, so that a benchmark can
    count what was made, whenever the process is killed.
    """

    def __init__(self, recording: Path, log: Path, *, seconds: float = 0.0, prompt: str = "Describe this.") -> None:
        self._captions: Mapping[str, str] = json.loads(recording.read_text(encoding="utf-8"))
        self._log = log.open("a", encoding="utf-8")
        self._seconds = seconds
        self.prompt = Prompt(prompt)
        self.identity: dict[str, Any] = {"name": "recorded-captions", "prompt": prompt}

    def check_columns(self, columns: Collection[str]) -> None:
        """Refuse a placeholder that no row of the catalog can fill."""
        self.prompt.check_columns(columns)

    def question(self, item: Item) -> str:
        """Return the prompt filled in for one item."""
        return self.prompt.fill(item)

    def caption(self, requests: Iterable[CaptionRequest]) -> Iterator[Captioned | Failure]:
        """Yield the caption of each request."""
        for request in requests:
            time.sleep(self._seconds)
            self._log.write(request.key + "\n")
            self._log.flush()
            os.fsync(self._log.fileno())
            yield Captioned(request.key, self._captions[request.photo.sha256])

    def close(self) -> None:
        """Close the log."""
        self._log.close()


class MadeVectors:
    """Makes a unit vector from the hash of a text, always the same one; near texts have no near vectors.

    Vectors of one ``topic`` (texts that begin with the same word) lean towards a common direction, so that a nearest
    neighbour means something, as it does for real embeddings. ``version`` makes another encoder.
    """

    def __init__(self, dimensions: int = 384, version: int = 1) -> None:
        self.dimensions = dimensions
        self.identity: dict[str, Any] = {"name": "made-vectors", "dimensions": dimensions, "version": version}
        self._topics: dict[str, np.ndarray] = {}

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return unit vectors, [len(texts), dimensions], float32."""
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            topic = text.partition(" ")[0]
            if topic not in self._topics:
                self._topics[topic] = self._draw(f"topic {topic}")
            np.add(self._topics[topic], self._draw(text), out=vectors[row])
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def _draw(self, text: str) -> np.ndarray:
        digest = hashlib.sha256(f"{self.identity['version']} {text}".encode()).digest()
        generator = np.random.Generator(np.random.SFC64(int.from_bytes(digest[:16], "little")))
        return generator.standard_normal(self.dimensions, dtype=np.float32)

    def close(self) -> None:
        """Nothing to free."""

    def __enter__(self) -> MadeVectors:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def small_limits(exact: int = 60) -> Iterator[tuple[Any, str, int]]:
    """Yield (module, name, value) of what lets graphs and compaction begin at a few dozen rows instead of thousands."""
    yield files, "EXACT_LIMIT", exact
    yield files, "TAIL_ROWS", exact // 2
    yield vectors, "_COMPACT_FROM", exact


def use_small_limits() -> None:
    """Set the small limits in this process."""
    for module, name, value in small_limits():
        setattr(module, name, value)
