"""What changes a caption: the question, its length and the size of the photo; each setting with captions of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from captioning.models import Model, captions_of

from recommending.shop import Shop
from vlm4rec_edge.grounding.llama.prompt import DEFAULT_PROMPT

OWN, FIRST_SENTENCE = "as the model asks", "its first sentence alone"
# What is changed, and how ``LlamaCaptioner`` is told; whatever is not named stays as the model's manifest says.
KNOBS: Mapping[str, Mapping[str, Any]] = {
    OWN: {},
    "the paper's question": {"prompt": DEFAULT_PROMPT},
    "structured": {"structured": True},
    **{f"at most {tokens} tokens": {"max_tokens": tokens} for tokens in (8, 16, 32)},
    **{f"photo of {side} pixels": {"max_side": side} for side in (64, 96, 224)},
}


@dataclass(frozen=True)
class Captions:
    """The captions of all items with one setting, empty where there is none."""

    name: str
    texts: list[str]

    @property
    def words(self) -> float:
        """Words of a caption, the mean of those there are."""
        counts = [len(text.split()) for text in self.texts if text]
        return float(np.mean(counts)) if counts else 0.0

    @property
    def distinct(self) -> int:
        """How many different captions there are."""
        return len({text for text in self.texts if text})

    def equal_to(self, other: Captions) -> float:
        """Return the share of the items that have the very same caption with another setting."""
        return float(np.mean([one == two for one, two in zip(self.texts, other.texts, strict=True)]))


def captions_with_knobs(shop: Shop, model: Model, folder: Path, say: Callable[[str], None]) -> list[Captions]:
    """Return the captions with each of ``KNOBS``, the model's own first, then the first sentences of those.

    Captions in ``folder`` are not made again.
    """
    found: list[Captions] = []
    for name, settings in KNOBS.items():
        with model.captioner(**settings) as captioner:
            texts = captions_of(captioner, shop.photos, folder, lambda line, own=name: say(f"{own}: {line}"))  # type: ignore[misc]
        found.append(Captions(name, texts))
        if name == OWN:  # what comes after its first sentence may be invented
            found.append(Captions(FIRST_SENTENCE, [first_sentence(text) for text in texts]))
    return found


def first_sentence(text: str) -> str:
    """Return a caption up to its first full stop."""
    head, stop, _ = text.partition(". ")
    return head + stop.strip()
