"""The training's files are scripts beside each other; those that need no torch are tested as modules."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "models" / "training"))
