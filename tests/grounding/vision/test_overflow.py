"""On a processor whose sums of 8-bit products overflow, weights have 7 bits, with which they cannot."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from made_projectors import SMALL, beside_the_embedded_text, random_weights, write_projector

from vlm4rec_edge.grounding.vision import making
from vlm4rec_edge.grounding.vision.check import ask_mtmd, reference_pictures

# What two products of unsigned 8 bits and a weight may add up to in 16 bits.
_ROOM = 2**15 - 1


@pytest.mark.parametrize(("bits", "fits"), [(7, True), (8, False)])
def test_a_graph_keeps_to_the_bits_that_were_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bits: int, fits: bool
) -> None:
    monkeypatch.setattr(making, "weight_bits", lambda: bits)
    projector = write_projector(tmp_path / "mmproj.gguf", SMALL, random_weights(SMALL))
    graph = tmp_path / "tower.onnx"
    files = beside_the_embedded_text(projector)
    references = partial(ask_mtmd, files, reference_pictures(), threads=1)
    record = making.make_graph(files, "0" * 64, "int8", graph, references)
    assert record.weight_bits == bits
    weights = [
        onnx.numpy_helper.to_array(constant)
        for constant in onnx.load(graph).graph.initializer
        if constant.data_type == onnx.TensorProto.INT8
    ]
    largest = max(int(np.abs(values.astype(np.int16)).max()) for values in weights)
    assert (2 * 255 * largest <= _ROOM) is fits
    assert largest == 2 ** (bits - 1) - 1


def test_overflow_is_found_where_products_are_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    from vlm4rec_edge.grounding.vision import overflow

    class CutOff:
        """ONNX Runtime on a processor that adds two products in 16 bits."""

        def InferenceSession(self, *_: object, **__: object) -> CutOff:  # noqa: N802
            return self

        def run(self, _: None, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
            size = len(feed["inputs"])
            return [np.full((size, size), size // 2 * _ROOM, np.int32)]

    monkeypatch.setattr(overflow, "load", lambda _: CutOff())
    assert overflow.weight_bits() == 7
