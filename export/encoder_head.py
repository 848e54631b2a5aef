"""What makes one unit vector of a text's token vectors: pooling, dense layers where a checkpoint has some, and the norm.

The same twice: in numpy, as the source would do it, and as nodes behind an encoder's graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from checkpoint import read_json
from encoder_graph import HIDDEN, nodes_of

from vlm4rec_edge.errors import ModelError
from vlm4rec_edge.models.manifest import TokenPooling
from vlm4rec_edge.models.sentence_transformers import modules_of, pooling_of

# sentence-transformers names a class of torch; each is an ONNX operator of the same name.
_ACTIVATIONS = {"Identity": np.positive, "Tanh": np.tanh}

# From token vectors to `pooled`. A text without a token becomes a zero vector, which the runtime refuses.
_WEIGHTED = """
    sequence_axis = Constant <value = int64[1] {1}> ()
    width_axis = Constant <value = int64[1] {2}> ()
    weight_column = Unsqueeze (token_weights, width_axis)
    weighted_tokens = Mul (last_hidden_state, weight_column)
    weighted_sum = ReduceSum <keepdims = 0> (weighted_tokens, sequence_axis)
    weight_sum = ReduceSum <keepdims = 0> (weight_column, sequence_axis)
    least_weight = Constant <value = float {1}> ()
    weight_or_one = Max (weight_sum, least_weight)
    pooled = Div (weighted_sum, weight_or_one)"""
_POOL = {
    "mean": f"token_weights = Cast <to = 1> (attention_mask) {_WEIGHTED}",
    "cls": """
        first_token = Constant <value = int64 {0}> ()
        pooled = Gather <axis = 1> (last_hidden_state, first_token)""",
    "last": f"""
        token_axis = Constant <value = int64 {{1}}> ()
        tokens_from_here = CumSum <reverse = 1> (attention_mask, token_axis)
        is_last_token = Equal (tokens_from_here, token_axis)
        token_weights = Cast <to = 1> (is_last_token) {_WEIGHTED}""",
}
_NORM = """
    vector_axis = Constant <value = int64[1] {{1}}> ()
    length = ReduceL2 <keepdims = 1> ({vector}, vector_axis)
    least_length = Constant <value = float {{1e-12}}> ()
    length_above_zero = Max (length, least_length)
    embedding = Div ({vector}, length_above_zero)"""


@dataclass(frozen=True)
class Dense:
    """A layer behind the pooling: ``weight`` [in, out] and ``bias`` [out], float32, and an activation."""

    weight: np.ndarray
    bias: np.ndarray
    activation: str


@dataclass(frozen=True)
class Head:
    """How the token vectors of a text, ``width`` values each, become its unit vector."""

    width: int
    pooling: TokenPooling
    dense: tuple[Dense, ...] = ()

    @property
    def dimensions(self) -> int:
        """Length of a finished vector."""
        return self.dense[-1].weight.shape[1] if self.dense else self.width

    def vector(self, hidden: np.ndarray) -> np.ndarray:
        """Return the unit vector [dimensions] of one text's token vectors [tokens, width], none of them padding."""
        vector = {"mean": hidden.mean(axis=0), "cls": hidden[0], "last": hidden[-1]}[self.pooling]
        for layer in self.dense:
            vector = _ACTIVATIONS[layer.activation](vector @ layer.weight + layer.bias)
        return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)

    def add_to(self, model: Any) -> Any:
        """Return the graph with these steps behind it: output ``embedding``, float32 [batch, dimensions]."""
        from onnx import TensorProto, helper, numpy_helper

        graph = model.graph
        graph.node.extend(nodes_of(_POOL[self.pooling]))
        vector = "pooled"
        for number, layer in enumerate(self.dense):
            name = f"dense_{number}"
            for part, values in (("weight", layer.weight), ("bias", layer.bias)):
                graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), f"{name}_{part}"))
            graph.node.extend(
                nodes_of(f"""
                    {name}_product = MatMul ({vector}, {name}_weight)
                    {name}_sum = Add ({name}_product, {name}_bias)
                    {name} = {layer.activation} ({name}_sum)""")
            )
            vector = name
        graph.node.extend(nodes_of(_NORM.format(vector=vector)))
        batch = next(entry.type.tensor_type.shape.dim[0].dim_param for entry in graph.output if entry.name == HIDDEN)
        del graph.output[:]
        graph.output.append(helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [batch, self.dimensions]))
        return model


def read_head(folder: Path, width: int) -> Head | None:
    """Return the head that a sentence-transformers folder names, or None where nothing is said of the pooling.

    Raises:
        ModelError: it names a pooling, a layer or an activation that is not known here, or a layer cannot be read.
    """
    pooling = pooling_of(folder, also=("Dense",))
    layers: list[Dense] = []
    for name, path in modules_of(folder):
        if name == "Dense":
            layers.append(_read_dense(folder / path, layers[-1].weight.shape[1] if layers else width))
    return Head(width, pooling, tuple(layers)) if pooling else None


def _read_dense(folder: Path, width: int) -> Dense:
    import safetensors.torch

    activation = str(read_json(folder / "config.json").get("activation_function", "")).rpartition(".")[2]
    if activation not in _ACTIVATIONS:
        raise ModelError(
            f"The dense layer {folder} ends in {activation or 'no activation'}; known are {', '.join(_ACTIVATIONS)}."
        )
    try:
        given = safetensors.torch.load_file(folder / "model.safetensors")
    except Exception as error:  # safetensors' error has no public base class
        raise ModelError(f"The dense layer {folder} has no readable model.safetensors ({error}).") from error
    parts = {name.removeprefix("linear."): tensor.float().numpy() for name, tensor in given.items()}
    weight = parts.get("weight")
    if weight is None or weight.ndim != 2 or weight.shape[1] != width:
        raise ModelError(f"The dense layer {folder} does not take the {width} values that come before it.")
    return Dense(weight.T, parts.get("bias", np.zeros(len(weight), np.float32)), activation)
