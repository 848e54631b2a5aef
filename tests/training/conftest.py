"""The export's files are scripts beside each other, outside the package, as are the training's, which are on the path."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "export"))
