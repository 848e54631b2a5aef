"""The rows of ``savings.py`` as systems to be measured, and what each takes in bytes, memory and time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from captioning.models import Model, captions_of

import vlm4rec_edge
from recommending.costs import Cost, cost_of, encoder_work, lvlm_work, search_work
from recommending.quantized import Quantized
from recommending.setups import FULL, LVLM, Saving, Setup
from recommending.shop import Shop
from recommending.stored import Opened, open_stored, stored_bytes, write_stored
from recommending.system import System
from recommending.vectors import text_vectors
from vlm4rec_edge import OnnxEncoder
from vlm4rec_edge.evaluation import Scorer, Split
from vlm4rec_edge.grounding.llama.native import load_bindings
from vlm4rec_edge.recommend.profile import mean_profile

# What costs are measured on: enough to fill batches several times, few enough for every row to be measured again.
PHOTOS, TEXTS, QUESTIONS = 128, 1000, 300
_DEPTH = 10
# Ten items and a history's own, which are found first and left out.
_ASKED_FOR = 30
# A history of two different captions is equally near to both, so all items of both are tied: rounding must not decide
# which come first, or every other way to compute a product would seem to lose some of them.
_DECIMALS = 5
# Figures of changed code are measured anew.
_CODE = Path(__file__).read_bytes() + Path(__file__).with_name("stored.py").read_bytes()


@dataclass(frozen=True)
class Saved:
    """What one row takes. Bytes on disk of each part; costs are empty where they were not measured.

    ``tokens`` and ``captions`` are the shares of both that equal those of full precision, None where the models are the same.
    """

    saving: Saving
    bytes: dict[str, int]
    costs: dict[str, Cost]
    tokens: float | None
    captions: float | None

    @property
    def total(self) -> int:
        """All bytes on disk."""
        return sum(self.bytes.values())


@dataclass
class Savings:
    """Makes the rows; captions, vectors and stored forms lie in ``cache`` and are made once.

    ``photos`` is how many photos costs are measured on.
    """

    shop: Shop
    models: Quantized
    cache: Path
    threads: int
    say: Callable[[str], None]
    photos: int = PHOTOS
    _captions: dict[tuple[str, str, str], list[str]] = field(default_factory=dict)
    _vectors: dict[tuple[str, ...], np.ndarray] = field(default_factory=dict)
    _costs: dict[tuple[str, ...], Cost] = field(default_factory=dict)

    def captions(self, setup: Setup) -> list[str]:
        """Return the caption of each item, empty where there is none."""
        key = setup.captioning
        if key not in self._captions:
            files = self.models.lvlm(setup.text, setup.projector)
            model = Model(" / ".join(key), files, {"threads": self.threads or None, "vision_precision": setup.vision})
            with model.captioner() as captioner:
                self._captions[key] = captions_of(
                    captioner,
                    self.shop.photos,
                    self.cache / "captions",
                    lambda line: self.say(f"captions, {model.name}: {line}"),
                )
        return self._captions[key]

    def vectors(self, setup: Setup) -> np.ndarray:
        """Return the vector of each item's caption, [items, dimensions], float32; zeros where there is none."""
        key = (*setup.captioning, setup.encoder)
        if key not in self._vectors:
            captions = self.captions(setup)
            with OnnxEncoder(self.models.encoder_in(setup.encoder), threads=self.threads or None) as encoder:
                self._vectors[key] = text_vectors(
                    encoder, captions, self.cache / "texts", lambda line: self.say(f"{setup.encoder}, vectors: {line}")
                )
        return self._vectors[key]

    def system(self, saving: Saving) -> System:
        """Return a row as a system."""
        folder, rows, dimensions = self._stored(saving.setup)
        setup = saving.setup
        opened = open_stored(folder, setup.vectors, setup.search, dimensions)
        key = hashlib.sha256(folder.name.encode() + rows.tobytes() + _CODE).hexdigest()
        return System(
            saving.name,
            saving.stage,
            str(setup),
            key,
            lambda split: _scorer(split, opened, rows),
            dimensions,
            int((rows < 0).sum()),
        )

    def saved(self, saving: Saving, *, with_costs: bool) -> Saved:
        """Return what a row takes."""
        setup, full = saving.setup, FULL.setup
        lvlm, encoder = self.models.lvlm(setup.text, setup.projector), self.models.encoder_in(setup.encoder)
        folder, _, _ = self._stored(setup)
        sizes = {
            LVLM: lvlm.text.stat().st_size + lvlm.projector.stat().st_size,
            "encoder": sum(Path(str(path)).stat().st_size for path in (encoder.model, encoder.tokenizer)),
            "vectors": stored_bytes(folder),
        }
        tokens = captions = None
        if setup.captioning != full.captioning:
            from gguf_check import compare_captions

            load_bindings()  # else llama.cpp tells at length of every vocabulary it reads
            agreement = compare_captions(lvlm.text, self.captions(full), self.captions(setup))
            tokens, captions = agreement.tokens_equal, agreement.captions_equal
        return Saved(saving, sizes, self._measured(setup) if with_costs else {}, tokens, captions)

    def _measured(self, setup: Setup) -> dict[str, Cost]:
        folder, _, _ = self._stored(setup)
        wanted: dict[str, tuple[tuple[str, ...], Callable[[], dict[str, Any]]]] = {
            LVLM: (
                ("lvlm", *setup.captioning),
                lambda: lvlm_work(
                    self.models.lvlm(setup.text, setup.projector), self._some_photos(), self.threads, setup.vision
                ),
            ),
            "encoder": (
                ("encoder", setup.encoder),
                lambda: encoder_work(self.models.encoder_in(setup.encoder), self._some_texts(), self.threads),
            ),
            "search": (
                ("search", setup.vectors, setup.search),
                lambda: search_work(folder, setup.vectors, setup.search, self._some_questions(), _ASKED_FOR),
            ),
        }
        for key, work in wanted.values():
            if key not in self._costs:
                self.say(f"measuring {' '.join(key)}")
                self._costs[key] = cost_of(work())
        return {part: self._costs[key] for part, (key, _) in wanted.items()}

    def _some_photos(self) -> Sequence[Path]:
        order = np.random.default_rng(0).permutation(len(self.shop.photos))
        there = [self.shop.photos[at] for at in order if self.captions(FULL.setup)[at]]
        return there[: self.photos]

    def _some_texts(self) -> Sequence[str]:
        texts = [caption for caption in self.captions(FULL.setup) if caption]
        return (texts * (1 + TEXTS // max(len(texts), 1)))[:TEXTS]

    def _some_questions(self) -> Path:
        vectors, _ = _distinct(self.vectors(FULL.setup))
        path = self.cache / "stored" / "questions.npy"
        order = np.random.default_rng(0).integers(0, len(vectors), QUESTIONS)
        np.save(path, vectors[order])
        return path

    def _stored(self, setup: Setup) -> tuple[Path, np.ndarray, int]:
        """Return the folder of the stored vectors, the row of each item in them (-1: none), and their dimensions."""
        vectors, rows = _distinct(self.vectors(setup))
        digest = hashlib.sha256(vectors.tobytes() + _code_of_stores()).hexdigest()[:16]
        folder = self.cache / "stored" / f"{digest}-{setup.vectors}-{setup.search}"
        if not folder.is_dir():
            part = folder.with_name(f"{folder.name}.part")
            write_stored(vectors, setup.vectors, setup.search, part)
            part.replace(folder)
        return folder, rows, vectors.shape[1]


def _code_of_stores() -> bytes:
    """Return what decides the bytes of stored vectors and graphs, besides the vectors."""
    package = Path(vlm4rec_edge.__file__).parent
    files = [Path(__file__).with_name("stored.py"), package / "bundle/vectors.py", package / "index/hnsw.py"]
    return b"".join(path.read_bytes() for path in files)


def _distinct(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return different unit vectors, and the row of each item in them, -1 where its own is zero: as a store keeps them."""
    known = vectors.any(axis=1)
    distinct, rows_of_known = np.unique(vectors[known], axis=0, return_inverse=True)
    rows = np.full(len(vectors), -1)
    rows[known] = rows_of_known.reshape(-1)
    return distinct, rows


def _scorer(split: Split, opened: Opened, rows: np.ndarray) -> Scorer:
    """Return the scores that an index finds: of as many rows as are enough for ten items, minus infinity for the others."""
    row_count = int(rows.max()) + 1

    def scorer(users: range) -> np.ndarray:
        scores = np.full((len(users), len(rows)), -np.inf, np.float32)
        for place, user in enumerate(users):
            own = rows[split.history[user]]
            try:
                profile = mean_profile(opened.vectors[own[own >= 0]])
            except ValueError:  # nothing is known of the history: nothing is recommended
                continue
            excluded = len(np.unique(rows[split.excluded[user]]))
            found, values = opened.index.top(profile, min(_DEPTH + excluded, row_count))
            by_row = np.full(row_count + 1, -np.inf, np.float32)  # the last one is that of items without a row
            by_row[found] = np.round(values, _DECIMALS)
            scores[place] = by_row[rows]
        return scores

    return scorer
