"""What mtmd made of the reference pictures, kept beside the graphs: it is asked once for a projector and a machine.

A view takes it seconds with a larger model, and it says the same whatever the precision of the graph that it is compared with.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from vlm4rec_edge.atomic import atomic_path
from vlm4rec_edge.busy import is_worth_timing_again
from vlm4rec_edge.grounding.vision.check import Reference, ask_mtmd, reference_pictures
from vlm4rec_edge.grounding.vision.record import machine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vlm4rec_edge.models.resolve import LvlmFiles

# The array of the file that is no tokens: JSON, as bytes.
_TOLD = "told"


def references_of(
    files: LvlmFiles, place: Path, *, sha256: str, threads: int, load: float | None = None
) -> list[Reference]:
    """Return what ``ask_mtmd`` gives for the reference pictures, from ``place`` where it was written there before.

    It holds for the projector, the pictures, the processor, the version of llama-cpp-python and the number of threads. What
    was timed on a busy machine holds until it is quiet.

    Args:
        files: The model.
        place: A file, which is written where it does not hold.
        sha256: Of the projector.
        threads: Of mtmd.
        load: Of the machine, which is noted.

    Raises:
        ModelError, PhotoError: as ``ask_mtmd``.
    """
    pictures = reference_pictures()
    shown = hashlib.sha256(b"".join(picture.tobytes() for picture in pictures)).hexdigest()
    conditions = {"projector_sha256": sha256, "pictures_sha256": shown, "threads": threads, **machine()}
    with suppress(OSError, ValueError, KeyError, TypeError, BadZipFile):
        return _read(place, pictures, conditions)
    references = ask_mtmd(files, pictures, threads=threads, load=load)
    with suppress(OSError):  # it is asked again then
        _write(place, references, conditions)
    return references


def _read(place: Path, pictures: Sequence[np.ndarray], conditions: dict[str, Any]) -> list[Reference]:
    with np.load(place, allow_pickle=False) as arrays:
        told = json.loads(arrays[_TOLD].tobytes())
        if told["conditions"] != conditions:
            raise ValueError("made elsewhere")
        load = told.get("load")  # earlier versions did not note it
        if is_worth_timing_again(load):
            raise ValueError("timed on a busy machine")
        return [
            Reference(
                pixels, one["views"], {view: arrays[f"{number}-{view}"] for view in one["places"]}, one["seconds"], load
            )
            for number, (pixels, one) in enumerate(zip(pictures, told["pictures"], strict=True))
        ]


def _write(place: Path, references: Sequence[Reference], conditions: dict[str, Any]) -> None:
    seen = [{"views": one.views, "places": list(one.tokens), "seconds": one.seconds} for one in references]
    told = json.dumps({"conditions": conditions, "load": references[0].load, "pictures": seen}).encode()
    arrays: dict[str, Any] = {_TOLD: np.frombuffer(told, np.uint8)}
    for number, one in enumerate(references):
        arrays |= {f"{number}-{view}": tokens for view, tokens in one.tokens.items()}
    with atomic_path(place) as part, part.open("wb") as stream:
        np.savez(stream, **arrays)
