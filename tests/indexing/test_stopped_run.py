"""A run that is stopped loses nothing that is finished, and nobody beside it sees an index half written."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_catalog import PHOTOS, Run, counts_of
from made_plugins import MadeCaptioner, MadeEncoder
from made_store import EncodingWriter
from pictures import swatch, swatches

from vlm4rec_edge import Failure, LlamaCaptioner, OnnxEncoder, Recommender, build_index
from vlm4rec_edge.errors import ModelError, StoreError
from vlm4rec_edge.grounding.protocol import Captioned, CaptionRequest
from vlm4rec_edge.indexing import window
from vlm4rec_edge.indexing.report import IndexProgress
from vlm4rec_edge.store.reader import StoreReader
from vlm4rec_edge.store.writer import BatchCounts, StoreWriter


@pytest.mark.parametrize("after", [1, 3])
def test_an_interrupted_run_keeps_what_is_finished_and_goes_on_there(run: Run, photos: Path, after: int) -> None:
    def stop(progress: IndexProgress) -> None:
        if progress.done == after:
            raise KeyboardInterrupt

    report = run(photos, on_progress=stop)
    assert report.interrupted
    assert after <= report.items < PHOTOS
    again = run(photos)
    assert not again.interrupted
    assert counts_of(again)[:2] == (PHOTOS - report.items, report.items)


def test_an_interrupt_while_texts_are_encoded_loses_no_caption(
    run: Run, photos: Path, encoder: OnnxEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode, calls = encoder.encode, 0

    def stop_once(texts: Sequence[str]) -> np.ndarray:
        nonlocal calls
        if texts and "Black ankle boots" not in texts[0]:  # the store's own check of the encoder
            calls += 1
            if calls == 1:
                raise KeyboardInterrupt
        return encode(texts)

    monkeypatch.setattr(encoder, "encode", stop_once)
    monkeypatch.setattr(window, "_WINDOW_SECONDS", 1e9)  # one window, however slow the machine
    report = run(photos)
    assert (report.interrupted, report.items) == (True, PHOTOS)
    assert counts_of(run(photos))[:2] == (0, PHOTOS)


def test_a_model_that_fails_late_takes_nothing_that_is_finished_with_it(
    run: Run, photos: Path, brief_captioner: LlamaCaptioner, monkeypatch: pytest.MonkeyPatch
) -> None:
    caption = brief_captioner.caption

    def two(requests: Iterable[CaptionRequest]) -> Iterator[Captioned | Failure]:
        with closing(caption(requests)) as results:  # type: ignore[type-var]  # it is a generator
            yield from itertools.islice(results, 2)
        raise ModelError("The model cannot run here.")

    with monkeypatch.context() as patch, pytest.raises(ModelError):
        patch.setattr(brief_captioner, "caption", two)
        run(photos)
    assert counts_of(run(photos))[:2] == (PHOTOS - 2, 2)


def test_pruning_waits_for_a_whole_pass(run: Run, photos: Path) -> None:
    def stop(_: IndexProgress) -> None:
        raise KeyboardInterrupt

    run(photos)
    (photos / "0005.png").unlink()
    report = run(photos, prune=True, on_progress=stop)
    assert (report.interrupted, report.removed, report.items) == (True, 0, PHOTOS)


def test_a_store_that_is_left_open_by_a_crash_is_taken_over(
    run: Run, photos: Path, out: Path, encoder: OnnxEncoder
) -> None:
    run(photos)
    crashed = EncodingWriter(out, grounding=None, encoder=encoder, encoded_text="title")
    crashed._lock.release()  # what the operating system does for a process that is gone
    assert run(photos).items == PHOTOS
    crashed.close()


def test_a_second_writer_is_refused_while_the_first_is_at_work(run: Run, photos: Path, out: Path) -> None:
    caught: list[str] = []

    def second(_: IndexProgress) -> None:
        with pytest.raises(StoreError, match=r"is being written by .*; wait for it to end") as error:
            run(photos)
        caught.append(str(error.value))

    report = run(photos, on_progress=second)
    assert len(caught) == PHOTOS
    assert report.items == PHOTOS
    assert run(photos).items == PHOTOS


def test_a_reader_sees_one_state_while_a_writer_writes(run: Run, photos: Path, out: Path) -> None:
    run(photos)
    with StoreReader(out) as before:
        names, vectors = [item.id for item in before.items()], np.array(before.vectors)
        swatch(255, 255, 255).save(photos / "new.png")
        (photos / "0000.png").unlink()
        run(photos, prune=True)
        assert [item.id for item in before.items()] == names
        assert before.counts()["items"] == before.count() == PHOTOS
        np.testing.assert_array_equal(before.vectors, vectors)
        with StoreReader(out) as after:
            assert {item.id for item in after.items()} == {*names, "new"} - {"0000"}


def test_a_reader_is_served_in_the_middle_of_a_run(run: Run, photos: Path, out: Path) -> None:
    run(photos)
    swatches(photos / "more", 10)
    seen: list[int] = []

    def look(_: IndexProgress) -> None:
        with Recommender.open(out) as shop:
            seen.append(len(shop.recommend(["0000"], k=100)))

    run(photos, on_progress=look)
    assert min(seen) >= PHOTOS - 1


@pytest.fixture
def ctrl_c() -> Iterator[Callable[[], None]]:
    """Press Ctrl-C, as a process at a terminal hears it, wherever these tests are run."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)


