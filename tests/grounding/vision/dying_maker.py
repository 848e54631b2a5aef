"""A program that dies in the middle of writing a graph."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from vlm4rec_edge.atomic import atomic_path


def main() -> None:
    with atomic_path(Path(sys.argv[-1])) as part:
        part.write_bytes(b"half of it")
        os.abort()
