"""Engines side by side say what one says, and stop together."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from pictures import QUESTION, answers, drawn, encoded, photo_of, requests_for, swatch

from vlm4rec_edge import LlamaCaptioner, resolve_lvlm
from vlm4rec_edge.errors import ModelError
from vlm4rec_edge.grounding.llama.engine import Answer, Refusal
from vlm4rec_edge.grounding.llama.lanes import answer_side_by_side, lanes_for, shares
from vlm4rec_edge.grounding.llama.prepare import PreparedPhoto
from vlm4rec_edge.grounding.protocol import CaptionRequest

MIB = 1 << 20


def _lanes(slots: int, threads: int, projector: int = MIB, free: int | None = 1024 * MIB) -> int:
    return lanes_for(slots=slots, threads=threads, projector_bytes=projector, free_bytes=free)


def test_there_is_an_engine_for_each_core_as_long_as_each_has_several_photos() -> None:
    assert _lanes(16, 1) == 1
    assert _lanes(16, 2) == 2
    assert _lanes(1, 8) == 1
    assert 1 < _lanes(16, 64) < 16


def test_projectors_loaded_again_take_no_more_than_their_share_of_memory() -> None:
    assert _lanes(16, 4, projector=100 * MIB, free=None) == 4
    assert _lanes(16, 4, projector=100 * MIB, free=400 * MIB) == 2
    assert _lanes(16, 4, projector=100 * MIB, free=0) == 1


@pytest.mark.parametrize(("whole", "parts"), [(16, 3), (3, 3), (1, 1), (17, 4)])
def test_shares_sum_to_the_whole_and_are_alike(whole: int, parts: int) -> None:
    found = shares(whole, parts)
    assert (len(found), sum(found)) == (parts, whole)
    assert max(found) - min(found) <= 1


@pytest.fixture(scope="module")
def photos() -> list[CaptionRequest]:
    kinds = itertools.product(("t-shirt", "dress", "coat"), ("black", "red", "white", "yellow"))
    return requests_for({f"{colour} {kind}": drawn(kind, colour) for kind, colour in kinds})


def test_two_engines_say_what_one_says_and_a_bad_photo_harms_neither(photos: list[CaptionRequest]) -> None:
    bad = requests_for({"bad": b"no picture"})
    with LlamaCaptioner(resolve_lvlm(), batch=8, threads=1, device="cpu") as one:
        expected, _ = answers(one, photos)
    with LlamaCaptioner(resolve_lvlm(), batch=8, threads=2, device="cpu") as two:
        found, failures = answers(two, [*photos[:5], *bad, *photos[5:]])
        assert two.engines == 2
        assert two.batch == 8
        assert two.kv_bytes == one_kv_bytes(8)
    assert found == expected
    assert set(failures) == {"bad"}


def one_kv_bytes(batch: int) -> int:
    with LlamaCaptioner(resolve_lvlm(), batch=batch, threads=1, device="cpu") as one:
        answers(one, requests_for({"a": swatch(200, 30, 40)}))
        return one.kv_bytes


def test_a_stream_that_is_left_leaves_no_thread_behind() -> None:
    photo = photo_of(encoded(swatch(200, 30, 40)))
    before = threading.active_count()
    with LlamaCaptioner(resolve_lvlm(), batch=8, threads=2, device="cpu", max_tokens=6) as captioner:
        results = captioner.caption(CaptionRequest(str(number), photo, QUESTION) for number in itertools.count())
        assert len({next(results).key for _ in range(20)}) == 20  # type: ignore[union-attr]
        results.close()  # type: ignore[attr-defined]
        assert threading.active_count() == before
        assert answers(captioner, requests_for({"again": swatch(200, 30, 40)}))[0]["again"]


def _made(key: str) -> PreparedPhoto:
    """A photo that no engine will look at."""
    return PreparedPhoto(key, 0, None, None, 0)  # type: ignore[arg-type]


def _side_by_side(engines: list[Any], requests: Iterable[str | None], **settings: Any) -> Iterator[Answer | Refusal]:
    return answer_side_by_side(engines, iter(requests), **{"prepare": _made, "slots": 2, "workers": 2, **settings})


def _endless() -> Iterator[str]:
    return map(str, itertools.count())


class _Patient:
    """In the place of an engine: answers each photo at once until it is stopped."""

    stopped = False

    def answer(self, photos: Iterable[PreparedPhoto | None]) -> Iterator[Answer | Refusal]:
        for photo in photos:
            if photo is not None:
                yield Answer(photo.key, photo.key, (), False)


class _Failing(_Patient):
    """In the place of an engine: answers one photo, then fails as a whole."""

    def answer(self, photos: Iterable[PreparedPhoto | None]) -> Iterator[Answer | Refusal]:
        for number, answer in enumerate(super().answer(photos)):
            if number:
                raise ModelError("llama.cpp stopped decoding (status 1).")
            yield answer


def test_an_engine_that_fails_ends_the_others_too() -> None:
    before = threading.active_count()
    with pytest.raises(ModelError, match="stopped decoding"):
        for _ in _side_by_side([_Patient(), _Failing()], _endless()):
            pass
    assert threading.active_count() == before


def test_a_preparation_that_fails_as_a_whole_ends_all() -> None:
    def prepare(key: str) -> PreparedPhoto:
        if key == "3":
            raise ModelError("The graph cannot be run.")
        return _made(key)

    before = threading.active_count()
    with pytest.raises(ModelError, match="graph cannot be run"):
        for _ in _side_by_side([_Patient()], _endless(), prepare=prepare):
            pass
    assert threading.active_count() == before


def test_every_request_is_answered_once_and_one_that_cannot_be_prepared_is_refused() -> None:
    def prepare(key: str) -> PreparedPhoto | Refusal:
        return Refusal(key, "no picture") if int(key) % 5 == 0 else _made(key)

    found = list(_side_by_side([_Patient(), _Patient()], map(str, range(50)), prepare=prepare))
    assert sorted(int(result.key) for result in found) == list(range(50))
    assert {int(result.key) for result in found if isinstance(result, Refusal)} == set(range(0, 50, 5))


def test_an_answer_is_handed_on_while_later_photos_are_still_prepared() -> None:
    given = threading.Event()

    def prepare(key: str) -> PreparedPhoto:
        if key == "1":
            assert given.wait(30)
        return _made(key)

    results = _side_by_side([_Patient()], iter("01"), prepare=prepare, workers=1)
    assert next(results).key == "0"
    given.set()
    assert next(results).key == "1"


def test_a_photo_is_prepared_while_an_earlier_one_is_decoded() -> None:
    prepared = threading.Event()

    class Slow(_Patient):
        def answer(self, photos: Iterable[PreparedPhoto | None]) -> Iterator[Answer | Refusal]:
            for answer in super().answer(photos):
                assert answer.key == "1" or prepared.wait(30)
                yield answer

    def prepare(key: str) -> PreparedPhoto:
        if key == "1":
            prepared.set()
        return _made(key)

    assert len(list(_side_by_side([Slow()], iter("01"), prepare=prepare, workers=1))) == 2


def test_what_is_under_way_is_bounded_however_slow_the_engines_are() -> None:
    pulled: list[str] = []
    may_go = threading.Event()

    class Slow(_Patient):
        def answer(self, photos: Iterable[PreparedPhoto | None]) -> Iterator[Answer | Refusal]:
            for answer in super().answer(photos):
                assert may_go.wait(30)
                yield answer

    def requests() -> Iterator[str]:
        for key in _endless():
            pulled.append(key)
            if len(pulled) == 7:  # 2 at work, 2 that wait, 3 being prepared
                may_go.set()
            yield key

    results = _side_by_side([Slow()], requests(), workers=3)
    next(results)
    assert len(pulled) == 7
    results.close()  # type: ignore[attr-defined]


def test_a_photo_that_is_being_prepared_when_all_is_stopped_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, may_end = threading.Event(), threading.Event()
    freed: list[str] = []
    monkeypatch.setattr(PreparedPhoto, "free", lambda photo: freed.append(photo.key))

    def prepare(key: str) -> PreparedPhoto:
        if key == "1":
            begun.set()
            assert may_end.wait(30)
        return _made(key)

    results = _side_by_side([_Patient()], iter("01"), prepare=prepare, workers=1)
    next(results)
    assert begun.wait(30)
    threading.Timer(0.1, may_end.set).start()
    results.close()  # type: ignore[attr-defined]
    assert freed == ["1"]


class _InTheMiddle(_Patient):
    """In the place of an engine: when it is stopped, a call of llama.cpp is still under way."""

    def __init__(self) -> None:
        self.done = threading.Event()

    def answer(self, photos: Iterable[PreparedPhoto | None]) -> Iterator[Answer | Refusal]:
        yield from super().answer(photos)
        self.done.wait(30)


@pytest.mark.skipif(os.name == "nt", reason="a process cannot send itself Ctrl-C there")
def test_a_second_ctrl_c_waits_for_llama_cpp_too() -> None:
    engines = [_InTheMiddle(), _InTheMiddle()]
    before = threading.active_count()
    results = _side_by_side(engines, _endless())
    next(results)
    timers = [threading.Timer(seconds, os.kill, [os.getpid(), signal.SIGINT]) for seconds in (0.2, 0.4)]
    timers += [threading.Timer(0.6, engine.done.set) for engine in engines]
    # A job in the background is started with Ctrl-C ignored.
    before_us = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for timer in timers:
            timer.start()
        with pytest.raises(KeyboardInterrupt):
            results.close()  # type: ignore[attr-defined]
    finally:
        signal.signal(signal.SIGINT, before_us)
    assert all(engine.done.is_set() for engine in engines)
    for timer in timers:
        timer.join()
    assert threading.active_count() == before


def test_a_stopped_engine_does_not_read_its_photos_to_the_end(
    photos: list[CaptionRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    with LlamaCaptioner(resolve_lvlm(), batch=1, threads=1, device="cpu") as captioner:
        captioner.load()
        (engine,) = captioner._engines
        monkeypatch.setattr(engine, "_read_texts", lambda entries: setattr(engine, "stopped", True))
        monkeypatch.setattr(engine, "_read_images", lambda images: pytest.fail("read on") if images else None)
        assert list(engine.answer([captioner._prepare(photos[0])])) == []


def test_the_words_before_the_photo_are_read_once_a_place(
    photos: list[CaptionRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    with LlamaCaptioner(resolve_lvlm(), batch=1, threads=1, device="cpu") as captioner:
        captioner.load()
        (engine,) = captioner._engines
        rows: list[int] = []
        decode = engine._decode_rows
        monkeypatch.setattr(
            engine, "_decode_rows", lambda *arguments: rows.append(len(arguments[0])) or decode(*arguments)
        )
        found = []
        read = []
        other = CaptionRequest("other", photos[0].photo, "Describe this product as JSON.")
        for request in (photos[0], photos[0], other, photos[0]):
            rows.clear()
            found.append(answers(captioner, [request])[0][request.key])
            read.append(sum(rows))
    assert read[0] > read[1] == read[3]
    assert found[0] == found[1] == found[3] != found[2]
