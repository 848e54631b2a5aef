"""Whether bfloat16 can be had is asked once, for the ways that are timed and for the rows of the savings."""

from __future__ import annotations

import pytest
from recommending import setups
from running import bfloat16
from timing import vision

from vlm4rec_edge.errors import MissingDependencyError


def test_without_it_the_ways_in_bfloat16_are_left_out_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise MissingDependencyError("openvino is not installed")

    monkeypatch.setattr(bfloat16, "require_bfloat16", refuse)
    assert vision.lack_of(vision.WAYS["bf16"]) == "openvino is not installed"
    assert vision.lack_of(vision.WAYS["int8"]) == ""
    assert setups.vision_precisions() == ["int8"]


def test_with_it_they_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bfloat16, "require_bfloat16", lambda: None)
    assert vision.lack_of(vision.WAYS["bf16"]) == ""
    assert setups.vision_precisions() == ["int8", "bf16"]
