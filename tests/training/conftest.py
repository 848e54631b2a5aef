"""The training's files are scripts beside each other, outside the package, as are those of the export."""

import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]
sys.path += [str(_ROOT / "models" / "training"), str(_ROOT / "export")]
