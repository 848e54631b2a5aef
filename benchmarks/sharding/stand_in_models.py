"""Stand-ins for the two models as plug-ins, for processes and actors that find their models by name."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from running.stand_ins import MadeVectors

from vlm4rec_edge.grounding.protocol import Captioned, CaptionRequest

_COLOURS = ("red", "dark blue", "black", "white", "green", "pink", "grey", "beige")
_FABRICS = ("cotton", "denim", "wool", "linen", "jersey")
# As many kinds of products as a large shop has; captions begin with theirs, so that there are neighbours to find.
_KINDS = 2000
# What an installed package would announce.
_POINTS = """
[vlm4rec_edge.captioners]
made-captions = sharding.stand_in_models:captioner
[vlm4rec_edge.encoders]
made-vectors = sharding.stand_in_models:encoder
"""


class MadeCaptions:
    """Makes a caption from the hash of a photo's bytes, with a delay that stands for the work of a model."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.identity: dict[str, Any] = {"name": "made-captions", "prompt": "Describe this."}

    def caption(self, requests: Iterable[CaptionRequest]) -> Iterator[Captioned]:
        """Yield the caption of each request."""
        for request in requests:
            if self._seconds:  # even no time at all costs a turn of the scheduler
                time.sleep(self._seconds)
            number = int(request.photo.sha256[:12], 16)
            colour, fabric = _COLOURS[number % len(_COLOURS)], _FABRICS[number // 8 % len(_FABRICS)]
            yield Captioned(request.key, f"kind-{number % _KINDS} garment in {colour} {fabric}, number {number}")


def captioner(argument: str) -> MadeCaptions:
    """Open the captioner; the argument is its delay in seconds."""
    return MadeCaptions(float(argument or 0))


def encoder(argument: str) -> MadeVectors:
    """Open the encoder; the argument is the length of its vectors."""
    return MadeVectors(int(argument or 384))


def announce(folder: Path) -> list[str]:
    """Make a folder by which the stand-ins are found, and return what has to be on the path of every process."""
    facts = folder / "site" / "stand_in_models-1.0.dist-info"
    facts.mkdir(parents=True, exist_ok=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: stand-in-models\nVersion: 1.0\n", encoding="utf-8")
    (facts / "entry_points.txt").write_text(_POINTS, encoding="utf-8")
    return [str(facts.parent), str(Path(__file__).resolve().parents[1])]
