"""A program that dies in the middle of writing a graph, by the signal that the variable DIES_OF names."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from vlm4rec_edge.atomic import atomic_path


def main() -> None:
    with atomic_path(Path(sys.argv[-1])) as part:
        part.write_bytes(b"half of it")
        os.kill(os.getpid(), signal.Signals[os.environ["DIES_OF"]])
        time.sleep(60)
