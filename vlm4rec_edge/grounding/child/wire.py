"""Messages between a program and its captioning process: a line of JSON, and the bytes it announces."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

# No message is longer, but for its bytes: a question, a caption, a schema.
_LONGEST_LINE = 16 << 20
# How a vector is sent as bytes; both processes are on one machine.
VECTOR = np.dtype(np.float32)


def send(stream: IO[bytes], message: Mapping[str, Any], content: bytes = b"") -> None:
    """Write one message.

    Raises:
        OSError: the other side is gone.
    """
    stream.write(json.dumps({**message, "bytes": len(content)}).encode("ascii") + b"\n")
    stream.write(content)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """Read one message and its bytes; None where the other side ended, be it in the middle of one."""
    line = stream.readline(_LONGEST_LINE)
    if not line.endswith(b"\n"):
        return None
    try:
        message = json.loads(line)
        size = message.pop("bytes")
        content = stream.read(size)
    except (ValueError, KeyError, TypeError, AttributeError):  # the other side is no longer itself
        return None
    return (message, content) if len(content) == size else None
