"""The parts of ``captions.py``: photos and what is true of them, captions and what they say, and the figures of both.

Captions are read with the words of what trained the model (``models/training``), which is put on the path here.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "models" / "training"))
