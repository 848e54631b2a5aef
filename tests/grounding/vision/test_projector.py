"""Whatever the graph does not compute is told apart, by a reason, before anything is made of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import gguf
import numpy as np
import pytest
from made_projectors import SMALL, random_weights, write_projector

from vlm4rec_edge.grounding.vision.projector import Family, NotCoveredError, check_covered, read_projector


def test_another_family_is_not_covered(tmp_path: Path) -> None:
    shape = replace(SMALL, family=cast("Family", "qwen2vl_merger"))
    path = write_projector(tmp_path / "mmproj.gguf", shape, random_weights(SMALL))
    for look in (check_covered, read_projector):
        with pytest.raises(NotCoveredError, match=r"mmproj\.gguf is of the family qwen2vl_merger"):
            look(path)


def test_a_tensor_that_the_graph_has_no_part_for_is_not_left_out(tmp_path: Path) -> None:
    weights = {**random_weights(SMALL), "v.blk.0.ls1.weight": np.ones(SMALL.width, np.float32)}
    path = write_projector(tmp_path / "mmproj.gguf", SMALL, weights)
    check_covered(path)
    with pytest.raises(NotCoveredError, match=r"has the tensor v\.blk\.0\.ls1\.weight, which is not known"):
        read_projector(path)


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    weights = random_weights(SMALL)
    del weights["v.blk.1.ffn_up.weight"]
    path = write_projector(tmp_path / "mmproj.gguf", SMALL, weights)
    with pytest.raises(NotCoveredError, match=r"lacks the tensor v\.blk\.1\.ffn_up\.weight"):
        read_projector(path)


def test_feed_forward_weights_that_an_old_converter_swapped_are_not_covered(tmp_path: Path) -> None:
    weights = random_weights(SMALL)
    up, down = "v.blk.0.ffn_up.weight", "v.blk.0.ffn_down.weight"
    weights[up], weights[down] = weights[down], weights[up]
    path = write_projector(tmp_path / "mmproj.gguf", SMALL, weights)
    with pytest.raises(NotCoveredError, match=r"tensor v\.blk\.0\.ffn_(up|down)\.weight of the shape"):
        read_projector(path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"merge": 3}, "sizes that do not go into each other"),
        ({"merge": 0}, "does not state its clip.vision.projector.scale_factor"),
    ],
)
def test_sizes_that_llama_cpp_pads_or_refuses_are_not_covered(
    tmp_path: Path, change: dict[str, int], reason: str
) -> None:
    path = write_projector(tmp_path / "mmproj.gguf", replace(SMALL, **change), random_weights(SMALL))
    with pytest.raises(NotCoveredError, match=reason):
        read_projector(path)


def test_weights_come_back_as_they_were(tmp_path: Path) -> None:
    weights = random_weights(SMALL)
    path = write_projector(tmp_path / "mmproj.gguf", SMALL, weights, linear=gguf.GGMLQuantizationType.F16)
    found = read_projector(path)
    assert found.shape == replace(SMALL, epsilon=found.shape.epsilon, mean=found.shape.mean, std=found.shape.std)
    assert found.weights.keys() == weights.keys()
    for name, values in weights.items():
        np.testing.assert_allclose(found.weights[name], values, rtol=1e-3, atol=1e-5)
