"""What a vision-language model sees before it speaks: the mean of the rows that stand for a photo in its input.

llama.cpp gives what its text model reads: the outputs of the vision tower after the projector, one row for each image
token (for an Idefics3 model such as SmolVLM: after pixel shuffle and the linear map). What lies before the projector cannot
be had of it. The mean is over all image tokens of a photo, its tiles and the overview of them alike.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from captioning.models import Model

from vlm4rec_edge.catalog.photo import MAX_SIDE, PhotoFile, decode_photo, read_photo_file
from vlm4rec_edge.checksums import sha256_of
from vlm4rec_edge.cores import usable_cores
from vlm4rec_edge.errors import PhotoError
from vlm4rec_edge.grounding.llama.native import NativeModel
from vlm4rec_edge.grounding.llama.prepare import prepare
from vlm4rec_edge.grounding.llama.vision import encode_images

# Kept in files of so many photos: a run that was stopped loses a minute at most.
_BLOCK = 512
# Raised when what is kept would be another thing.
_VERSION = 1


def tower_vectors(model: Model, photos: Sequence[Path], folder: Path, say: Callable[[str], None]) -> np.ndarray:
    """Return the mean image token of each photo, [n, width], float32; zero for a photo that cannot be read.

    Kept in ``folder`` by projector, size of the photo in pixels and the photos' bytes.

    Raises:
        ModelError: llama.cpp cannot load the model.
    """
    place = folder / _fingerprint(model)[:16]
    place.mkdir(parents=True, exist_ok=True)
    tower = None
    blocks = []
    try:
        for first in range(0, len(photos), _BLOCK):
            some = [_read(photo) for photo in photos[first : first + _BLOCK]]
            known = "\n".join(photo.sha256 if photo else "" for photo in some)
            path = place / f"{hashlib.sha256(known.encode()).hexdigest()[:24]}.npy"
            if not path.is_file():
                tower = tower or _Tower(model)
                began = time.monotonic()
                part = path.with_suffix(".part.npy")
                np.save(part, np.stack([tower.mean(photo) for photo in some]))
                part.replace(path)
                pace = len(some) / (time.monotonic() - began)
                say(f"{first + len(some):,} of {len(photos):,}, {pace:.0f} photos/s")
            blocks.append(np.load(path))
    finally:
        if tower is not None:
            tower.close()
    return np.concatenate(blocks)


def _read(path: Path) -> PhotoFile | None:
    try:
        return read_photo_file(path)
    except PhotoError:
        return None


def _fingerprint(model: Model) -> str:
    files = model.files
    projector = files.manifest.files["projector"].sha256 if files.manifest else sha256_of(files.projector)
    return hashlib.sha256(f"{_VERSION}\n{projector}\n{_max_side(model)}".encode()).hexdigest()


def _max_side(model: Model) -> int:
    return int(model.settings.get("max_side") or model.files.settings.max_side or MAX_SIDE)


class _Tower:
    """The loaded model; its text part is loaded too, as llama.cpp opens no projector without, but never computes."""

    def __init__(self, model: Model) -> None:
        self._max_side = _max_side(model)
        self._native = NativeModel(
            model.files,
            device=model.settings.get("device", "auto"),
            threads=model.settings.get("threads") or usable_cores(),
            slots=1,
            context=model.files.settings.context_length,
        )
        self._marker = self._native.mtmd.mtmd_default_marker().decode()
        self.close = self._native.close

    def mean(self, photo: PhotoFile | None) -> np.ndarray:
        """Return the mean image token, [width], float32; zero where there is no photo or it cannot be used."""
        try:
            if photo is not None:
                pixels = decode_photo(photo, "The photo", max_side=self._max_side)
                prepared = prepare(self._native, "", pixels, self._marker)
                try:
                    return np.concatenate(encode_images(self._native, prepared.images())).mean(axis=0)
                finally:
                    prepared.free()
        except PhotoError:
            pass
        return np.zeros(self._native.shape.embedding, np.float32)
