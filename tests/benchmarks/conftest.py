"""The benchmarks are scripts beside each other; their parts are tested as modules, and one small run as a process."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
