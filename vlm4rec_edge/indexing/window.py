"""The end of the flow: grounded items are encoded and stored, a window at a time, and failures noted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from vlm4rec_edge.encoding.checked import encoded_items
from vlm4rec_edge.encoding.protocol import Encoder
from vlm4rec_edge.indexing.report import IndexProgress, OnProgress
from vlm4rec_edge.interrupts import interrupts_ignored
from vlm4rec_edge.items import Failure, LostPhoto, UnreadPart
from vlm4rec_edge.store.grounded import GroundedItem
from vlm4rec_edge.store.writer import StoreWriter

# Items encoded and stored together: what a crash can lose, and what a reader waits for.
WINDOW_ITEMS = 64
# A slow captioner must not keep finished work in memory for long.
_WINDOW_SECONDS = 5.0
# How many failures a report carries by itself; all of them are in the store.
_FAILURES_REPORTED = 1000


@dataclass
class Window:
    """What is finished and not stored yet, and what the run came to so far."""

    store: StoreWriter
    encoder: Encoder
    on_progress: OnProgress | None
    progress: IndexProgress = field(default_factory=IndexProgress)
    items: list[GroundedItem] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    first_failures: list[Failure] = field(default_factory=list)
    unread: int = 0
    flushed_at: float = field(default_factory=time.monotonic)

    def take(self, result: GroundedItem | Failure) -> None:
        """Take an item, or its failure, and report that it is done."""
        if isinstance(result, Failure):
            self.failures.append(result)
            self.unread += isinstance(result, UnreadPart)
            self.first_failures += [result][: _FAILURES_REPORTED - len(self.first_failures)]
            self.progress.failed += 1
        else:
            self.items.append(result)
        self.progress.done += not isinstance(result, LostPhoto)
        if self.on_progress is not None:
            self.on_progress(self.progress)

    @property
    def is_due(self) -> bool:
        """Whether enough waits to be stored, or long enough."""
        waiting = max(len(self.items), len(self.failures))
        return waiting >= WINDOW_ITEMS or time.monotonic() - self.flushed_at > _WINDOW_SECONDS

    def flush(self) -> list[GroundedItem]:
        """Encode and store what is finished, and return it.

        An interrupt in the middle loses nothing: stored once more, it is still the same. Where the encoder fails, the
        captions are stored, and the next run encodes them.
        """
        texts = self.store.without_vector([entry.text for entry in self.items])
        try:
            vectors = dict(zip(texts, encoded_items(self.encoder, texts), strict=True)) if texts else {}
        except Exception:
            self._write({})
            raise
        return self._write(vectors)

    def keep(self) -> None:
        """Store what is finished, where the run ends early; without vectors if Ctrl-C is pressed again meanwhile."""
        try:
            self.flush()
        except KeyboardInterrupt:
            with interrupts_ignored():
                self._write({})

    def _write(self, vectors: Mapping[str, np.ndarray]) -> list[GroundedItem]:
        if self.items:
            counts = self.store.write(self.items, vectors)
            self.progress.captioned += counts.captions
            self.progress.encoded += counts.encoded
            self.progress.photo_vectors += counts.photo_vectors
        stored, self.items = self.items, []
        if self.failures:
            self.store.write_failures(self.failures)
            self.failures = []
        self.flushed_at = time.monotonic()
        return stored
