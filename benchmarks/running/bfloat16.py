"""Whether this machine can compute in bfloat16."""

from __future__ import annotations

from vlm4rec_edge.errors import Vlm4RecError
from vlm4rec_edge.grounding.vision.bfloat16 import require_bfloat16


def lack_of_bfloat16() -> str:
    """Return why no photo can be encoded in bfloat16 here, as a sentence; empty where one can."""
    try:
        require_bfloat16()
    except Vlm4RecError as error:
        return str(error)
    return ""
