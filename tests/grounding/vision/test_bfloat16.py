"""Where bfloat16 cannot be computed, that is told with what to do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from vlm4rec_edge.errors import MissingDependencyError
from vlm4rec_edge.grounding.vision import bfloat16
from vlm4rec_edge.grounding.vision.bfloat16 import require_bfloat16
from vlm4rec_edge.grounding.vision.projector import NotCoveredError


def _openvino_with(*capabilities: str) -> Any:
    core = SimpleNamespace(get_property=lambda device, name: list(capabilities))
    return lambda name: SimpleNamespace(Core=lambda: core)


def test_a_processor_without_its_instructions_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bfloat16, "load", _openvino_with("FP32", "INT8"))
    with pytest.raises(NotCoveredError, match="this processor has no instructions for bfloat16"):
        require_bfloat16()
    monkeypatch.setattr(bfloat16, "load", _openvino_with("BF16", "FP32"))
    require_bfloat16()


def test_a_package_that_is_missing_is_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(bfloat16, "load", missing)
    with pytest.raises(MissingDependencyError, match=r'pip install "vlm4rec-edge\[openvino\]"'):
        require_bfloat16()
