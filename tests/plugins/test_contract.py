"""The public contract fails with a sentence for every plug-in that an index would refuse, and passes those that it takes."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from made_plugins import MadeCaptioner, MadeEncoder, said
from pictures import encoded, swatch, swatches

from vlm4rec_edge import Captioned, CaptionRequest, Failure, ModelError, build_index, caption_photos
from vlm4rec_edge.testing import check_captioner, check_encoder

PHOTOS = [encoded(swatch(shade, 90, 90)) for shade in (10, 120, 230)]
BROKEN = b"this is no photo"


def _answers(
    answer: Callable[[CaptionRequest], Any] = said,
) -> Callable[[Iterable[CaptionRequest]], Iterator[Any]]:
    """Answer to each photo, and fail for the file that is none."""

    def caption(photos: Iterable[CaptionRequest]) -> Iterator[Any]:
        for request in photos:
            is_broken = request.photo.content == BROKEN
            yield Failure(request.key, "photo", "This is no photo.") if is_broken else answer(request)

    return caption


def _in_a_thread_of_its_own(photos: Iterable[CaptionRequest]) -> Iterator[Any]:
    """Take photos in a thread that tells nobody of an error."""
    taken: queue.Queue[CaptionRequest | None] = queue.Queue(4)

    def take() -> None:
        for request in photos:
            taken.put(request)
        taken.put(None)

    threading.Thread(target=take, daemon=True).start()
    yield from _answers()(iter(taken.get, None))  # type: ignore[arg-type]


def _none_for_what_is_broken(photos: Iterable[CaptionRequest]) -> Iterator[Any]:
    return (said(request) for request in photos if request.photo.content != BROKEN)


def _all_at_once(photos: Iterable[CaptionRequest]) -> Iterator[Any]:
    try:
        requests = list(photos)
    except AssertionError:  # whatever it catches, the contract fails
        requests = []
    return iter([Failure(r.key, "photo", "No.") if r.photo.content == BROKEN else said(r) for r in requests])


def _without_reason(photos: Iterable[CaptionRequest]) -> Iterator[Any]:
    for request in photos:
        yield Failure(request.key, "photo", None) if request.photo.content == BROKEN else said(request)  # type: ignore[arg-type]


def _question(_: object) -> str:
    raise KeyError("brand")


# What an index refuses, or takes as the failure of each photo.
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"caption": _in_a_thread_of_its_own}, "in another thread"),
    ({"caption": _answers(lambda r: Captioned(r.key, "a\ud800"))}, "which is not a caption"),
    ({"caption": _answers(lambda r: Captioned(r.key, 5))}, "which is not a caption"),  # type: ignore[arg-type]
    ({"caption": _answers(lambda r: Captioned(r.key, "x", '{"a": NaN, "b": {"c": 1}}'))}, "are not fields"),
    ({"caption": _answers(lambda r: Captioned(r.key, "x", {"a": "b"}))}, "are not fields"),  # type: ignore[arg-type]
    ({"caption": _answers(lambda r: Captioned([r.key], "x"))}, "that it was not given"),  # type: ignore[arg-type]
    ({"caption": _answers(lambda r: Failure({"k": r.key}, "photo", "x"))}, "not given"),  # type: ignore[arg-type]
    ({"caption": _answers(lambda r: "hello")}, "answers with a str"),
    ({"caption": _answers(lambda r: (r.key, "hello"))}, "answers with a tuple"),
    ({"caption": lambda photos: None}, "returns no answers"),
    ({"question": lambda item: None}, "not a text"),
    ({"question": _question}, "question fails for the item .*KeyError: 'brand'"),
    ({"identity": {"name": "m\ud800", "v": 1}}, "is not a JSON object"),
    ({"batch": "many", "kv_bytes": 5}, "batch is 'many', not a whole number"),
    ({"batch": 2, "kv_bytes": 5.5}, r"kv_bytes is 5\.5, not a whole number"),
]


@pytest.mark.parametrize(("members", "message"), REFUSED)
def test_what_an_index_refuses_of_a_captioner_the_contract_refuses(
    members: dict[str, Any], message: str, tmp_path: Path
) -> None:
    made = MadeCaptioner(**{"caption": _answers(), **members})
    with pytest.raises(AssertionError, match=message):
        check_captioner(made, PHOTOS)
    try:
        report = build_index(_folder(tmp_path), tmp_path / "index", captioner=made, encoder=MadeEncoder())
    except ModelError as error:
        assert "damaged" not in str(error)
    else:
        assert (report.items, report.progress.failed) == (0, 2)


def _folder(tmp_path: Path) -> Path:
    swatches(tmp_path / "photos", 2)
    return tmp_path / "photos"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"caption": _none_for_what_is_broken}, "Each photo has one answer; 'broken' has none"),
        ({"caption": _all_at_once}, "takes photos without end"),
        ({"caption": _without_reason}, "A failure says why"),
        ({"caption": _answers(lambda r: Failure(r.key, "grounding", "tired"))}, "A good photo failed: tired"),
        ({"caption": _answers(lambda r: Captioned(r.key, "x", None, [1.0]))}, "float32 array"),  # type: ignore[arg-type]
        ({"caption": _answers(lambda r: 1 // 0)}, "The plug-in fails: ZeroDivisionError"),
        ({"identity": {"name": "m"}}, "More than the name decides"),
    ],
)
def test_the_contract_of_a_captioner_asks_for_more_than_an_index_must(members: dict[str, Any], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_captioner(MadeCaptioner(**{"caption": _answers(), **members}), PHOTOS)


@pytest.mark.parametrize("photos", [[], PHOTOS[:1], ["a.jpg", "b.jpg"]])
def test_two_photos_are_needed(photos: Any) -> None:
    with pytest.raises(AssertionError, match="at least two photos"):
        check_captioner(MadeCaptioner(_answers()), photos)


@pytest.mark.parametrize(
    "identity", [MappingProxyType({"name": "made", "v": 1}), {"name": "made", "v": (1, 2)}, {"name": "made", 1: 2}]
)
def test_the_contract_takes_every_identity_that_an_index_takes(identity: Any, tmp_path: Path) -> None:
    captioner, encoder = MadeCaptioner(_answers(), identity=identity), MadeEncoder(identity=identity)
    check_captioner(captioner, PHOTOS)
    check_encoder(encoder)
    assert build_index(_folder(tmp_path), tmp_path / "index", captioner=captioner, encoder=encoder).items == 2


class _Encoder(MadeEncoder):
    """Changes the vectors of every text, also of those that the index tries an encoder with."""

    def __init__(self, change_all: Callable[[np.ndarray], Any] | None = None, **members: Any) -> None:
        super().__init__(**members)
        self._change_all = change_all

    def encode(self, texts: Any) -> Any:
        """Return what the test makes of the vectors."""
        vectors = super().encode(texts)
        return self._change_all(vectors) if self._change_all else vectors


@pytest.mark.parametrize(
    ("change", "members", "message"),
    [
        (None, {"dimensions": 8.0}, r"dimensions, a number from 1 on \(not 8.0\)"),
        (lambda vectors: vectors.tolist(), {}, "gives a list"),
        (lambda vectors: None, {}, "gives a NoneType"),
        (iter, {}, "gives a "),
        (lambda vectors: vectors.astype(np.float64), {}, "gives float64"),
        (lambda vectors: vectors * np.float32(np.nan), {}, "of length nan"),
        (lambda vectors: 1 // 0, {}, "The plug-in fails: ZeroDivisionError"),
    ],
)
def test_what_an_index_refuses_of_an_encoder_the_contract_refuses(
    change: Any, members: dict[str, Any], message: str
) -> None:
    with pytest.raises(AssertionError, match=message):
        check_encoder(_Encoder(change, **members))


def test_rows_of_a_matrix_are_vectors_for_both(tmp_path: Path) -> None:
    encoder = _Encoder(lambda vectors: vectors.view(np.matrix))
    check_encoder(encoder)
    report = build_index(_folder(tmp_path), tmp_path / "index", captioner=MadeCaptioner(), encoder=encoder)
    assert report.items == 2


@pytest.mark.parametrize("stage", [["x"], None, "\ud800", "server"])
def test_a_failure_of_an_unknown_stage_is_one_of_grounding(stage: Any, tmp_path: Path) -> None:
    captioner = MadeCaptioner(lambda photos: (Failure(request.key, stage, "why") for request in photos))
    report = build_index(_folder(tmp_path), tmp_path / "index", captioner=captioner, encoder=MadeEncoder())
    assert [(failure.stage, failure.reason) for failure in report.all_failures()] == [("grounding", "why")] * 2
    assert len(caption_photos(sorted((tmp_path / "photos").iterdir()), captioner).failures) == 2


def test_the_contract_holds_where_python_leaves_out_assertions() -> None:
    script = (
        "from made_plugins import MadeEncoder\nfrom vlm4rec_edge.testing import check_encoder\n"
        "try:\n    check_encoder(MadeEncoder(lambda vectors: vectors * 3))\n"
        "except AssertionError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-O", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
    )
    assert "of length 3, not 1" in done.stdout, done.stderr
