"""Two vision encoders, one way of captioning: what was encoded ahead in other threads says what llama.cpp's own says."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from pictures import QUESTION, answers, drawn, encoded, photo_of, requests_for, swatch
from with_bf16 import BF16

from vlm4rec_edge import LlamaCaptioner, resolve_lvlm
from vlm4rec_edge.errors import ModelError, PhotoError, UsageError
from vlm4rec_edge.grounding.llama.base import VisionPrecision
from vlm4rec_edge.grounding.llama.native import NativeModel
from vlm4rec_edge.grounding.llama.prepare import PreparedPhoto, prepare
from vlm4rec_edge.grounding.llama.vision import EncodedAhead, PhotoImage, encode_images
from vlm4rec_edge.grounding.protocol import CaptionRequest


class StandIn:
    """In the place of ONNX Runtime's tower: a llama.cpp of its own, whose embeddings are the same to the last bit."""

    def __init__(self, native: NativeModel) -> None:
        self._native, self._lock = native, threading.Lock()
        self.threads: set[threading.Thread] = set()

    def encode_each(self, pixels: np.ndarray) -> Iterator[np.ndarray]:
        with self._lock:
            self.threads.add(threading.current_thread())
            photo = prepare(self._native, "", pixels, self._native.mtmd.mtmd_default_marker().decode())
            try:
                yield from encode_images(self._native, photo.images())
            finally:
                photo.free()

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def native() -> Iterator[NativeModel]:
    files = resolve_lvlm()
    context = files.settings.context_length
    with NativeModel(files, device="cpu", threads=1, slots=1, context=context) as loaded:
        yield loaded


@pytest.fixture
def stand_in(native: NativeModel) -> StandIn:
    return StandIn(native)


def _with(tower: Any, *, batch: int, threads: int) -> LlamaCaptioner:
    """A captioner whose photos ``tower`` encodes ahead."""
    captioner = LlamaCaptioner(resolve_lvlm(), batch=batch, threads=threads, device="cpu", vision="mtmd")
    captioner.load()
    captioner._tower = tower
    for engine in captioner._engines:
        engine._tower = EncodedAhead()
    return captioner


def _prepared(native: NativeModel) -> PreparedPhoto:
    pixels = np.asarray(drawn("dress", "red"))
    return prepare(native, "dress", pixels, native.mtmd.mtmd_default_marker().decode())


@pytest.mark.parametrize(("batch", "threads"), [(1, 1), (4, 1), (8, 2)])
def test_what_was_encoded_ahead_gives_the_same_captions(
    batch: int, threads: int, stand_in: StandIn, photos: list[CaptionRequest], captions: dict[str, str]
) -> None:
    bad = requests_for({"bad": b"no picture"})
    with _with(stand_in, batch=batch, threads=threads) as captioner:
        found, failures = answers(captioner, [*photos[:5], *bad, *photos[5:]])
        assert captioner.tower == "onnx-fp32"
    assert found == captions
    assert set(failures) == {"bad"}


