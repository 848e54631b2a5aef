"""Golden outputs tell a working copy from one that only loads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vlm4rec_edge.errors import ModelError
from vlm4rec_edge.models.golden import check_captions, check_vectors
from vlm4rec_edge.models.manifest import GoldenCaption, GoldenVector, Manifest, Source

TEXTS = {"a red coat": (0.6, 0.8, 0.0), "blue jeans": (0.0, 0.28, 0.96)}
CAPTIONS = {"coat.png": "Red solid coat for women.", "jeans.png": "Blue denim trousers for men."}


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    for image in CAPTIONS:
        (tmp_path / image).write_bytes(b"a made photo; nobody decodes it here")
    return Manifest(
        name="made",
        kind="encoder",
        license="MIT",
        source=Source("made", "1"),
        files={},
        quantization={"model": "F32"},
        golden_vectors=tuple(GoldenVector(text, values[:2]) for text, values in TEXTS.items()),
        golden_captions=tuple(GoldenCaption(image, caption) for image, caption in CAPTIONS.items()),
    )


def _encode(texts: Sequence[str]) -> NDArray[np.float32]:
    return np.array([TEXTS[text] for text in texts], dtype=np.float32)


def test_the_same_vectors_and_captions_pass(manifest: Manifest, tmp_path: Path) -> None:
    vectors = check_vectors(manifest, _encode)
    assert (vectors.vectors, vectors.worst_difference) == (2, pytest.approx(0, abs=1e-6))
    captions = check_captions(manifest, tmp_path, lambda path: CAPTIONS[path.name])
    assert (captions.captions, captions.same_captions, captions.caption_agreement) == (2, 2, 1.0)


def test_a_vector_that_is_not_of_length_one_is_refused(manifest: Manifest) -> None:
    with pytest.raises(ModelError, match=r"length 2\.0000"):
        check_vectors(manifest, lambda texts: _encode(texts) * 2)
    with pytest.raises(ModelError, match="length nan"):
        check_vectors(manifest, lambda texts: _encode(texts) * np.float32("nan"))


def test_another_vector_is_refused_and_int8_is_given_more_room(manifest: Manifest) -> None:
    def turned(texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = _encode(texts) + np.array([0.01, -0.01, 0.0], dtype=np.float32)
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)

    with pytest.raises(ModelError, match="golden vector for 'a red coat'"):
        check_vectors(manifest, turned)
    int8 = replace(manifest, quantization={"model": "int8"})
    assert 0.002 < check_vectors(int8, turned).worst_difference < 0.02
    with pytest.raises(ModelError, match="golden vector"):
        check_vectors(int8, lambda texts: _encode(texts)[:, ::-1].copy())


def test_a_late_word_may_differ_but_another_caption_may_not(manifest: Manifest, tmp_path: Path) -> None:
    near = {"coat.png": "Red solid coat for ladies.", "jeans.png": CAPTIONS["jeans.png"]}
    report = check_captions(manifest, tmp_path, lambda path: near[path.name])
    assert (report.same_captions, report.caption_agreement) == (1, pytest.approx(0.8))
    with pytest.raises(ModelError, match=r"golden caption for jeans.png"):
        check_captions(manifest, tmp_path, lambda path: CAPTIONS["coat.png"])


def test_nothing_to_compare_with_is_no_success(manifest: Manifest, tmp_path: Path) -> None:
    bare = replace(manifest, golden_vectors=(), golden_captions=())
    with pytest.raises(ModelError, match="no golden vectors"):
        check_vectors(bare, _encode)
    with pytest.raises(ModelError, match="no golden captions"):
        check_captions(bare, tmp_path, str)
    (tmp_path / "coat.png").unlink()
    with pytest.raises(ModelError, match="reference photo"):
        check_captions(manifest, tmp_path, lambda path: CAPTIONS[path.name])
