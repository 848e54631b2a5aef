"""A made encoder of a few words whose graph gives token vectors, so that pooling is left to the runtime.

The graph is one Gather from a table: each token has its own vector. It is written field by field, as
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto numbers them, so that no test needs the onnx package.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from vlm4rec_edge.quiet import load

WORDS = ("[UNK]", "red", "blue", "coat", "jeans", "[CLS]")
# One vector a word; none has length one, and the mean of two is never the first of them.
TABLE = np.array([[0, 0, 1], [2, 0, 0], [0, 3, 0], [1, 1, 1], [0, 0, 5], [4, 0, 3]], dtype=np.float32)

_INT64, _FLOAT = 7, 1


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _message(field: int, content: bytes | str) -> bytes:
    encoded = content.encode() if isinstance(content, str) else content
    return _varint(field << 3 | 2) + _varint(len(encoded)) + encoded


def _tensor_value(name: str, kind: int, shape: Sequence[str | int]) -> bytes:
    dimensions = b"".join(
        _message(1, _message(2, size) if isinstance(size, str) else _number(1, size)) for size in shape
    )
    return _message(1, name) + _message(2, _message(1, _number(1, kind) + _message(2, dimensions)))


def graph_bytes(table: np.ndarray = TABLE, inputs: Sequence[str] = ("input_ids", "attention_mask")) -> bytes:
    """An ONNX graph: token numbers and mask [batch, length] to ``last_hidden_state`` [batch, length, 3]."""
    tensor = _number(1, table.shape[0]) + _number(1, table.shape[1]) + _number(2, _FLOAT)
    tensor += _message(8, "table") + _message(9, table.tobytes())
    node = _message(1, "table") + _message(1, inputs[0]) + _message(2, "last_hidden_state") + _message(4, "Gather")
    graph = _message(1, node) + _message(2, "made") + _message(5, tensor)
    graph += b"".join(_message(11, _tensor_value(name, _INT64, ("batch", "length"))) for name in inputs)
    graph += _message(12, _tensor_value("last_hidden_state", _FLOAT, ("batch", "length", table.shape[1])))
    return _number(1, 8) + _message(7, graph) + _message(8, _number(2, 17))


def tokenizer_text() -> str:
    """A tokenizer.json that splits at spaces and puts ``[CLS]`` before every text."""
    return json.dumps(
        {
            "version": "1.0",
            "added_tokens": [],
            "normalizer": None,
            "pre_tokenizer": {"type": "WhitespaceSplit"},
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
                "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [WORDS.index("[CLS]")], "tokens": ["[CLS]"]}},
            },
            "decoder": None,
            "model": {
                "type": "WordLevel",
                "vocab": {word: number for number, word in enumerate(WORDS)},
                "unk_token": "[UNK]",
            },
        }
    )


def write_encoder(folder: Path, pooling: str, *, max_tokens: int = 16) -> Path:
    """Write a sentence-transformers folder with this pooling (``mean``, ``cls`` or ``last``) and return it."""
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(graph_bytes())
    (folder / "tokenizer.json").write_text(tokenizer_text(), encoding="utf-8")
    flags = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token", "last": "pooling_mode_lasttoken"}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({flags[pooling]: True}), encoding="utf-8")
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": max_tokens}), encoding="utf-8")
    return folder


def int8_product(*, threads: int, width: int = 384) -> Callable[[np.ndarray], np.ndarray]:
    """A product [rows, width] uint8 by a made int8 matrix, as an encoder in 8 bits computes it, by so many threads."""
    onnxruntime = load("onnxruntime")
    matrix = np.random.default_rng(0).integers(-100, 100, (width, width)).astype(np.int8)
    int8, uint8, int32 = 3, 2, 6
    tensor = _number(1, width) + _number(1, width) + _number(2, int8) + _message(8, "matrix")
    node = _message(1, "given") + _message(1, "matrix") + _message(2, "product") + _message(4, "MatMulInteger")
    graph = _message(1, node) + _message(2, "made") + _message(5, tensor + _message(9, matrix.tobytes()))
    graph += _message(11, _tensor_value("given", uint8, ("rows", width)))
    graph += _message(12, _tensor_value("product", int32, ("rows", width)))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    model = _number(1, 8) + _message(7, graph) + _message(8, _number(2, 17))
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda given: session.run(None, {"given": given})[0]
