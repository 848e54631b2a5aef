"""The ONNX graph of an encoder, from token ids and a mask to the vectors of the tokens.

optimum-onnx knows how each family of transformers is traced, and compares what it traced with the model. ``fuse`` merges
the small nodes of attention. What makes one vector of the tokens' is put behind it by ``encoder_head``.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

from vlm4rec_edge.errors import ModelError
from vlm4rec_edge.quiet import load

HIDDEN = "last_hidden_state"
# The domain of ONNX Runtime's own operators.
CONTRIB = "com.microsoft"

# The first opset with Gelu as one operator (LayerNormalization came with 17); ONNX Runtime reads it since 1.17.
_OPSET = 20
# Sums in another order differ by some 1e-5 in a deep encoder, a wrong graph by far more. How near the finished vectors
# are is measured behind this, on whole sentences.
_TOLERANCE = 1e-3
# What a graph takes beside ids and mask, made inside of it: one text has tokens of one type, in places 0, 1, 2 ...
_MADE_INSIDE = {
    "token_type_ids": "token_type_ids = Sub (input_ids, input_ids)",
    "position_ids": """
        position_axis = Constant <value = int64 {1}> ()
        token_count = CumSum (attention_mask, position_axis)
        position_ids = Sub (token_count, position_axis)""",
}


def token_vectors(model: Any) -> Any:
    """Return the ONNX model (fp32) of a transformers model that was loaded with plain ("eager") attention.

    Inputs ``input_ids`` and ``attention_mask``, int64 [batch, sequence], padded on the right; output
    ``last_hidden_state``, float32 [batch, sequence, width].

    Raises:
        ModelError: optimum-onnx cannot trace the model, finds other values in the graph, or wants inputs that no text has.
    """
    load("onnxruntime")  # before optimum does
    import onnx
    from optimum.exporters.onnx import export, validate_model_outputs
    from optimum.exporters.tasks import TasksManager

    for package in ("optimum", "onnxruntime.transformers"):
        logging.getLogger(package).setLevel(logging.ERROR)
    kind = model.config.model_type
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer, about its own future
        path = Path(folder) / "model.onnx"
        try:
            config_of = TasksManager.get_exporter_config_constructor(
                exporter="onnx", model=model, task="feature-extraction", library_name="transformers"
            )
            config = config_of(model.config)
            _, outputs = export(model, config, path, opset=_OPSET)
            validate_model_outputs(config, model, path, outputs, _TOLERANCE, use_subprocess=False)
        except Exception as error:  # torch and optimum raise whatever they raise
            raise ModelError(f"optimum-onnx cannot export this {kind}: {_first_line(error)}") from error
        graph = onnx.load(str(path))
    _make_inputs_inside(graph)
    taken = [entry.name for entry in graph.graph.input]
    if taken != ["input_ids", "attention_mask"]:
        raise ModelError(f"The graph of this {kind} takes {', '.join(taken)}; a text has input_ids and attention_mask.")
    return graph


def fuse(model: Any, *, heads: int, width: int) -> Any:
    """Return the graph with every attention, and every Gelu with its bias, merged into one operator of ONNX Runtime.

    On a CPU this makes single sentences about a fifth faster. The rest ONNX Runtime merges when it loads the graph. It
    knows the attention of BERT, RoBERTa and ELECTRA; of other families it merges less.
    """
    import onnx

    options = load("onnxruntime.transformers.fusion_options").FusionOptions("bert")
    # Merged, the embedding tables could not be made smaller; of the norms some need a shape inference that fails on new
    # opsets, and others become operators that onnx's own checker does not know.
    options.enable_embed_layer_norm = options.enable_layer_norm = False
    options.enable_skip_layer_norm = options.enable_bias_skip_layer_norm = False
    options.enable_shape_inference = False
    fuse_operators = load("onnxruntime.transformers.optimizer").optimize_by_fusion
    fused = fuse_operators(model, "bert", num_heads=heads, hidden_size=width, optimization_options=options)
    fused.topological_sort()
    if all(entry.domain != CONTRIB for entry in fused.model.opset_import):
        fused.model.opset_import.append(onnx.helper.make_opsetid(CONTRIB, 1))
    return fused.model


def nodes_of(text: str) -> list[Any]:
    """Return the nodes that a text in ONNX's own syntax describes, one a line.

    Source: https://github.com/onnx/onnx/blob/main/docs/Syntax.md
    """
    import onnx

    return list(onnx.parser.parse_graph(f"nodes () => () {{ {text} }}").node)


def _make_inputs_inside(model: Any) -> None:
    kept = [entry for entry in model.graph.input if entry.name not in _MADE_INSIDE]
    made = [node for entry in model.graph.input if entry not in kept for node in nodes_of(_MADE_INSIDE[entry.name])]
    nodes = [*made, *model.graph.node]
    del model.graph.input[:], model.graph.node[:]
    model.graph.input.extend(kept)
    model.graph.node.extend(nodes)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
