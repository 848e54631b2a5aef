"""One photo and its question, preprocessed and tokenised: what the engine reads into a sequence."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vlm4rec_edge.errors import PhotoError
from vlm4rec_edge.grounding.llama.native import NativeModel, last_native_error

TEXT_CHUNK = 0  # MTMD_INPUT_CHUNK_TYPE_TEXT
# What a photo may take of the context; the rest belongs to the question and the answer. LFM2-VL's ten tiles and their
# overview, 2,816 tokens, stay within it where the context is 4,096.
PHOTO_SHARE = 0.75
# A photo made smaller is made this much smaller still, because models round its sides up to whole patches.
_ROUNDING = 0.97
# LFM2-VL may cut a smaller photo into as many tiles, and looks at a still smaller one whole; SmolVLM always cuts.
_TRIES = 4


@dataclass(eq=False)
class PreparedPhoto:
    """A photo and its question, preprocessed and tokenised by llama.cpp; owns the native chunks until ``free``.

    Attributes:
        key: What the answer will be called.
        seed: Of this photo's sampling, if there is any.
        native: The model.
        chunks: The native chunks, until ``take_embeddings``.
        tokens: How many tokens photo and question take.
        pixels: The pixels that llama.cpp preprocessed, [height, width, 3], uint8, until ``take_embeddings``.
        embeddings: Those known of its images, [tokens, width] in float32, by their places.
        only_vector: Whether only the photo's own vector is wanted, and no answer.
    """

    key: str
    seed: int
    native: NativeModel
    chunks: Any
    tokens: int
    pixels: np.ndarray | None = None
    embeddings: dict[int, np.ndarray] = field(default_factory=dict)
    only_vector: bool = False
    _parts: list[Any] = field(default_factory=list)

    def parts(self) -> list[Any]:
        """Return the native chunks, text and images, in their order."""
        if not self._parts:
            mtmd, chunks = self.native.mtmd, self.chunks
            self._parts = [mtmd.mtmd_input_chunks_get(chunks, at) for at in range(mtmd.mtmd_input_chunks_size(chunks))]
        return self._parts

    def images(self) -> list[Any]:
        """Return the native chunks of the photo: one, or its tiles and the overview of them."""
        return [part for part in self.parts() if self.native.mtmd.mtmd_input_chunk_get_type(part) != TEXT_CHUNK]

    def image_tokens(self) -> list[int]:
        """Return the number of tokens of each image."""
        return [int(self.native.mtmd.mtmd_input_chunk_get_n_tokens(image)) for image in self.images()]

    def take_embeddings(self, embeddings: Sequence[np.ndarray]) -> None:
        """Take over the embeddings of all images and let go of the pixels, llama.cpp's of every view among them.

        Seventeen views of 512 pixels take 53 MB there, their embeddings 2.5 MB.

        Raises:
            PhotoError: they are not those of this photo's images.
        """
        expected = [(tokens, self.native.shape.embedding) for tokens in self.image_tokens()]
        found = [embedding.shape for embedding in embeddings]
        if found != expected:
            raise PhotoError(
                f"The vision encoder's graph sees the photo as {len(found)} images, llama.cpp as {len(expected)}, or as "
                f"others ({found} against {expected}); use --vision mtmd."
            )
        mtmd = self.native.mtmd
        self._parts = [mtmd.mtmd_input_chunk_get_placeholder(part) for part in self.parts()]
        mtmd.mtmd_input_chunks_free(self.chunks)
        self.chunks = self.pixels = None
        self.embeddings = dict(enumerate(embeddings))

    def free(self) -> None:
        """Release the memory; harmless when done twice."""
        if self.chunks:
            self.native.mtmd.mtmd_input_chunks_free(self.chunks)
        else:
            for part in self._parts:
                self.native.mtmd.mtmd_input_chunk_free(part)
        self._parts, self.embeddings, self.chunks, self.pixels = [], {}, None, None


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
        PhotoError: llama.cpp cannot preprocess the picture, or it needs more tokens than the context has.
    """
    prepared = _tokenise(native, key, pixels, text, seed)
    try:
        excess = _excess(prepared)
        for _ in range(_TRIES):
            if excess <= 1:
                break
            pixels = _smaller(pixels, _ROUNDING / math.sqrt(excess))
            smaller = _tokenise(native, key, pixels, text, seed)
            excess = _excess(smaller)
            prepared, other = (smaller, prepared) if excess <= 1 else (prepared, smaller)
            other.free()
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
    prepared = PreparedPhoto(key, seed, native, chunks, 0, pixels)
    if status != 0:
        prepared.free()
        raise PhotoError(f"llama.cpp cannot preprocess a picture of {width} x {height} pixels{last_native_error()}.")
    prepared.tokens = int(mtmd.mtmd_helper_get_n_tokens(chunks))
    return prepared


def _check_room(photo: PreparedPhoto) -> None:
    context = photo.native.shape.context
    if photo.tokens >= context:
        raise PhotoError(
            f"The photo and its prompt take {photo.tokens} tokens, the context holds {context}; use a shorter prompt or "
            "a smaller photo."
        )
    if _share_of_pass(photo) > 1:
        passed = photo.native.shape.pass_tokens
        raise PhotoError(f"The photo takes more than the {passed} tokens that one pass reads; make it smaller.")


def _excess(photo: PreparedPhoto) -> float:
    """Return how many times the photo is too large; at most 1 where it is not."""
    tokens = sum(photo.image_tokens())
    return max(tokens / (PHOTO_SHARE * photo.native.shape.context), _share_of_pass(photo))


def _share_of_pass(photo: PreparedPhoto) -> float:
    """Return the tokens of an image with attention in both directions against those of one pass; above 1 llama.cpp aborts."""
    native = photo.native
    if not native.mtmd.mtmd_decode_use_non_causal(native.projector, None):
        return 0.0
    return max(photo.image_tokens(), default=0) / native.shape.pass_tokens


def _smaller(pixels: np.ndarray, scale: float) -> np.ndarray:
    from PIL import Image

    height, width, _ = pixels.shape
    size = max(int(width * scale), 1), max(int(height * scale), 1)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
