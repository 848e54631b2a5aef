"""Small made model files: whole by their format, of no use as models."""

from __future__ import annotations

import struct
from typing import Any

_GGUF_TYPES = {bool: (7, "?"), int: (4, "I"), float: (6, "f")}


def _string(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + _string(value)
    if isinstance(value, list):
        return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(_string(element) for element in value)
    kind, form = _GGUF_TYPES[type(value)]
    return struct.pack("<I", kind) + struct.pack(f"<{form}", value)


def gguf_bytes(architecture: str, *, rows: int = 4, **metadata: Any) -> bytes:
    """A whole GGUF file of version 3 with one float32 tensor of ``rows`` x 8."""
    keys = {"general.architecture": architecture, **metadata}
    header = b"GGUF" + struct.pack("<IQQ", 3, 1, len(keys))
    header += b"".join(_string(key) + _value(value) for key, value in keys.items())
    header += _string("weight") + struct.pack("<IQQIQ", 2, 8, rows, 0, 0)
    header += bytes(-len(header) % 32)
    return header + bytes(8 * rows * 4)


TEXT_GGUF = gguf_bytes(
    "llama", **{"llama.context_length": 2048, "tokenizer.ggml.tokens": ["a", "b"], "general.type": "model"}
)
PROJECTOR_GGUF = gguf_bytes("clip", **{"general.type": "mmproj", "clip.has_vision_encoder": True})
ONNX = b"\x08\x08 bytes of a made graph, only its first byte is looked at"
TOKENIZER = b'{"version": "1.0", "made": "for a test"}'
