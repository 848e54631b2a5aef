"""The vision tower at work: image chunks to the embeddings that the text model reads in their place."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from vlm4rec_edge.errors import PhotoError
from vlm4rec_edge.grounding.llama.native import NativeModel, last_native_error
from vlm4rec_edge.grounding.llama.prepare import prepare


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
