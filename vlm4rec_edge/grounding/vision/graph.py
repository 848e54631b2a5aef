"""The ONNX graph of a vision encoder: from one normalised view to its tokens, built node by node from the projector's weights.

Nodes are those of ONNX and a few that ONNX Runtime has on every provider ("com.microsoft"). In ``int8`` the linear layers
multiply integers: weights of 8 bits with one scale an output, activations of 8 bits with one scale a view, found while it runs
("dynamic"). The patches, the attention's own products and the projector behind the tower stay in float: they are a few per
cent of the time. The graph of ``bf16`` is that of ``fp32``: OpenVINO rounds to bfloat16 while it computes.

Source of the arithmetic: ``tools/mtmd/models/siglip.cpp`` and ``clip.cpp`` (``build_vit``, ``build_patch_merge_permute``) of
llama.cpp.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from vlm4rec_edge.grounding.vision.projector import NotCoveredError, Projector

if TYPE_CHECKING:
    from collections.abc import Sequence

Precision = Literal["fp32", "int8", "bf16"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "int8", "bf16")
# Raised when a graph computes otherwise, so that it is rebuilt and checked again.
BUILDER_VERSION = 1
# Under these names a graph keeps what it is; with its tower's shape, views can be made.
SHAPE_KEY, PRECISION_KEY, BUILDER_KEY = "vlm4rec_edge.tower", "vlm4rec_edge.precision", "vlm4rec_edge.builder"
INPUT, OUTPUT = "view", "tokens"
_CONTRIB = "com.microsoft"
_OPSET, _CONTRIB_OPSET, _IR_VERSION = 20, 1, 9
# A protobuf message holds no more.
_MOST_BYTES = 2**31 - 1
_FLOAT_BYTES = 4


def build_graph(projector: Projector, precision: Precision, *, weight_bits: int = 8) -> bytes:
    """Return the graph as a file's content: ``view`` [1, 3, side, side] float32 to ``tokens`` [tokens, width] float32.

    Args:
        projector: Where its weights come from.
        precision: What it computes with.
        weight_bits: Bits of a weight in ``int8``: 8, or 7 for a processor whose sums of two products overflow.

    Raises:
        NotCoveredError: it is larger than the 2 GB of an ONNX file.
    """
    from onnx import helper

    size = sum(math.prod(sizes) for sizes in projector.weights.sizes.values()) * _FLOAT_BYTES
    if precision != "int8" and size >= _MOST_BYTES:
        raise NotCoveredError(
            f"its graph of {size / 1e9:.1f} GB is larger than the 2 GB that one file holds; int8 fits"
        )
    shape = projector.shape
    graph = helper.make_graph(
        [],
        f"{shape.family} tower",
        [helper.make_tensor_value_info(INPUT, _FLOAT, [1, 3, shape.side, shape.side])],
        [helper.make_tensor_value_info(OUTPUT, _FLOAT, [shape.tokens, projector.text_width])],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid(_CONTRIB, _CONTRIB_OPSET)],
        ir_version=_IR_VERSION,
        producer_name="vlm4rec-edge",
    )
    properties = {SHAPE_KEY: json.dumps(asdict(shape)), PRECISION_KEY: precision, BUILDER_KEY: str(BUILDER_VERSION)}
    helper.set_model_props(model, properties)
    tower = _Tower(model.graph, projector, precision, weight_bits)
    tower.end(tower.layers(tower.patches()))
    content: bytes = model.SerializeToString()
    return content


_FLOAT = 1  # onnx.TensorProto.FLOAT


class _Tower:
    """A graph that grows in its place, for weights are large: each method returns the name of its result."""

    def __init__(self, graph: Any, projector: Projector, precision: Precision, weight_bits: int) -> None:
        self.graph = graph
        self.shape, self.weights, self.precision = projector.shape, projector.weights, precision
        self.largest = 2 ** (weight_bits - 1) - 1

    def patches(self) -> str:
        """Cut the view into patches and add where each lies: [1, patches, width]."""
        shape = self.shape
        kernel = self.constant("patch_kernel", self.weights["v.patch_embd.weight"])
        found = self.add(
            "Conv", [INPUT, kernel], "patches_by_channel", kernel_shape=[shape.patch] * 2, strides=[shape.patch] * 2
        )
        found = self.reshape(found, "patches_in_rows", [1, shape.width, shape.grid**2])
        found = self.add("Transpose", [found], "patches", perm=[0, 2, 1])
        places = self.weights["v.position_embd.weight"] + self.bias("v.patch_embd", shape.width)
        return self.add("Add", [found, self.constant("places", places)], "placed_patches")

    def layers(self, states: str) -> str:
        """Run the transformer's layers and the norm behind them: [1, patches, width]."""
        for layer in range(self.shape.layers):
            states = self.layer(states, f"v.blk.{layer}")
        if "v.post_ln.weight" in self.weights:
            states = self.norm(states, "v.post_ln")
        return states

    def layer(self, states: str, name: str) -> str:
        """Attend, then feed forward, each beside a residual."""
        width = self.shape.width
        parts = [f"{name}.attn_{part}" for part in "qkv"]
        weights = np.concatenate([self.weights[f"{part}.weight"] for part in parts])
        bias = np.concatenate([self.bias(part, width) for part in parts])
        together = self.linear(self.norm(states, f"{name}.ln1"), f"{name}.attn_qkv", weights, bias)
        split = [f"{part}_states" for part in parts]
        self.add("Split", [together], *split, axis=-1, num_outputs=3)
        attended = self.add(
            "MultiHeadAttention", split, f"{name}.attended", domain=_CONTRIB, num_heads=self.shape.heads
        )
        states = self.add("Add", [states, self.own_linear(attended, f"{name}.attn_out")], f"{name}.after_attention")
        hidden = self.own_linear(self.norm(states, f"{name}.ln2"), f"{name}.ffn_up")
        hidden = self.add("Gelu", [hidden], f"{name}.activated", approximate="tanh")
        return self.add("Add", [states, self.own_linear(hidden, f"{name}.ffn_down")], f"{name}.states")

    def end(self, states: str) -> str:
        """Make of a square of patches one token and project it to the text model's width: [tokens, width]."""
        return self.shuffled(states) if self.shape.family == "idefics3" else self.pooled(states)

    def shuffled(self, states: str) -> str:
        """Idefics3: the patches of a square side by side, then one product."""
        shape = self.shape
        side = shape.grid // shape.merge
        squares = self.reshape(states, "squares", [side, shape.merge, side, shape.merge, shape.width])
        squares = self.add("Transpose", [squares], "squares_in_rows", perm=[0, 2, 1, 3, 4])
        rows = self.reshape(squares, "rows", [shape.tokens, shape.merge**2 * shape.width])
        return self.add("MatMul", [rows, self.constant("projection", self.weights["mm.model.fc.weight"].T)], OUTPUT)

    def pooled(self, states: str) -> str:
        """Gemma 3: the mean of a square's patches, its root mean square normalised, then one product."""
        shape = self.shape
        rows = self.add("Transpose", [states], "states_by_channel", perm=[0, 2, 1])
        plane = self.reshape(rows, "plane", [1, shape.width, shape.grid, shape.grid])
        plane = self.add("AveragePool", [plane], "means", kernel_shape=[shape.merge] * 2, strides=[shape.merge] * 2)
        rows = self.reshape(plane, "means_by_channel", [shape.width, shape.tokens])
        rows = self.add("Transpose", [rows], "mean_rows", perm=[1, 0])
        squares = self.add("Mul", [rows, rows], "mean_rows_squared")
        last = self.constant("last_axis", np.array([-1], np.int64))
        power = self.add("ReduceMean", [squares, last], "power", keepdims=1)
        power = self.add("Add", [power, self.constant("epsilon", np.float32(shape.epsilon))], "power_above_zero")
        rows = self.add("Div", [rows, self.add("Sqrt", [power], "root_mean_square")], "unit_rows")
        gain = self.constant("gain", self.weights["mm.soft_emb_norm.weight"])
        rows = self.add("Mul", [rows, gain], "normalised_rows")
        return self.add(
            "MatMul", [rows, self.constant("projection", self.weights["mm.input_projection.weight"])], OUTPUT
        )

    def norm(self, states: str, name: str) -> str:
        """Layer normalisation."""
        scale = self.constant(f"{name}.scale", self.weights[f"{name}.weight"])
        shift = self.constant(f"{name}.shift", self.bias(name, self.shape.width))
        return self.add(
            "LayerNormalization", [states, scale, shift], f"{name}.normed", axis=-1, epsilon=self.shape.epsilon
        )

    def own_linear(self, states: str, name: str) -> str:
        """Apply the linear layer of that name."""
        weights = self.weights[f"{name}.weight"]
        return self.linear(states, name, weights, self.bias(name, len(weights)))

    def linear(self, states: str, name: str, weights: np.ndarray, bias: np.ndarray) -> str:
        """Multiply with weights [outputs, inputs] and add a bias, in the precision of the graph."""
        shift = self.constant(f"{name}.bias", bias)
        if self.precision != "int8":
            product = self.add("MatMul", [states, self.constant(f"{name}.weight", weights.T)], f"{name}.product")
            return self.add("Add", [product, shift], f"{name}.out")
        quantized, scales = _quantize(weights, self.largest)
        inputs = [
            states,
            self.constant(f"{name}.int8", quantized.T),
            self.constant(f"{name}.scales", scales),
            "",
            shift,
        ]
        return self.add("DynamicQuantizeMatMul", inputs, f"{name}.out", domain=_CONTRIB)

    def bias(self, name: str, size: int) -> np.ndarray:
        """Return the bias of that name, [size]; zeros where there is none."""
        return self.weights[f"{name}.bias"] if f"{name}.bias" in self.weights else np.zeros(size, np.float32)

    def reshape(self, states: str, result: str, sizes: Sequence[int]) -> str:
        """Give a tensor other dimensions."""
        return self.add("Reshape", [states, self.constant(f"{result}.sizes", np.array(sizes, np.int64))], result)

    def constant(self, name: str, values: np.ndarray | np.generic) -> str:
        """Add a constant and return its name."""
        from onnx import numpy_helper

        self.graph.initializer.append(
            numpy_helper.from_array(np.ascontiguousarray(values).reshape(np.shape(values)), name)
        )
        return name

    def add(self, operator: str, inputs: list[str], *outputs: str, **attributes: Any) -> str:
        """Add a node and return the name of its first output."""
        from onnx import helper

        self.graph.node.append(
            helper.make_node(operator, inputs, outputs, name=f"{outputs[0]}/{operator}", **attributes)
        )
        return outputs[0]


def _quantize(weights: np.ndarray, largest: int) -> tuple[np.ndarray, np.ndarray]:
    """Return int8 weights [outputs, inputs] in [-largest, largest] and their scales [outputs]."""
    scales = np.maximum(np.abs(weights).max(axis=1), np.finfo(np.float32).tiny) / np.float32(largest)
    return np.rint(weights / scales[:, None]).astype(np.int8), scales.astype(np.float32)
