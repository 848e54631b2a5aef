"""The index that is served, as it is now: a recommender that takes up what is written, and one of the words alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vlm4rec_edge.bundle.container import is_bundle
from vlm4rec_edge.errors import StoreError, UsageError, Vlm4RecError
from vlm4rec_edge.info import describe_index, state_of
from vlm4rec_edge.recommend.recommender import Recommender

# An answer is at most so many seconds older than the index. Where taking it up is slow, it may take a tenth of the time.
_LOOK_SECONDS = 1.0
_SHARE = 10
_NO_PHOTOS = " It keeps no vectors of photos; `vlm4rec-edge index` with --photo-vectors makes them."
# Where nobody has said how a look ended, another one may begin.
_LOST_SECONDS = 60.0


class ServedIndex:
    """What is served. Safe to use from several threads.

    Attributes:
        is_shipped: Whether it is a bundle or a table, of which the pictures alone are shown that it carries.
        problem: Why what was written last could not be taken up; empty if it could.
    """

    def __init__(self, shop: Recommender) -> None:
        self._shop = shop
        self._others: dict[str, Recommender] = {}
        self._lock = threading.Lock()
        self._look_at = 0.0
        self._documents: dict[str, tuple[Any, dict[str, Any]]] = {}
        folder = shop.store.folder
        self.is_shipped = not isinstance(folder, Path) or is_bundle(folder)
        self.problem = ""

    @property
    def representations(self) -> list[str]:
        """By what items can be compared, the way of the index first: ``learned``, ``words``, ``photos``."""
        store = self._shop.store
        if self.is_shipped:
            return [store.representation]
        return list(dict.fromkeys((store.representation, "words", *(["photos"] if store.keeps_photo_vectors else []))))

    @property
    def generation(self) -> str:
        """Which moment of the index answers."""
        return self._shop.generation

    def shop(self, representation: str | None = None) -> Recommender:
        """Return what answers by a representation; by default as the index is.

        Raises:
            UsageError: there is no such representation of this index.
        """
        known = self.representations
        if representation is None or representation == known[0]:
            return self._shop
        if representation not in known:
            raise UsageError(
                f"Items of this index can be compared by {' or '.join(known)} only, not {representation}."
                + (_NO_PHOTOS if representation == "photos" else "")
            )
        with self._lock:
            if representation not in self._others:
                self._others[representation] = Recommender.open(
                    self._shop.store.folder,
                    words_alone=representation == "words",
                    photos_alone=representation == "photos",
                )
            return self._others[representation]

    def is_time_to_look(self) -> bool:
        """Whether the index is to be looked at again; the caller who gets a yes does it, and nobody else meanwhile."""
        now = time.monotonic()
        with self._lock:
            is_time = now >= self._look_at
            if is_time:
                self._look_at = now + _LOST_SECONDS
        return is_time

    def look(self) -> None:
        """Take up what was written since. Where it cannot be opened, what was there before goes on to answer."""
        started = time.monotonic()
        try:
            if self._shop.reload_if_changed():
                self._reload_others()
            self.problem = ""
        except StoreError as error:
            self.problem = str(error)
        ended = time.monotonic()
        self._look_at = ended + max(_LOOK_SECONDS, _SHARE * (ended - started))

    def _reload_others(self) -> None:
        """Have the other representations follow; one that cannot is opened again when it is asked for, and then it is told."""
        with self._lock:
            others = list(self._others.items())
        for name, other in others:
            try:
                other.reload()
            except Vlm4RecError:
                with self._lock:
                    del self._others[name]
                other.close()

    def info(self) -> dict[str, Any]:
        """Return the document of ``info --json``."""
        return self._once("info", self.generation, lambda: describe_index(self._shop.store.folder).to_dict())

    def state(self) -> dict[str, Any]:
        """Return who writes the index, and what its last run could not use."""
        folder = self._shop.store.folder
        try:
            if isinstance(folder, Path) and not self.is_shipped:
                from vlm4rec_edge.store.lock import writer_of

                # Who writes changes without the index being written.
                told = self._once("state", self.generation, lambda: state_of(folder).to_dict())
                return {**told, "writer": writer_of(folder)}
        except StoreError as error:  # it was moved away: what was opened goes on to answer
            self.problem = str(error)
        count = self._shop.store.count()
        return {"writer": "", "run": 0, "items": count, "left_out": 0, "failures": []}

    def _once(self, name: str, of: Any, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        known = self._documents.get(name)
        if known is None or known[0] != of:
            known = self._documents[name] = (of, make())
        return known[1]

    def close(self) -> None:
        """Let go of what was opened here; the recommender that was given stays open."""
        with self._lock:
            others, self._others = self._others, {}
        for other in others.values():
            other.close()
