"""The export script as a module: torch and transformers are imported once for many exports."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest
from tiny_checkpoints import EXPORT, need_export_extra


@pytest.fixture(scope="session")
def encoder_script() -> Iterator[ModuleType]:
    """``export/encoder_to_onnx.py``, and what lies beside it."""
    need_export_extra()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXPORT)
        import encoder_to_onnx

        yield encoder_to_onnx
