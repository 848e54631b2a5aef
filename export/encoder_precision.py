"""The smaller forms of an encoder's graph: ``to_fp16``, ``to_int8_weights`` and ``to_int8``.

They take the graph as ``encoder_graph`` makes it, from tokens to token vectors. The first two add standard operators alone,
which run on every provider and version of ONNX Runtime that knows opset 20; ``to_int8`` adds its own for integers on a CPU.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from encoder_graph import CONTRIB

from vlm4rec_edge.quiet import load

# Weights that share one scale. Outliers then spoil 64 values and not a whole column: on MiniLM-L6-v2 the cosine with
# the source rises from 0.9995 to 0.9998 for 2 % more bytes; blocks of 32 add nothing to that.
_BLOCK = 64
_SMALLEST_BLOCK = 16
# float16 has 10 bits of mantissa; below this a scale or a norm is as good as zero.
_TINY = 1e-8


def to_fp16(model: Any) -> Any:
    """Return the graph in float16, with a cast of the token vectors back to float32 at its end."""
    convert = load("onnxruntime.transformers.float16").convert_float_to_float16
    return convert(model, keep_io_types=True, disable_shape_infer=True)


def to_int8_weights(model: Any) -> Any:
    """Return the graph with weights and embedding tables as int8 in blocks of 64, computing in float32.

    ONNX Runtime unpacks the weights once, when it loads the graph. Vectors depend neither on the other sentences of a
    batch nor on which integer instructions a CPU has.
    """
    rewriter = _Rewriter(model)
    for node in model.graph.node:
        weights = rewriter.weights_of(node)
        if rewriter.is_table(node):
            rewriter.gather_int8(node)
        elif weights is None:
            rewriter.nodes.append(node)
        else:
            depth, columns = weights.shape
            block = _block_of(depth)
            name = node.input[1]
            quantized, scales = _quantize(weights.reshape(depth // block, block, columns), axis=1, limit=127)
            q, s = rewriter.constant(f"{name}_int8", quantized), rewriter.constant(f"{name}_scale", scales)
            shape = rewriter.constant(f"{name}_shape", np.array([depth, columns], np.int64))
            q = rewriter.add("Cast", [q], f"{name}_float", to=_FLOAT)
            s = rewriter.add("Cast", [s], f"{name}_scale_float", to=_FLOAT)
            whole = rewriter.add("Mul", [q, s], f"{name}_blocks")
            node.input[1] = rewriter.add("Reshape", [whole, shape], f"{name}_unpacked")
            rewriter.nodes.append(node)
    return rewriter.finish()


def to_int8(model: Any, *, reduce_range: bool) -> Any:
    """Return a fused graph with products of int8 weights (one scale a column) and uint8 activations (one scale a token).

    Scales of activations are found while it runs ("dynamic"), for each token apart, so that a vector does not depend on
    the other sentences of its batch. ``reduce_range`` takes 7 bits for the weights: CPUs without VNNI add two products
    in 16 bits, where full-range weights overflow, and would give other vectors than CPUs with it (ONNX Runtime issues
    12072 and 14642).
    """
    rewriter = _Rewriter(model)
    limit = 63 if reduce_range else 127
    for node in model.graph.node:
        weights = rewriter.weights_of(node)
        if rewriter.is_table(node):
            rewriter.gather_int8(node)
        elif weights is None:
            rewriter.nodes.append(node)
        elif node.op_type == "MatMul":
            rewriter.multiply_int8(node.input[0], weights, node.output[0], limit)
        else:
            # Merged attention hides its three products; apart, they can be integer ones, and the rest stays merged.
            inputs = [f"{node.output[0]}_{part}" for part in ("query", "key", "value")]
            for name, part in zip(inputs, np.split(weights, 3, axis=1), strict=True):
                rewriter.multiply_int8(node.input[0], part, name, limit)
            heads = next(attribute.i for attribute in node.attribute if attribute.name == "num_heads")
            bias, lengths = node.input[2], node.input[3]
            rewriter.add(
                "MultiHeadAttention", [*inputs, bias, lengths], node.output[0], domain=CONTRIB, num_heads=heads
            )
    return rewriter.finish()


_FLOAT = 1  # onnx.TensorProto.FLOAT
_MIDDLE = 128  # the uint8 that stands for 0


class _Rewriter:
    """A graph while its weights are replaced: new nodes and constants in order, the old weights dropped at the end."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.nodes: list[Any] = []
        self._old = {entry.name: entry for entry in model.graph.initializer}
        self._new: dict[str, Any] = {}
        self._replaced: set[str] = set()
        self._tokens: dict[str, tuple[str, str]] = {}
        self._shapes: dict[int, str] = {}

    def weights_of(self, node: Any) -> np.ndarray | None:
        """Return the weight matrix [depth, columns] of a linear layer, or None for any other node."""
        from onnx import numpy_helper

        entry = self._old.get(node.input[1]) if node.op_type in ("MatMul", "Attention") else None
        if entry is None or len(entry.dims) != 2:
            return None
        self._replaced.add(entry.name)
        return np.asarray(numpy_helper.to_array(entry), dtype=np.float32)

    def is_table(self, node: Any) -> bool:
        """Return whether a node looks rows up in an embedding table (a table of two token types is too small)."""
        entry = self._old.get(node.input[0]) if node.op_type == "Gather" else None
        return entry is not None and len(entry.dims) == 2 and entry.dims[0] > _SMALLEST_BLOCK

    def gather_int8(self, node: Any) -> None:
        """Look rows up in an int8 table with one scale a row."""
        from onnx import numpy_helper

        name, output = node.input[0], node.output[0]
        self._replaced.add(name)
        table = numpy_helper.to_array(self._old[name]).astype(np.float32)
        quantized, scales = _quantize(table, axis=1, limit=127, half_scales=False)
        q, s = self.constant(f"{name}_int8", quantized), self.constant(f"{name}_scale", scales)
        rows = self.add("Gather", [q, node.input[1]], f"{output}_int8")
        rows = self.add("Cast", [rows], f"{output}_float", to=_FLOAT)
        self.add("Mul", [rows, self.add("Gather", [s, node.input[1]], f"{output}_scale")], output)

    def multiply_int8(self, tokens: str, weights: np.ndarray, output: str, limit: int) -> None:
        """Multiply activations [batch, sequence, depth] by weights [depth, columns] as integers."""
        depth, columns = weights.shape
        quantized, scales = _quantize(weights, axis=0, limit=limit, half_scales=False)
        q, s = self.constant(f"{output}_int8", quantized), self.constant(f"{output}_scale", scales[0])
        rows, row_scales = self._quantize_tokens(tokens, depth)
        one, middle, zero = (
            self.constant("one", np.array(1, np.float32)),
            self.constant("middle", np.array(_MIDDLE, np.uint8)),
            self.constant("zero", np.array(0, np.int8)),
        )
        product = self.add(
            "MatMulIntegerToFloat", [rows, q, one, s, middle, zero], f"{output}_by_column", domain=CONTRIB
        )
        product = self.add("Mul", [product, row_scales], f"{output}_rows")
        self.add("Reshape", [product, self._shape_of_tokens(columns)], output)

    def _quantize_tokens(self, name: str, depth: int) -> tuple[str, str]:
        """Quantize activations to uint8 around 128, [tokens, depth]; return them and their scales, [tokens, 1]. Once each."""
        if name not in self._tokens:
            last = self.constant("last_axis", np.array([-1], np.int64))
            highest = self.add("ReduceMax", [name, last], f"{name}_highest", keepdims=0)
            lowest = self.add("ReduceMin", [name, last], f"{name}_lowest", keepdims=0)
            tiny = self.constant("smallest_range", np.array(_TINY, np.float32))
            largest = self.add("Max", [highest, self.add("Neg", [lowest], f"{name}_depth"), tiny], f"{name}_range")
            scales = self.add("Div", [largest, self.constant("steps", np.array(127, np.float32))], f"{name}_scale")
            scales = self.add("Reshape", [scales, last], f"{name}_token_scales")
            count = self.add("Shape", [scales], f"{name}_token_count")
            middles = self.add(
                "Expand", [self.constant("middles", np.array([_MIDDLE], np.uint8)), count], f"{name}_middle"
            )
            flat = self.constant(f"rows_of_{depth}", np.array([-1, depth], np.int64))
            rows = self.add("Reshape", [name, flat], f"{name}_tokens")
            rows = self.add("QuantizeLinear", [rows, scales, middles], f"{name}_uint8", axis=0)
            self._tokens[name] = rows, self.add("Unsqueeze", [scales, last], f"{name}_scale_column")
        return self._tokens[name]

    def _shape_of_tokens(self, columns: int) -> str:
        """Return the shape [batch, sequence, columns] of the batch at hand."""
        if columns not in self._shapes:
            own = self.add("Shape", ["input_ids"], f"batch_before_{columns}")
            width = self.constant(f"columns_{columns}", np.array([columns], np.int64))
            self._shapes[columns] = self.add("Concat", [own, width], f"batch_of_{columns}", axis=0)
        return self._shapes[columns]

    def constant(self, name: str, values: np.ndarray) -> str:
        """Add a constant (once) and return its name."""
        from onnx import numpy_helper

        self._new.setdefault(name, numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, [output], name=f"{output}/{operator}", **attributes))
        return output

    def finish(self) -> Any:
        """Put the new nodes and constants into the graph, check it, and return it."""
        import onnx

        graph = self.model.graph
        kept = [entry for entry in graph.initializer if entry.name not in self._replaced]
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(self.nodes)
        graph.initializer.extend([*kept, *self._new.values()])
        onnx.checker.check_model(self.model)
        return self.model


def _quantize(values: np.ndarray, *, axis: int, limit: int, half_scales: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Return int8 values in [-limit, limit] and their scales, symmetric, one scale for all values along ``axis``."""
    scales = np.maximum(np.abs(values).max(axis=axis, keepdims=True), _TINY) / limit
    if half_scales:
        scales = np.maximum(scales.astype(np.float16), np.finfo(np.float16).tiny)
    quantized = np.clip(np.rint(values / scales.astype(np.float32)), -limit, limit).astype(np.int8)
    return quantized, scales


def _block_of(depth: int) -> int:
    block = math.gcd(depth, _BLOCK)
    return block if block >= _SMALLEST_BLOCK else depth
