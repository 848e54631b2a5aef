"""Every family that encoder_to_onnx.py claims, tiny and with random weights: ``OnnxEncoder`` says what the source says.

The reference is transformers with the attention that it chooses by itself, one text at a time without padding, pooled by
the textbook.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from tiny_encoders import FAMILIES, MAX_TOKENS, POOLING, WIDTH, make_encoder

from vlm4rec_edge import OnnxEncoder, resolve_encoder
from vlm4rec_edge.errors import ModelError

# From three tokens to more than are read: longer than the windows of local attention, and padded in one batch.
TEXTS = [
    "lamp",
    "red dress",
    "Blue Boots, size 42!",
    "a soft cotton t-shirt for women with long sleeves and a wide collar",
    "striped wool scarf for rain and office " * 3,
    "black leather jacket with short zip, made for men and women " * 9,
]
# Random weights spread nearest neighbours less than trained ones do; cosines are what these tests look at.
LOOSE = {"sentences": 50, "min_mean": 0.9, "min_worst": 0.8, "min_neighbours": 0.0}
# As behind the pooling of EmbeddingGemma.
DENSE_LAYERS = {"gemma3_text": 2}


def exported_vectors(script: ModuleType, checkpoint: Path, out: Path, precision: str) -> np.ndarray:
    script.export(str(checkpoint), out, script.Precision(precision), **LOOSE)
    with OnnxEncoder(resolve_encoder(out), threads=1) as encoder:
        return encoder.encode(TEXTS)


def source_vectors(checkpoint: Path) -> dict[str, np.ndarray]:
    """The vectors of ``TEXTS`` for each pooling."""
    import torch
    from safetensors.torch import load_file
    from torch.nn.functional import linear
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(checkpoint), AutoModel.from_pretrained(checkpoint).eval()
    folders = sorted(path for path in checkpoint.iterdir() if path.name.endswith("_Dense"))
    dense = [load_file(folder / "model.safetensors") for folder in folders]
    vectors = []
    for text in TEXTS:
        tokens = tokenizer(text, return_tensors="pt", padding=False, truncation=True, max_length=MAX_TOKENS)
        with torch.no_grad():
            hidden = model(tokens["input_ids"], attention_mask=tokens["attention_mask"]).last_hidden_state[0]
            pooled = torch.stack([hidden.mean(0), hidden[0], hidden[-1]])
            if dense:
                first, second = dense
                pooled = torch.tanh(linear(pooled, first["linear.weight"], first["linear.bias"]))
                pooled = linear(pooled, second["linear.weight"])
        vectors.append(torch.nn.functional.normalize(pooled, dim=-1).numpy())
    return dict(zip(("mean", "cls", "last"), np.stack(vectors, axis=1), strict=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_an_encoder_of_every_family_says_what_its_source_says(
    encoder_script: ModuleType, tmp_path: Path, family: str
) -> None:
    checkpoint = make_encoder(tmp_path / "source", family, dense=DENSE_LAYERS.get(family, 0))
    own = POOLING.get(family, "mean")
    source = source_vectors(checkpoint)
    cosines = {}
    for precision in ("fp32", "int8-weights"):
        vectors = exported_vectors(encoder_script, checkpoint, tmp_path / precision, precision)
        cosines[precision] = {pooling: (vectors * rows).sum(axis=1) for pooling, rows in source.items()}
    assert cosines["fp32"][own].min() > 0.9999
    assert cosines["int8-weights"][own].min() > 0.999
    for other in source.keys() - {own}:
        assert cosines["fp32"][other].mean() < 0.99, (
            "the two poolings of this checkpoint are too much alike to be told apart"
        )


def test_a_language_model_without_a_word_on_pooling_is_refused(encoder_script: ModuleType, tmp_path: Path) -> None:
    checkpoint = make_encoder(tmp_path / "source", "qwen3")
    (checkpoint / "1_Pooling" / "config.json").unlink()
    with pytest.raises(ModelError, match=r"language model and does not say .*1_Pooling/config\.json"):
        encoder_script.export(str(checkpoint), tmp_path / "out", **LOOSE)


def test_a_graph_that_differs_from_its_model_is_refused_by_optimum(
    encoder_script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import encoder_graph

    monkeypatch.setattr(encoder_graph, "_TOLERANCE", -1.0)
    checkpoint = make_encoder(tmp_path / "source")
    with pytest.raises(ModelError, match="optimum-onnx cannot export this bert: The maximum absolute difference"):
        encoder_script.export(str(checkpoint), tmp_path / "out", **LOOSE)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_dense_layer_that_is_not_known_is_refused(encoder_script: ModuleType, tmp_path: Path) -> None:
    import encoder_head

    checkpoint = make_encoder(tmp_path / "source", dense=1)
    assert encoder_head.read_head(checkpoint, WIDTH).dimensions == 2 * WIDTH
    with pytest.raises(ModelError, match="2_Dense does not take the 32 values"):
        encoder_head.read_head(checkpoint, 32)
    (checkpoint / "2_Dense" / "config.json").write_text(json.dumps({"activation_function": "torch.nn.GELU"}))
    with pytest.raises(ModelError, match="ends in GELU; known are Identity, Tanh"):
        encoder_head.read_head(checkpoint, WIDTH)
    (checkpoint / "2_Dense" / "config.json").write_text(json.dumps({"activation_function": "torch.nn.Tanh"}))
    (checkpoint / "2_Dense" / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(ModelError, match=r"no readable model\.safetensors"):
        encoder_head.read_head(checkpoint, WIDTH)
