"""Read the header of a GGUF file before native code does.

A damaged file must become a sentence, never a crash inside llama.cpp. Only the header is read, in blocks,
and every count and length in it is held against a bound, so that a hostile file costs no memory and no time.

Source: the GGUF specification, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3).
"""

from __future__ import annotations

import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vlm4rec_edge.errors import ModelError

MAGIC = b"GGUF"

Value = int | float | bool | str

# Bounds, each far above any real model: Gemma 3's header (262,144 words) is about 8 MB and holds some 900
# tensors.
_MAX_HEADER = 256 << 20
_MAX_KEYS = 4096
_MAX_TENSORS = 1 << 16
_MAX_DIMENSIONS = 4  # GGML_MAX_DIMS
_MAX_NAME = 1024
_MAX_KEPT_STRING = 1 << 20  # chat templates are some 10 KB
_BLOCK = 1 << 18
_DEFAULT_ALIGNMENT = 32

_STRING, _ARRAY = 8, 9
# Value type -> struct format; string and array are read apart.
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}

# Tensor type -> (elements in a block, bytes of a block); GGML_QUANT_SIZES of llama.cpp's
# gguf-py/gguf/constants.py.
_TENSOR_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36), 41: (128, 18), 42: (64, 18),
}  # fmt: skip


@dataclass(frozen=True)
class GgufHeader:
    """What a GGUF file says of itself; ``metadata`` holds scalars and strings, arrays are left out."""

    version: int
    tensors: int
    metadata: dict[str, Value]

    @property
    def architecture(self) -> str:
        """``clip`` for a projector, else the family of the text model; empty if unsaid."""
        return str(self.metadata.get("general.architecture", ""))

    @property
    def is_projector(self) -> bool:
        """Whether the file is a multimodal projector (mmproj) and not a language model."""
        return self.architecture == "clip" or self.metadata.get("general.type") == "mmproj"

    @property
    def context_length(self) -> int:
        """Tokens the text model was trained for; 0 where the file does not say."""
        value = self.metadata.get(f"{self.architecture}.context_length", 0)
        return value if isinstance(value, int) else 0


def read_header(path: Path) -> GgufHeader:
    """Read and check the header of a GGUF file; the tensor data must lie within the file.

    Costs a few milliseconds for a small vocabulary and about 0.1 s for 262,144 words.

    Raises:
        ModelError: the file cannot be read, is not GGUF, is truncated, or its header is damaged.
    """
    try:
        info = path.stat()
        # Opening a pipe would wait for ever.
        if not stat.S_ISREG(info.st_mode):
            raise ModelError(f"{path} cannot be read (it is not a file).")
        with path.open("rb") as stream:
            return _read(_Reader(path, stream, info.st_size))
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror or error}).") from error


class _Reader:
    """A cursor over the first bytes of a file that grows block by block and never past its bounds."""

    def __init__(self, path: Path, stream: BinaryIO, size: int) -> None:
        self.path, self.size, self.position = path, size, 0
        self._stream, self._bytes = stream, bytearray()

    def damaged(self, what: str) -> ModelError:
        return ModelError(f"{self.path} is a damaged GGUF file: {what}; get the file again.")

    def truncated(self) -> ModelError:
        return ModelError(f"{self.path} is truncated ({self.size} bytes are there); get the file again.")

    def take(self, count: int) -> int:
        """Move past ``count`` bytes and return where they start in the buffer."""
        start = self.position
        self._fill(start + count)
        self.position = start + count
        return start

    def _fill(self, end: int) -> None:
        if end > self.size:
            raise self.truncated()
        if end > _MAX_HEADER:
            raise self.damaged("its header is larger than any model's")
        while len(self._bytes) < end:
            block = self._stream.read(_BLOCK)
            if not block:
                raise self.truncated()
            self._bytes += block

    def number(self, form: str) -> int | float | bool:
        value: int | float | bool = struct.unpack_from("<" + form, self._bytes, self.take(struct.calcsize(form)))[0]
        return value

    def count(self, form: str, bound: int, what: str) -> int:
        value = int(self.number(form))
        if value > bound:
            raise self.damaged(f"it claims {value} {what}")
        return value

    def text(self, bound: int, what: str) -> str:
        length = self.count("Q", bound, f"bytes of {what}")
        start = self.take(length)
        return self._bytes[start : start + length].decode("utf-8", errors="replace")

    def skip_strings(self, count: int) -> None:
        # Each string takes 8 bytes at least, so this ends within the file whatever the count says. The loop
        # is bare because vocabularies and their merges hold up to a million strings.
        length_at, there, position = struct.Struct("<Q").unpack_from, self._bytes, self.position
        filled = len(there)
        for _ in range(count):
            if position + 8 > filled:
                self._fill(position + 8)
                filled = len(there)
            position += 8 + length_at(there, position)[0]
        self._fill(position)
        self.position = position