class _Impatient(MadeEncoder):
    """Ctrl-C is pressed while it encodes: the texts that every encoder is tried with, or those of items."""

    def __init__(self, press: Callable[[], None], *, in_trial: bool) -> None:
        super().__init__()
        self.press, self.in_trial = press, in_trial

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        if texts[0].startswith("Black ankle boots") == self.in_trial:
            self.press()
        return super().encode(texts)


def test_however_often_ctrl_c_is_pressed_finished_captions_are_kept(
    photos: Path, out: Path, monkeypatch: pytest.MonkeyPatch, ctrl_c: Callable[[], None]
) -> None:
    """Once while photos are captioned, once while what is finished is encoded, and once while it is stored."""
    write, wrote = StoreWriter.write, []

    def pressed(store: StoreWriter, batch: Any, vectors: Any) -> BatchCounts:
        wrote.append(len(batch))
        ctrl_c()
        return write(store, batch, vectors)

    monkeypatch.setattr(StoreWriter, "write", pressed)

    def stop(progress: IndexProgress) -> None:
        if progress.done == 3:
            ctrl_c()

    report = build_index(
        photos, out, captioner=MadeCaptioner(), encoder=_Impatient(ctrl_c, in_trial=False), on_progress=stop
    )
    assert (report.interrupted, report.progress.captioned, wrote) == (True, 3, [3])
    monkeypatch.undo()
    again = build_index(photos, out, captioner=MadeCaptioner(), encoder=MadeEncoder())
    assert counts_of(again) == (PHOTOS - 3, 3, PHOTOS, 0)


@pytest.mark.parametrize("is_new", [True, False])
def test_ctrl_c_in_the_first_call_of_an_encoder_stops_the_run_cleanly(
    photos: Path, out: Path, ctrl_c: Callable[[], None], is_new: bool
) -> None:
    if not is_new:
        build_index(photos, out, captioner=MadeCaptioner(), encoder=MadeEncoder())
    impatient = _Impatient(ctrl_c, in_trial=True)
    report = build_index(photos, out, captioner=MadeCaptioner(), encoder=impatient)
    assert (report.interrupted, report.items) == (True, 0 if is_new else PHOTOS)
    assert report.to_dict()["failures"] == []
    again = build_index(photos, out, captioner=MadeCaptioner(), encoder=MadeEncoder())
    assert again.items == PHOTOS
