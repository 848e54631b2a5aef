"""A photo's own vector is the mean of its image tokens, whatever stands beside it, and comes with or without a caption."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
from isolation import isolated_captioner
from pictures import requests_for

from vlm4rec_edge import LlamaCaptioner, resolve_lvlm
from vlm4rec_edge.catalog.photo import decode_photo
from vlm4rec_edge.grounding.answers import answers
from vlm4rec_edge.grounding.llama.photo_vector import TokenMean
from vlm4rec_edge.grounding.llama.prepare import prepare
from vlm4rec_edge.grounding.llama.vision import encode_images
from vlm4rec_edge.grounding.protocol import Captioned, Captioner, CaptionRequest
from vlm4rec_edge.items import Failure


@pytest.fixture(scope="module")
def seeing() -> Iterable[LlamaCaptioner]:
    """The embedded model, asked for vectors of photos."""
    with LlamaCaptioner(resolve_lvlm(), batch=4, photo_vectors=True, vision="mtmd") as captioner:
        yield captioner


def _found(captioner: Captioner, requests: Iterable[CaptionRequest]) -> dict[str, Captioned]:
    found = {}
    for answer in answers(captioner, requests):
        assert isinstance(answer, Captioned), answer
        found[answer.key] = answer
    return found


def test_it_is_the_mean_of_what_the_text_model_reads_scaled_to_length_one(
    seeing: LlamaCaptioner, photos: list[CaptionRequest]
) -> None:
    vector = _found(seeing, photos[:1])[photos[0].key].vector
    native = seeing._natives[0]
    marker = native.mtmd.mtmd_default_marker().decode()
    photo = prepare(native, "", decode_photo(photos[0].photo, "The photo", max_side=seeing._max_side), marker)
    tokens = np.concatenate(encode_images(native, photo.images())).astype(np.float64)
    photo.free()
    expected = tokens.mean(axis=0) / np.linalg.norm(tokens.mean(axis=0))
    assert vector is not None
    assert vector.dtype == np.float32
    np.testing.assert_allclose(vector, expected, atol=1e-6)


def test_every_view_counts_by_its_tokens() -> None:
    views = [np.random.default_rng(seed).random((tokens, 5), np.float32) for seed, tokens in enumerate((4, 4, 9))]
    mean = TokenMean()
    for view in views:
        mean.add(view)
    expected = np.concatenate(views).mean(axis=0)
    np.testing.assert_allclose(mean.vector(), expected / np.linalg.norm(expected), atol=1e-6)


def test_captions_stay_what_they_are_and_neighbours_make_no_difference(
    seeing: LlamaCaptioner, photos: list[CaptionRequest], captions: dict[str, str]
) -> None:
    together = _found(seeing, photos)
    alone = _found(seeing, photos[5:6])
    assert {key: said.text for key, said in together.items()} == captions
    assert np.array_equal(alone[photos[5].key].vector, together[photos[5].key].vector)
    vectors = np.stack([said.vector for said in together.values()])
    assert len(np.unique(vectors.round(4), axis=0)) == len(photos)


def test_a_photo_whose_caption_is_known_is_only_looked_at(seeing: LlamaCaptioner, photos: list[CaptionRequest]) -> None:
    captioned = _found(seeing, photos)
    looked_at = [replace(photo, only_vector=True) for photo in photos]
    mixed = _found(seeing, [one for pair in zip(looked_at[:6], photos[6:], strict=True) for one in pair])
    for number, photo in enumerate(photos):
        said, before = mixed[photo.key], captioned[photo.key]
        assert said.text == ("" if number < 6 else before.text)
        assert np.array_equal(said.vector, before.vector)
    assert {key: said.text for key, said in _found(seeing, looked_at).items()} == dict.fromkeys(captioned, "")


def test_a_process_of_its_own_gives_the_same_vectors(seeing: LlamaCaptioner, photos: list[CaptionRequest]) -> None:
    expected = _found(seeing, photos[:3])
    with isolated_captioner(photo_vectors=True, vision="mtmd") as captioner:
        found = _found(captioner, [*photos[:2], replace(photos[2], only_vector=True)])
        assert captioner.vector_identity == seeing.vector_identity
        assert captioner.fingerprint == seeing.fingerprint
    for photo in photos[:3]:
        np.testing.assert_allclose(found[photo.key].vector, expected[photo.key].vector, atol=1e-6)
    assert found[photos[2].key].text == ""


def test_a_photo_that_cannot_be_used_is_a_failure_where_only_its_vector_is_wanted_too(seeing: LlamaCaptioner) -> None:
    (broken,) = requests_for({"broken": b"no picture"})
    (answer,) = answers(seeing, [replace(broken, only_vector=True)])
    assert isinstance(answer, Failure)
    assert answer.stage == "photo"


def test_without_being_asked_there_is_none(captioner: LlamaCaptioner, photos: list[CaptionRequest]) -> None:
    assert captioner.vector_identity is None
    assert _found(captioner, photos[:1])[photos[0].key].vector is None


def test_what_decides_it_is_the_projector_and_the_size_and_not_the_question(seeing: LlamaCaptioner) -> None:
    def identity(**settings: object) -> dict[str, object] | None:
        return LlamaCaptioner(resolve_lvlm(), photo_vectors=True, **settings).vector_identity  # type: ignore[arg-type]

    assert identity(prompt="What is it?", max_tokens=5, temperature=1.0) == seeing.vector_identity
    assert identity(max_side=64) != seeing.vector_identity
    assert identity(vision="onnx") == identity(vision="mtmd") == seeing.vector_identity
    assert identity(vision="onnx", vision_precision="int8") == {
        **(seeing.vector_identity or {}),
        "vision_precision": "int8",
    }


def test_both_towers_in_full_precision_give_the_same_up_to_rounding(
    seeing: LlamaCaptioner, photos: list[CaptionRequest]
) -> None:
    pytest.importorskip("gguf")
    expected = _found(seeing, photos[:4])
    looked_at = [replace(photo, only_vector=True) for photo in photos[2:4]]
    with LlamaCaptioner(resolve_lvlm(), batch=4, photo_vectors=True, vision="onnx") as captioner:
        found = _found(captioner, [*photos[:2], *looked_at])
        assert captioner.tower == "onnx-fp32"
    for key, said in expected.items():
        assert said.vector is not None
        assert said.vector @ found[key].vector > 0.9999


@pytest.mark.parametrize("vector", [None, [1.0], np.ones(4, np.float32), np.eye(4)[0], np.full(4, np.nan, np.float32)])
def test_what_is_no_unit_vector_fails_the_photo(vector: object, photos: list[CaptionRequest]) -> None:
    class Made:
        """Says the same of every photo."""

        identity = vector_identity = MappingProxyType({"name": "made", "version": 1})

        def caption(self, requests: Iterable[CaptionRequest]) -> Iterable[Captioned]:
            return (Captioned(request.key, "A shirt.", None, vector) for request in requests)  # type: ignore[arg-type]

    (answer,) = answers(Made(), photos[:1])  # type: ignore[arg-type]
    assert isinstance(answer, Failure)
    assert "vector of length 1" in answer.reason
