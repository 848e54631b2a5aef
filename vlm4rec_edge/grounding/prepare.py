"""One photo and its question, preprocessed and tokenised: what the engine reads into a sequence."""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from vlm4rec_edge.errors import PhotoError
from vlm4rec_edge.grounding.native import PASS_TOKENS, NativeModel, last_native_error

TEXT_CHUNK = 0  # MTMD_INPUT_CHUNK_TYPE_TEXT
# What a photo may take of the context; the rest belongs to the question and the answer. LFM2-VL's ten tiles and their
# overview, 2,816 tokens, stay within it where the context is 4,096.
PHOTO_SHARE = 0.75
# A photo made smaller is made this much smaller still, because models round its sides up to whole patches.
_ROUNDING = 0.97


@dataclass
class PreparedPhoto:
    """A photo and its question, preprocessed and tokenised by llama.cpp; owns the native chunks until ``free``."""

    key: str
    seed: int
    native: NativeModel
    chunks: Any
    tokens: int

    def parts(self) -> list[Any]:
        """Return the native chunks, text and images, in their order."""
        mtmd = self.native.mtmd
        return [mtmd.mtmd_input_chunks_get(self.chunks, at) for at in range(mtmd.mtmd_input_chunks_size(self.chunks))]

    def images(self) -> list[Any]:
        """Return the native chunks of the photo: one, or its tiles and the overview of them."""
        return [part for part in self.parts() if self.native.mtmd.mtmd_input_chunk_get_type(part) != TEXT_CHUNK]

    def free(self) -> None:
        """Release the native memory; harmless when done twice."""
        if self.chunks:
            self.native.mtmd.mtmd_input_chunks_free(self.chunks)
            self.chunks = None


def prepare(native: NativeModel, key: str, pixels: np.ndarray, text: str, *, seed: int = 0) -> PreparedPhoto:
    """Preprocess one photo and tokenise its chat text; safe to call from several threads on one model.

    Models that look at a photo at its own resolution (Qwen-VL takes up to 4,096 tokens) are shown a smaller one where it
    would fill more than three quarters of the context.

    Args:
        native: The loaded model.
        key: What the answer will be called.
        pixels: Array [height, width, 3], uint8, RGB.
        text: Chat text with llama.cpp's media marker in it, once.
        seed: Of this photo's sampling, if there is any.

    Raises:
        PhotoError: llama.cpp can not preprocess the picture, or it needs more tokens than the context has.
    """
    prepared = _tokenise(native, key, pixels, text, seed)
    try:
        while (excess := max(_share_of_context(prepared), _share_of_pass(prepared))) > 1:
            pixels = _smaller(pixels, _ROUNDING / math.sqrt(excess))
            fewer = _tokenise(native, key, pixels, text, seed)
            if fewer.tokens >= prepared.tokens:  # some models cut photos of every size into as many tiles
                fewer.free()
                break
            prepared.free()
            prepared = fewer
        _check_room(prepared)
    except BaseException:
        prepared.free()
        raise
    return prepared


def _tokenise(native: NativeModel, key: str, pixels: np.ndarray, text: str, seed: int) -> PreparedPhoto:
    mtmd = native.mtmd
    height, width, _ = pixels.shape
    pixels = np.ascontiguousarray(pixels, dtype=np.uint8)
    bitmap = mtmd.mtmd_bitmap_init(width, height, pixels.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)))
    chunks = mtmd.mtmd_input_chunks_init()
    try:
        encoded = text.encode("utf-8")
        question = mtmd.mtmd_input_text(text=encoded, text_len=len(encoded), add_special=True, parse_special=True)
        bitmaps = (mtmd.mtmd_bitmap_p_ctypes * 1)(bitmap)
        status = mtmd.mtmd_tokenize(native.projector, chunks, ctypes.byref(question), bitmaps, 1)
    finally:
        mtmd.mtmd_bitmap_free(bitmap)
    prepared = PreparedPhoto(key, seed, native, chunks, 0)
    if status != 0:
        prepared.free()
        raise PhotoError(f"llama.cpp can not preprocess a picture of {width} x {height} pixels{last_native_error()}.")
    prepared.tokens = int(mtmd.mtmd_helper_get_n_tokens(chunks))
    return prepared


def _check_room(photo: PreparedPhoto) -> None:
    context = photo.native.shape.context
    if photo.tokens >= context:
        raise PhotoError(
            f"The photo and its question take {photo.tokens} tokens, the context holds {context}; use a shorter prompt or "
            "a smaller photo."
        )
    if _share_of_pass(photo) > 1:
        raise PhotoError(f"The photo takes more than the {PASS_TOKENS} tokens that one pass reads; make it smaller.")


def _share_of_context(photo: PreparedPhoto) -> float:
    """Return the tokens of the photo itself against those it may take of the context."""
    mtmd = photo.native.mtmd
    tokens = sum(int(mtmd.mtmd_input_chunk_get_n_tokens(chunk)) for chunk in photo.images())
    return tokens / (PHOTO_SHARE * photo.native.shape.context)


def _share_of_pass(photo: PreparedPhoto) -> float:
    """Return the tokens of an image whose attention is not causal against those of one pass; llama.cpp aborts above 1."""
    mtmd, projector = photo.native.mtmd, photo.native.projector
    whole = [chunk for chunk in photo.images() if mtmd.mtmd_decode_use_non_causal(projector, chunk)]
    return max((int(mtmd.mtmd_input_chunk_get_n_tokens(chunk)) for chunk in whole), default=0) / PASS_TOKENS


def _smaller(pixels: np.ndarray, scale: float) -> np.ndarray:
    from PIL import Image

    height, width, _ = pixels.shape
    size = max(int(width * scale), 1), max(int(height * scale), 1)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
