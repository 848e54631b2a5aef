"""Whether this processor multiplies integers of 8 bits without overflow, as ONNX Runtime has it multiply them.

Without VNNI an x86 processor adds two products of 8 bits in 16 bits, where the largest do not fit and are cut off. Those of
weights of 7 bits always fit (ONNX Runtime issues 12072 and 14642). Tried, instead of trusting a list of processors.
"""

from __future__ import annotations

import numpy as np

from vlm4rec_edge.quiet import load

_SIZE = 64
_LARGEST_INPUT, _LARGEST_WEIGHT = 255, 127


def weight_bits() -> int:
    """Return the bits that a weight may have here: 8, or 7. Runs ONNX Runtime: not in a thread in which llama.cpp computes."""
    from onnx import TensorProto, helper, numpy_helper

    inputs = np.full((_SIZE, _SIZE), _LARGEST_INPUT, np.uint8)
    weights = np.full((_SIZE, _SIZE), _LARGEST_WEIGHT, np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["inputs", "weights"], ["sums"])],
        "largest products",
        [helper.make_tensor_value_info("inputs", TensorProto.UINT8, [_SIZE, _SIZE])],
        [helper.make_tensor_value_info("sums", TensorProto.INT32, [_SIZE, _SIZE])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    session = load("onnxruntime").InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    sums = session.run(None, {"inputs": inputs})[0]
    return 8 if (sums == _SIZE * _LARGEST_INPUT * _LARGEST_WEIGHT).all() else 7
