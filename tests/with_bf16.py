"""What needs OpenVINO and a processor with instructions for bfloat16 is skipped without them."""

from __future__ import annotations

import pytest

from vlm4rec_edge.errors import Vlm4RecError
from vlm4rec_edge.grounding.vision.bfloat16 import require_bfloat16


def why_no_bf16() -> str:
    """Return why nothing can be encoded in bf16 here; empty if it can."""
    try:
        require_bfloat16()
    except Vlm4RecError as error:
        return str(error)
    return ""


needs_bf16 = pytest.mark.skipif(bool(why_no_bf16()), reason=why_no_bf16())
BF16 = pytest.param("bf16", marks=needs_bf16)
