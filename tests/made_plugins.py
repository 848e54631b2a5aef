"""A captioner and an encoder that keep every promise, for tests to break in one place."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from vlm4rec_edge import Captioned, CaptionRequest, Failure

WIDTH = 8


class MadeCaptioner:
    """Names a photo by its hash."""

    def __init__(self, caption: Callable[[Iterable[CaptionRequest]], Any] | None = None, **members: Any) -> None:
        self.identity: Any = {"name": "made", "prompt": "What?"}
        self._caption = caption
        self.__dict__.update(members)

    def caption(self, photos: Iterable[CaptionRequest]) -> Iterator[Captioned | Failure]:
        """Return what the test says, or an answer to each photo."""
        answers: Any = self._caption(photos) if self._caption else map(said, photos)
        return answers  # type: ignore[no-any-return]


class MadeEncoder:
    """Gives each text a direction of its own."""

    def __init__(self, change: Callable[[np.ndarray], Any] | None = None, **members: Any) -> None:
        self.identity: Any = {"name": "made", "version": 1}
        self.dimensions: Any = WIDTH
        self._change = change
        self.__dict__.update(members)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return unit vectors, as the test changes them; not for the texts that the index tries every encoder with."""
        vectors = np.array([_direction(text) for text in texts], dtype=np.float32).reshape(len(texts), WIDTH)
        changed: Any = self._change(vectors) if self._change and not _is_trial(texts) else vectors
        return changed  # type: ignore[no-any-return]


class Changing(MadeCaptioner, MadeEncoder):
    """Has another identity at every look."""

    def __init__(self) -> None:
        MadeEncoder.__init__(self)
        MadeCaptioner.__init__(self)
        self._looks = 0

    def __getattribute__(self, name: str) -> Any:
        if name == "identity":
            self._looks += 1
            identity: Mapping[str, Any] = {"name": "made", "look": self._looks}
            return identity
        return super().__getattribute__(name)


def said(request: CaptionRequest) -> Captioned:
    """Return an answer to a photo."""
    return Captioned(request.key, f"a photo {request.photo.sha256[:8]}")


def _direction(text: str) -> np.ndarray:
    seed = int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)
    vector = np.random.default_rng(seed).normal(size=WIDTH)
    return vector / np.linalg.norm(vector)


def _is_trial(texts: Sequence[str]) -> bool:
    return bool(texts) and texts[0].startswith("Black ankle boots")
