"""The project's own drawings of clothes, for benchmarks that need photos and are given none.

Their generator lies with the code that trained the model (``models/training``), which is put on the path here.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "models" / "training"))

from drawings import Drawing, catalog_of_drawings, draw, write_catalog

__all__ = ["Drawing", "catalog_of_drawings", "draw", "write_catalog"]
