"""A captioner or an encoder that breaks its promise ends a run with a sentence, and never damages the index."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_plugins import WIDTH, Changing, MadeCaptioner, MadeEncoder, said
from pictures import swatches

from vlm4rec_edge import (
    Captioned,
    CaptionRequest,
    Failure,
    IndexFolder,
    IndexReport,
    ModelError,
    Recommender,
    StoreError,
    build_index,
    caption_photos,
    describe_index,
)
from vlm4rec_edge.store.writer import StoreWriter

PHOTOS = 5


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of a few small photos."""
    swatches(tmp_path / "photos", PHOTOS)
    return tmp_path / "photos"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where the index goes."""
    return tmp_path / "shop.index"


def _run(photos: Path, out: Path, captioner: Any = None, encoder: Any = None) -> IndexReport:
    return build_index(photos, out, captioner=captioner or MadeCaptioner(), encoder=encoder or MadeEncoder())


def _is_whole_after_the_next_run(photos: Path, out: Path) -> IndexReport:
    report = _run(photos, out)
    assert report.items == PHOTOS
    assert IndexFolder(out).verify().findings == ()
    return report


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda vectors: vectors.astype(np.float64), r"gives float64 of shape \[5, 8\] for 5 texts"),
        (lambda vectors: (vectors * 100).astype(np.int8), "gives int8 of shape"),
        (lambda vectors: vectors.tolist(), "gives a list for 5 texts"),
        (lambda vectors: None, "gives a NoneType"),
        (lambda vectors: vectors[:-1], r"of shape \[4, 8\] for 5 texts, not float32 of \[5, 8\]"),
        (lambda vectors: np.hstack([vectors, vectors]), r"of shape \[5, 16\]"),
        (lambda vectors: vectors.ravel(), r"of shape \[40\]"),
        (lambda vectors: vectors[None], r"of shape \[1, 5, 8\]"),
        (lambda vectors: vectors * np.float32(np.nan), "gives a vector of length nan, not 1, for 'a photo"),
        (lambda vectors: vectors * np.float32(0), "of length 0, not 1"),
        (lambda vectors: vectors * np.float32(3), "of length 3, not 1"),
    ],
)
def test_no_vector_that_is_none_is_stored_and_no_caption_is_lost(
    photos: Path, out: Path, change: Callable[[np.ndarray], Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        _run(photos, out, encoder=MadeEncoder(change))
    assert _is_whole_after_the_next_run(photos, out).progress.captioned == 0


@pytest.mark.parametrize("dimensions", [WIDTH + 1, 0, "8", None])
def test_dimensions_that_are_wrong_are_refused_before_anything_is_captioned(
    photos: Path, out: Path, dimensions: object
) -> None:
    with pytest.raises(ModelError, match=r"dimensions|float32 of \[3, 9\]"):
        _run(photos, out, encoder=MadeEncoder(dimensions=dimensions))
    assert _is_whole_after_the_next_run(photos, out).progress.captioned == PHOTOS


def test_dimensions_that_change_under_one_identity_are_refused(photos: Path, out: Path) -> None:
    _run(photos, out)
    wide = MadeEncoder(dimensions=WIDTH + 1)
    wide.encode = lambda texts: np.eye(1, WIDTH + 1, dtype=np.float32).repeat(len(texts), 0)  # type: ignore[method-assign]
    with pytest.raises(StoreError, match="have 8 dimensions, the encoder's now 9"):
        _run(photos, out, encoder=wide)
    _is_whole_after_the_next_run(photos, out)


def test_what_is_searched_with_is_looked_at_too(photos: Path, out: Path) -> None:
    _run(photos, out)
    with Recommender.open(out) as shop, pytest.raises(ModelError, match="of length 0"):
        shop.search("shoes", encoder=MadeEncoder(lambda vectors: vectors * np.float32(0)))


def test_what_repairs_is_looked_at_too(photos: Path, out: Path) -> None:
    _run(photos, out)
    (vectors,) = out.glob("*.f32")
    vectors.write_bytes(b"\0" * vectors.stat().st_size)
    with IndexFolder(out) as index, pytest.raises(ModelError, match="of length nan"):
        index.repair(encoder=MadeEncoder(lambda vectors: vectors * np.float32(np.nan)))
    with IndexFolder(out) as index:
        assert index.repair(encoder=MadeEncoder()).encoded == PHOTOS
        assert index.verify().ok


@pytest.mark.parametrize(
    ("identity", "message"),
    [
        (None, "has no identity"),
        ([1], "has no identity"),
        ({"name": "made", "colours": {1}}, "is not a JSON object"),
        ({"name": "made", "bias": float("nan")}, "is not a JSON object"),
        ({"name": "made\udcff", "version": 1}, "is not a JSON object"),
        ({"version": 1}, "has no name"),
        ({"name": 5, "version": 1}, "has no name"),
    ],
)
@pytest.mark.parametrize("of", ["captioner", "encoder"])
def test_an_identity_that_no_index_can_hold_is_refused_before_anything_is_captioned(
    photos: Path, out: Path, of: str, identity: object, message: str
) -> None:
    captioner = MadeCaptioner(identity=identity) if of == "captioner" else MadeCaptioner()
    encoder = MadeEncoder(identity=identity) if of == "encoder" else MadeEncoder()
    with pytest.raises(ModelError, match=message):
        _run(photos, out, captioner, encoder)
    assert _is_whole_after_the_next_run(photos, out).progress.captioned == PHOTOS


@pytest.mark.parametrize("of", ["captioner", "encoder"])
def test_an_identity_that_changes_is_refused(photos: Path, out: Path, of: str) -> None:
    with pytest.raises(ModelError, match="changes from one call to the next"):
        _run(photos, out, **{of: Changing()})
    _is_whole_after_the_next_run(photos, out)


@pytest.mark.parametrize("of", ["captioner", "encoder"])
def test_an_identity_is_compared_as_json_gives_it_back(photos: Path, out: Path, of: str) -> None:
    models = {of: (MadeCaptioner if of == "captioner" else MadeEncoder)(identity={"name": "m", 2: (1,), 10: 2})}
    assert _run(photos, out, **models).progress.captioned == PHOTOS
    assert IndexFolder(out).verify().ok
    again = _run(photos, out, **models).progress
    assert (again.captioned, again.encoded) == (0, 0)


@pytest.mark.parametrize("given", ["stylist-lvlm", object()])
@pytest.mark.parametrize("of", ["captioner", "encoder"])
def test_what_is_no_model_at_all_is_a_sentence(photos: Path, out: Path, of: str, given: object) -> None:
    with pytest.raises(ModelError, match="is neither a captioner nor an encoder"):
        _run(photos, out, **{of: given})


def _twice(photos: Iterable[CaptionRequest]) -> Iterator[Captioned]:
    for request in photos:
        yield said(request)
        yield said(request)


def _in_a_thread(photos: Iterable[CaptionRequest]) -> Iterator[Captioned]:
    left = iter(photos)
    with ThreadPoolExecutor(1) as pool:
        while (request := pool.submit(next, left, None).result()) is not None:
            yield said(request)


@pytest.mark.parametrize(
    ("caption", "message"),
    [
        (_twice, "or for a second time"),
        (lambda photos: (Captioned(f"other {request.key}", "x") for request in photos), "that it was not given"),
        (lambda photos: None, "returns no answers"),
        (lambda photos: (None for _ in photos), "answers with a NoneType"),
        (lambda photos: ((request.key, "x") for request in photos), "answers with a tuple"),
        (_in_a_thread, "in another thread"),
    ],
)
def test_an_answer_that_belongs_to_no_photo_ends_the_run(
    photos: Path, out: Path, caption: Callable[[Iterable[CaptionRequest]], Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        _run(photos, out, MadeCaptioner(caption))
    with pytest.raises(ModelError, match=message):
        caption_photos(sorted(photos.iterdir()), MadeCaptioner(caption))
    _is_whole_after_the_next_run(photos, out)


@pytest.mark.parametrize("text", [None, 5, "", " \n", "half of \ud83d"])
def test_an_answer_that_is_no_caption_is_the_failure_of_its_photo(photos: Path, out: Path, text: Any) -> None:
    captioner = MadeCaptioner(lambda photos: (Captioned(request.key, text) for request in photos))
    report = _run(photos, out, captioner)
    assert (report.items, len(report.all_failures())) == (0, PHOTOS)
    assert "which is not a caption" in report.failures[0].reason
    assert len(caption_photos(sorted(photos.iterdir()), captioner).failures) == PHOTOS
    _is_whole_after_the_next_run(photos, out)


@pytest.mark.parametrize("fields", [{"kind": "a"}, "{no", "[1]", '{"a": {"b": "c"}}', '{"a": 1}', '{"a": "\ud83d"}'])
def test_fields_that_are_no_object_of_texts_are_the_failure_of_their_photo(
    photos: Path, out: Path, fields: Any
) -> None:
    report = _run(photos, out, MadeCaptioner(lambda photos: (Captioned(r.key, "x", fields) for r in photos)))
    assert (report.items, len(report.all_failures())) == (0, PHOTOS)
    _is_whole_after_the_next_run(photos, out)


@pytest.mark.parametrize("reason", [None, "half of \ud83d"])
def test_a_failure_without_a_reason_is_one_all_the_same(photos: Path, out: Path, reason: Any) -> None:
    captioner = MadeCaptioner(lambda photos: (Failure(r.key, "grounding", reason) for r in photos))
    assert len(_run(photos, out, captioner).all_failures()) == PHOTOS


@pytest.mark.parametrize("question", [None, 4, "half of \ud83d"])
def test_a_question_that_is_no_text_is_a_sentence(photos: Path, out: Path, question: Any) -> None:
    with pytest.raises(ModelError, match="not a text"):
        _run(photos, out, MadeCaptioner(question=lambda item: question))


def test_photos_that_get_no_answer_are_failures(photos: Path, out: Path) -> None:
    def every_other(photos: Iterable[CaptionRequest]) -> Iterator[Captioned]:
        return (said(request) for number, request in enumerate(photos) if number % 2)

    assert len(_run(photos, out, MadeCaptioner(every_other)).failures) == 3
    report = caption_photos(sorted(photos.iterdir()), MadeCaptioner(every_other))
    assert (len(report.captions), len(report.failures)) == (2, 3)
    assert _is_whole_after_the_next_run(photos, out).progress.captioned == 3


@pytest.mark.parametrize(
    "caption",
    [
        lambda photos: [said(request) for request in photos],
        lambda photos: reversed([said(request) for request in photos]),
        lambda photos: map(said, itertools.islice(photos, 1)),  # stops after each photo
    ],
)
def test_answers_come_in_any_order_and_portion(
    photos: Path, out: Path, caption: Callable[[Iterable[CaptionRequest]], Any]
) -> None:
    assert _run(photos, out, MadeCaptioner(caption)).progress.captioned == PHOTOS
    assert _is_whole_after_the_next_run(photos, out).progress.captioned == 0


def test_a_captioner_that_fails_is_free_for_the_next_run_at_once(photos: Path, out: Path) -> None:
    closed = threading.Event()

    def answers(photos: Iterable[CaptionRequest]) -> Iterator[Any]:
        try:
            yield from (None for _ in photos)
        finally:
            closed.set()

    with pytest.raises(ModelError) as error:
        _run(photos, out, MadeCaptioner(answers))
    assert error.value.__traceback__ is not None  # which holds what was at work
    assert closed.is_set()


def test_memory_is_told_by_a_captioner_without_a_batch(photos: Path, out: Path) -> None:
    assert _run(photos, out, MadeCaptioner(kv_bytes=4)).kv_bytes == 4


def test_an_index_in_which_a_plug_in_had_junk_noted_is_described(photos: Path, out: Path) -> None:
    _run(photos, out, MadeCaptioner(batch=2, kv_bytes=4))
    assert (describe_index(out).batch, describe_index(out).kv_bytes) == (2, 4)
    with closing(StoreWriter(out)) as store:
        store.note(batch="many", kv_bytes="5.5")
    assert (describe_index(out).batch, describe_index(out).kv_bytes) == (0, 0)
