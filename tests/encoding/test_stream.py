"""Streams of texts: batches of like length side by side, every vector in its place, and nothing held that is not needed."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_encoder import TABLE, WORDS, write_encoder

from vlm4rec_edge import OnnxEncoder, resolve_encoder

LONGEST = 16
SPOKEN = [word for word in WORDS if not word.startswith("[")]


def _text(number: int) -> str:
    """Of 0 to 14 words, told by the digits of the number; the lengths come mixed."""
    return " ".join(SPOKEN[(number // 4**place) % 4] for place in range(number * 7 % 15))


def _expected(texts: list[str]) -> np.ndarray:
    rows = [[WORDS.index("[CLS]"), *map(WORDS.index, text.split())] for text in texts]
    means = np.array([TABLE[row].mean(axis=0) for row in rows])
    return means / np.linalg.norm(means, axis=1, keepdims=True)


@pytest.fixture(params=[1, 3], ids=["one thread", "three threads"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OnnxEncoder]:
    folder = write_encoder(tmp_path / "made", "mean", max_tokens=LONGEST)
    with OnnxEncoder(resolve_encoder(folder), device="cpu", threads=request.param) as encoder:
        yield encoder


def _watch(encoder: OnnxEncoder, monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Note the mask of every run of the graph."""
    masks: list[np.ndarray] = []
    session = encoder._session

    class Watched:
        def run(self, names: Any, feed: dict[str, np.ndarray]) -> Any:
            masks.append(feed["attention_mask"])
            return session.run(names, feed)

    monkeypatch.setattr(encoder, "_session", Watched())
    return masks


@pytest.mark.parametrize("count", [1, 8, 9, 1024, 1025, 3000])
def test_every_vector_stands_at_the_place_of_its_text(made: OnnxEncoder, count: int) -> None:
    texts = [_text(number) for number in range(count)]
    expected = _expected(texts)
    np.testing.assert_allclose(made.encode(texts), expected, atol=1e-5)
    np.testing.assert_allclose(list(made.encode_stream(iter(texts))), expected, atol=1e-5)


def test_hardly_anything_is_padded(made: OnnxEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    masks = _watch(made, monkeypatch)
    made.encode([_text(number) for number in range(1000)])
    assert sum(len(mask) for mask in masks) == 1000
    assert all(mask.any(axis=0).all() for mask in masks)  # no run is longer than its longest text
    assert sum(mask.sum() for mask in masks) > 0.95 * sum(mask.size for mask in masks)


def test_a_long_stream_gives_each_run_a_thread_of_its_own(made: OnnxEncoder) -> None:
    made.encode([_text(number) for number in range(1000)])
    assert made._session_of_streams is None  # a few texts are not worth the memory of a second session
    made.encode([_text(number) for number in range(1024)])
    assert made._stream_session().get_session_options().intra_op_num_threads == 1


def test_memory_does_not_grow_with_the_stream(made: OnnxEncoder) -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        try:
            for _ in made.encode_stream(_text(number) for number in range(count)):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1100)  # what is loaded once
    assert peak(12_000) < 1.5 * peak(3000)


def test_a_stream_that_is_left_stops_its_threads(made: OnnxEncoder) -> None:
    before = threading.active_count()
    stream = made.encode_stream(_text(number) for number in range(5000))
    next(stream)
    assert threading.active_count() > before
    stream.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_what_goes_wrong_in_the_source_of_texts_reaches_the_caller(made: OnnxEncoder) -> None:
    def texts() -> Iterator[str]:
        yield from map(_text, range(1500))
        raise OSError("the disk is gone")

    before = threading.active_count()
    given = 0
    with pytest.raises(OSError, match="the disk is gone"):
        for _ in made.encode_stream(texts()):
            given += 1
    assert given <= 1024
    assert threading.active_count() == before