def test_photos_are_encoded_in_threads_in_which_no_engine_computes(
    stand_in: StandIn, photos: list[CaptionRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    with _with(stand_in, batch=8, threads=2) as captioner:
        llama, threads = captioner._natives[0].llama, set()
        decode = llama.llama_decode
        monkeypatch.setattr(
            llama, "llama_decode", lambda *given: threads.add(threading.current_thread()) or decode(*given)
        )
        answers(captioner, photos)
    assert stand_in.threads
    assert threads
    assert not stand_in.threads & threads
    assert threading.current_thread() not in stand_in.threads | threads


def test_a_photo_that_the_tower_refuses_or_sees_otherwise_harms_no_neighbour(
    stand_in: StandIn, photos: list[CaptionRequest], captions: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    encode, numbers = stand_in.encode_each, itertools.count()

    def sometimes(pixels: np.ndarray) -> Iterator[np.ndarray]:
        number = next(numbers)
        if number == 2:
            raise PhotoError("The tower cannot encode it.")
        yield from itertools.islice(encode(pixels), 1 if number == 5 else None)

    monkeypatch.setattr(stand_in, "encode_each", sometimes)
    with _with(stand_in, batch=4, threads=1) as captioner:
        found, failures = answers(captioner, photos)
    reasons = sorted(failure.reason for failure in failures.values())
    assert len(reasons) == 2
    assert reasons[0] == "The tower cannot encode it."
    assert "sees the photo as 1 images, llama.cpp as 2" in reasons[1]
    assert found == {key: caption for key, caption in captions.items() if key not in failures}


def test_a_tower_that_fails_as_a_whole_ends_the_stream_and_leaves_no_thread(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(pixels: np.ndarray) -> Iterator[np.ndarray]:
        raise ModelError("ONNX Runtime has no memory left.")

    photo = photo_of(encoded(swatch(200, 30, 40)))
    before = threading.active_count()
    with _with(stand_in, batch=4, threads=1) as captioner:
        monkeypatch.setattr(stand_in, "encode_each", fail)
        with pytest.raises(ModelError, match="no memory left"):
            list(captioner.caption(CaptionRequest(str(number), photo, QUESTION) for number in itertools.count()))
        assert threading.active_count() == before
        monkeypatch.undo()
        assert answers(captioner, requests_for({"again": swatch(200, 30, 40)}))[0]["again"]


def test_closing_waits_for_one_view_and_not_for_the_whole_photo(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode, photos, begun = stand_in.encode_each, itertools.count(), threading.Event()

    def endless_from_the_second_on(pixels: np.ndarray) -> Iterator[np.ndarray]:
        if next(photos):
            begun.set()
            yield from itertools.repeat(np.zeros((16, 192), np.float32))
        yield from encode(pixels)

    monkeypatch.setattr(stand_in, "encode_each", endless_from_the_second_on)
    photo = photo_of(encoded(swatch(200, 30, 40)))
    before = threading.active_count()
    with _with(stand_in, batch=1, threads=1) as captioner:
        results = captioner.caption(CaptionRequest(str(number), photo, QUESTION) for number in itertools.count())
        next(results)
        assert begun.wait(30)
        results.close()  # type: ignore[attr-defined]
        assert threading.active_count() == before


def test_an_endless_stream_is_encoded_only_a_little_ahead(stand_in: StandIn) -> None:
    photo = photo_of(encoded(swatch(200, 30, 40)))
    pulled = itertools.count()
    with _with(stand_in, batch=4, threads=1) as captioner:
        results = captioner.caption(CaptionRequest(str(next(pulled)), photo, QUESTION) for _ in itertools.count())
        for _ in range(10):
            next(results)
        results.close()  # type: ignore[attr-defined]
    assert next(pulled) <= 10 + 2 * 4 + 1


def test_embeddings_take_the_place_of_all_pixels(native: NativeModel) -> None:
    photo = _prepared(native)
    counts = photo.image_tokens()
    views = encode_images(native, photo.images())
    assert photo.pixels is not None
    photo.take_embeddings(views)
    assert photo.pixels is None
    assert photo.chunks is None
    assert photo.image_tokens() == counts
    assert all(
        np.array_equal(found, view)
        for found, view in zip(
            EncodedAhead().embeddings([PhotoImage(photo, place) for place in range(len(views))]), views, strict=True
        )
    )
    photo.free()
    photo.free()


def test_embeddings_of_another_photo_are_refused(native: NativeModel) -> None:
    photo = _prepared(native)
    views = encode_images(native, photo.images())
    for wrong in (views[:1], [*views, views[0]], [view[:-1] for view in views], [view[:, 1:] for view in views]):
        with pytest.raises(PhotoError, match="use --vision mtmd"):
            photo.take_embeddings(wrong)
    photo.take_embeddings(views)
    photo.free()


def test_the_tower_is_no_part_of_a_fingerprint_but_another_precision_is() -> None:
    def identity(**settings: Any) -> dict[str, Any]:
        return LlamaCaptioner(resolve_lvlm(), **settings).identity

    plain = identity()
    assert "vision_precision" not in plain
    assert identity(vision="mtmd") == identity(vision="onnx") == identity(vision_precision="fp32") == plain
    for precision in ("int8", "bf16"):
        assert identity(vision_precision=precision) == {**plain, "vision_precision": precision}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"vision": "mtmd", "vision_precision": "int8"}, "has the precision of its file"),
        ({"vision": "openvino"}, "auto, onnx or mtmd"),
        ({"vision": "mtmd", "vision_precision": "bf16"}, "has the precision of its file"),
        ({"vision_precision": "fp16"}, "fp32, int8 or bf16"),
    ],
)
def test_a_tower_that_there_is_not_is_refused_with_a_sentence(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        LlamaCaptioner(resolve_lvlm(), **settings)


@pytest.mark.parametrize("precision", ["fp32", "int8", BF16])
def test_a_graph_gives_a_photo_the_same_words_in_any_company(
    precision: VisionPrecision, photos: list[CaptionRequest]
) -> None:
    pytest.importorskip("gguf")
    pytest.importorskip("onnx")
    found = []
    for batch, threads in ((1, 1), (8, 2)):
        with LlamaCaptioner(
            resolve_lvlm(), batch=batch, threads=threads, vision="onnx", vision_precision=precision
        ) as captioner:
            found.append(answers(captioner, photos)[0])
            assert captioner.tower == f"onnx-{precision}"
            assert len({native.projector for native in captioner._natives}) == 1
    assert found[0] == found[1]
    assert len(found[0]) == len(photos)