def _read(reader: _Reader) -> GgufHeader:
    if reader.size < len(MAGIC):
        raise (reader.truncated() if reader.size else ModelError(f"{reader.path} is empty; get the file again."))
    start = reader.take(4)
    magic = bytes(reader._bytes[start : start + 4])
    if magic != MAGIC:
        raise ModelError(f"{reader.path} is not a GGUF file (it starts with {magic!r}, not {MAGIC!r}).")
    version = int(reader.number("I"))
    if version not in (2, 3):
        raise ModelError(f"{reader.path} is GGUF version {version}; versions 2 and 3 (little-endian) can be read.")
    tensors = reader.count("Q", _MAX_TENSORS, "tensors")
    metadata: dict[str, Value] = {}
    for _ in range(reader.count("Q", _MAX_KEYS, "metadata values")):
        key = reader.text(_MAX_NAME, "a key")
        _read_value(reader, key, metadata)
    _check_tensors(reader, tensors, metadata.get("general.alignment", _DEFAULT_ALIGNMENT))
    return GgufHeader(version, tensors, metadata)


def _read_value(reader: _Reader, key: str, metadata: dict[str, Value]) -> None:
    kind = int(reader.number("I"))
    if kind == _STRING:
        metadata[key] = reader.text(_MAX_KEPT_STRING, f"the text {key}")
    elif kind in _SCALARS:
        metadata[key] = reader.number(_SCALARS[kind])
    elif kind == _ARRAY:
        element, count = int(reader.number("I")), int(reader.number("Q"))
        if element == _STRING:
            reader.skip_strings(count)
        elif element in _SCALARS:
            reader.take(count * struct.calcsize(_SCALARS[element]))
        else:
            raise reader.damaged(f"{key} is an array of the unknown type {element}")
    else:
        raise reader.damaged(f"{key} has the unknown type {kind}")


def _check_tensors(reader: _Reader, tensors: int, alignment: Value) -> None:
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        raise reader.damaged(f"its alignment is {alignment}")
    ends: list[int] = [0]
    for _ in range(tensors):
        name = reader.text(_MAX_NAME, "a tensor's name")
        elements = 1
        for _ in range(reader.count("I", _MAX_DIMENSIONS, "dimensions of a tensor")):
            elements *= int(reader.number("Q"))
        kind, offset = int(reader.number("I")), int(reader.number("Q"))
        # A type newer than this table: its size is not known, its start still is.
        block, width = _TENSOR_BLOCKS.get(kind, (1, 0))
        if elements % block:
            raise reader.damaged(f"the tensor {name} does not fit its type")
        ends.append(offset + elements // block * width)
    data_start = -(-reader.position // alignment) * alignment
    if tensors and data_start + max(ends) > reader.size:
        missing = data_start + max(ends) - reader.size
        raise ModelError(f"{reader.path} is truncated ({missing} bytes are missing); get the file again.")


def check_text_model(path: Path) -> GgufHeader:
    """Read a GGUF file that must be a language model.

    Raises:
        ModelError: it is damaged, a projector, or neither.
    """
    header = read_header(path)
    if header.is_projector:
        raise ModelError(f"{path} is a projector (mmproj), not a text model; were the two files swapped?")
    _check_contents(path, header)
    return header


def check_projector(path: Path) -> GgufHeader:
    """Read a GGUF file that must be the projector of a vision-language model.

    Raises:
        ModelError: it is damaged, a text model, or a projector for sound only.
    """
    header = read_header(path)
    if not header.is_projector:
        raise ModelError(f"{path} is a text model, not a projector (mmproj); were the two files swapped?")
    if header.metadata.get("clip.has_vision_encoder", True) is False:
        raise ModelError(f"{path} is a projector for sound, not for images.")
    _check_contents(path, header)
    return header


def _check_contents(path: Path, header: GgufHeader) -> None:
    kind = header.metadata.get("general.type", "model")
    if kind not in ("model", "mmproj"):
        raise ModelError(f"{path} holds a GGUF {kind}, not a model.")
    if not header.architecture or not header.tensors:
        raise ModelError(f"{path} holds no model (no architecture or no tensors); get the file again.")
