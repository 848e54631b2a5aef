"""The trained rows of the table: what each is, what it is given, and the system that is measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from recommending.representations import LITE0, Representations

from paper.system import SEEDS, TrainedSystem
from paper.trainings import TRAININGS

_BOTH = f"{LITE0} (by random projection in the text's dimensions), and the"
_ALONE = "a learned linear map, the training of attention fusion with nothing to fuse, of the"

# In the order of the table: what to ask for, its kind, and what it is.
TRAINED_ROWS: Mapping[str, tuple[str, str]] = {
    "attention-title": ("fusion", f"each item weighs its modalities: {_BOTH} title"),
    "attention-caption": ("fusion", f"each item weighs its modalities: {_BOTH} first captioner's caption"),
    "gating-title": ("fusion", f"each value of an item from one modality or the other: {_BOTH} title"),
    "gating-caption": (
        "fusion",
        f"each value of an item from one modality or the other: {_BOTH} first captioner's caption",
    ),
    "cross-attention-title": ("fusion", f"each modality attends to the other: {_BOTH} title"),
    "cross-attention-caption": ("fusion", f"each modality attends to the other: {_BOTH} first captioner's caption"),
    "smore-title": ("fusion", f"SMORE (WSDM 2025), spectra and graphs of items, and users: {_BOTH} title"),
    "smore-caption": (
        "fusion",
        f"SMORE (WSDM 2025), spectra and graphs of items, and users: {_BOTH} first captioner's caption",
    ),
    "alone-vision": ("vision", f"{_ALONE} {LITE0} (by random projection in the text's dimensions)"),
    "alone-title": ("text", f"{_ALONE} title"),
    "alone-caption": ("caption", f"{_ALONE} first captioner's caption"),
}

_NAMES = {
    "attention-title": "attention fusion of vision and title",
    "attention-caption": "attention fusion of vision and caption",
    "gating-title": "gating of vision and title",
    "gating-caption": "gating of vision and caption",
    "cross-attention-title": "cross-modal attention, vision and title",
    "cross-attention-caption": "cross-modal attention, vision and caption",
    "smore-title": "SMORE, vision and title",
    "smore-caption": "SMORE, vision and caption",
    "alone-vision": "vision alone, trained",
    "alone-title": "title alone, trained",
    "alone-caption": "caption alone, trained",
}


@dataclass(frozen=True)
class TrainedRows:
    """Makes the trained rows of a shop.

    Attributes:
        made: What they are given: vectors of photos and of texts.
        folder: Keeps what was learned.
        threads: Of torch; 0: its own choice.
        seeds: With each of them a row is trained once.
    """

    made: Representations
    folder: Path
    threads: int = 0
    seeds: tuple[int, ...] = SEEDS

    def hindrance(self, row: str) -> str:
        """Return why a row cannot be made, empty if it can."""
        # Every training needs torch, which is asked for with the features of photos.
        wanted = (*reversed(parts(row)), "vision")
        return next((reason for part in wanted if part and (reason := self.made.hindrance(part))), "")

    def systems(self, rows: Sequence[str]) -> Iterator[TrainedSystem]:
        """Yield the systems of these rows, in the order of the table; nothing is trained yet."""
        for row in (row for row in TRAINED_ROWS if row in rows):
            vision, text = (self.made.vectors(part) if part else None for part in parts(row))
            vision = np.zeros_like(text) if vision is None else vision
            text = np.zeros_like(vision) if text is None else text
            kind, about = TRAINED_ROWS[row]
            training = _training_of(row)
            trained = TrainedSystem(
                _NAMES[row],
                kind,
                about,
                TRAININGS[training],
                vision,
                text,
                self.folder,
                self.made.say,
                self.threads,
                seeds=self.seeds,
            )
            # SMORE's own embeddings are narrower than what it is given.
            yield trained if training == "smore" else replace(trained, dimensions=vision.shape[1])


def parts(row: str) -> tuple[str, str]:
    """Return the rows whose vectors a trained row is given, the photo's and the text's; empty where it has none."""
    training, _, text = row.rpartition("-")
    if text == "vision":
        return "vision-projected", ""
    return "" if training == "alone" else "vision-projected", text


def _training_of(row: str) -> str:
    # Where there is one modality only, attention has nothing to weigh: its linear map is left.
    name = row.rpartition("-")[0]
    return "attention" if name == "alone" else name
