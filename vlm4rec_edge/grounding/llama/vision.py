"""The vision encoder at work: images to the embeddings that the text model reads in their place.

There are two. llama.cpp's own (mtmd) knows every architecture and computes in the engine's thread when the engine reads the
photo. That of ONNX Runtime knows a few and is faster there; it computes in threads of its own, before the engine takes the
photo, because on AMX neither may compute in a thread of the other (``grounding.llama.lanes`` says why).
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from vlm4rec_edge.errors import PhotoError
from vlm4rec_edge.grounding.llama.native import NativeModel, last_native_error
from vlm4rec_edge.grounding.llama.prepare import PreparedPhoto, prepare

# Whether overviews need no encoding of their own is found out with four images; of the first photos it is not worth it.
_PHOTOS_BEFORE_PROBE = 2


class PhotoImage(NamedTuple):
    """The image at ``place`` among those of a photo."""

    photo: PreparedPhoto
    place: int


class Tower(Protocol):
    """What an engine asks for the embeddings of images."""

    def embeddings(self, images: Sequence[PhotoImage]) -> list[np.ndarray]:
        """Return the embeddings of images, each [tokens, width] in float32.

        Raises:
            PhotoError: one of them cannot be encoded.
        """
        ...


class MtmdTower:
    """llama.cpp's vision encoder; of one engine, in whose thread it computes."""

    def __init__(self, native: NativeModel) -> None:
        self._native = native
        self._overview_is_tile: bool | None = None  # not found out yet
        self._photos = 0

    def embeddings(self, images: Sequence[PhotoImage]) -> list[np.ndarray]:
        """See ``Tower``; an overview that equals its tile is not encoded again."""
        is_pair = [len(image.photo.images()) == 2 for image in images]
        self._photos += sum(image.place == 0 for image in images)
        if any(is_pair) and self._overview_is_tile is None and self._photos > _PHOTOS_BEFORE_PROBE:
            self._overview_is_tile = overview_is_tile(self._native)
        seen = [
            photo.embeddings.get(0) if pair and self._overview_is_tile else None
            for (photo, _), pair in zip(images, is_pair, strict=True)
        ]
        wanted = [photo.images()[place] for (photo, place), known in zip(images, seen, strict=True) if known is None]
        fresh = iter(encode_images(self._native, wanted))
        embeddings = [next(fresh) if known is None else known for known in seen]
        for (photo, place), pair, embedding in zip(images, is_pair, embeddings, strict=True):
            if pair:
                photo.embeddings[place] = embedding
        return embeddings


class EncodedAhead:
    """What was encoded before the engine took the photo; keeps nothing, so all engines may share it."""

    def embeddings(self, images: Sequence[PhotoImage]) -> list[np.ndarray]:
        """See ``Tower``."""
        return [image.photo.embeddings[image.place] for image in images]


def encode_images(native: NativeModel, chunks: Sequence[Any]) -> list[np.ndarray]:
    """Return the embeddings of image chunks, each [tokens, width] in float32.

    Several images a pass where llama.cpp can for this tower (its Gemma 4, InternVL and DeepSeek-OCR); of others it takes one.

    Raises:
        PhotoError: llama.cpp cannot encode one of them.
    """
    mtmd = native.mtmd
    embeddings: list[np.ndarray] = []
    while len(embeddings) < len(chunks):
        batch = mtmd.mtmd_batch_init(native.projector)
        try:
            taken = 0
            for chunk in chunks[len(embeddings) :]:
                if mtmd.mtmd_batch_add_chunk(batch, chunk) != 0:
                    break
                taken += 1
            if taken == 0 or mtmd.mtmd_batch_encode(batch) != 0:
                raise PhotoError(f"llama.cpp could not encode the photo{last_native_error()}.")
            for chunk in chunks[len(embeddings) : len(embeddings) + taken]:
                rows = int(mtmd.mtmd_input_chunk_get_n_tokens(chunk))
                pointer = ctypes.cast(mtmd.mtmd_batch_get_output_embd(batch, chunk), ctypes.POINTER(ctypes.c_float))
                embeddings.append(np.ctypeslib.as_array(pointer, shape=(rows, native.shape.embedding)).copy())
        finally:
            mtmd.mtmd_batch_free(batch)
    return embeddings


def overview_is_tile(native: NativeModel) -> bool:
    """Find out whether a photo of a single tile is encoded twice to the very same numbers, as tile and as overview.

    Idefics3 models (SmolVLM) see each photo as its tiles and an overview of them; of one tile the overview is the
    tile. Tried on noise of two shapes and compared to the last bit, instead of trusting a list of model names.
    """
    noise = np.random.default_rng(0)
    marker = native.mtmd.mtmd_default_marker().decode()
    for height, width in ((48, 32), (40, 56)):
        photo = prepare(native, "", noise.integers(0, 256, (height, width, 3), np.uint8), marker)
        try:
            images = photo.images()
            if len(images) != 2:
                return False
            first, second = encode_images(native, images)
            if not np.array_equal(first, second):
                return False
        finally:
            photo.free()
    return True
