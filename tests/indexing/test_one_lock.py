"""What a call compares is what it changes: it looks at the index under the writer's lock, from any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_catalog import vectors_of
from made_plugins import MadeCaptioner, MadeEncoder

from vlm4rec_edge import IndexFolder, IndexProgress, Item, StoreError, build_index


class _Slow(MadeEncoder):
    """Does something else when it is first asked for its identity, which is when it is compared."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        super().__init__()
        self._meanwhile: Callable[[], None] | None = meanwhile

    def __getattribute__(self, name: str) -> Any:
        if name == "identity" and "_meanwhile" in self.__dict__:
            meanwhile, self._meanwhile = self._meanwhile, None
            if meanwhile:
                meanwhile()
        return super().__getattribute__(name)


def _other_encoder() -> MadeEncoder:
    return MadeEncoder(identity={"name": "made", "version": 2})


@pytest.fixture
def made(photos: Path, out: Path) -> Path:
    """An index of the photos, closed."""
    build_index(photos, out, captioner=MadeCaptioner(), encoder=MadeEncoder())
    return out


def _add(index: Path, photos: Path, encoder: MadeEncoder) -> None:
    IndexFolder(index).add([Item("new", photos / "0001.png")], captioner=MadeCaptioner(), encoder=encoder)


def _update(index: Path, photos: Path, encoder: MadeEncoder) -> None:
    build_index(photos, index, captioner=MadeCaptioner(), encoder=encoder)


@pytest.mark.parametrize("call", [_add, _update])
def test_an_index_that_is_being_compared_is_not_made_anew_meanwhile(
    made: Path, photos: Path, call: Callable[[Path, Path, MadeEncoder], None]
) -> None:
    refused: list[str] = []

    def make_anew() -> None:
        try:
            build_index(photos, made, captioner=MadeCaptioner(), encoder=_other_encoder(), remake=True)
        except StoreError as error:
            refused.append(str(error))

    call(made, photos, _Slow(make_anew))
    assert "is being written by" in refused[0]
    build_index(photos, made, captioner=MadeCaptioner(), encoder=_other_encoder(), remake=True)
    before = vectors_of(made)
    with pytest.raises(StoreError, match=r"another encoder|made in another way"):
        call(made, photos, MadeEncoder())
    assert vectors_of(made) == before


def test_a_new_index_that_another_run_made_meanwhile_is_not_made_in_another_way(photos: Path, out: Path) -> None:
    def make_first(_: Sequence[str]) -> None:
        build_index(photos, out, captioner=MadeCaptioner(), encoder=_other_encoder())

    with pytest.raises(StoreError, match="was made by another run meanwhile"):
        build_index(photos, out, captioner=MadeCaptioner(check_columns=make_first), encoder=MadeEncoder())
    assert len(vectors_of(out)) == len([*photos.iterdir()])
    assert IndexFolder(out).verify().ok


def test_a_new_photo_is_not_described_by_another_captioner(made: Path, photos: Path) -> None:
    other = MadeCaptioner(identity={"name": "other", "prompt": "Another?"})
    with pytest.raises(StoreError, match="made by another model or another version of it than other"):
        IndexFolder(made).add([Item("new", photos / "0001.png")], captioner=other, encoder=MadeEncoder())
    assert "new" not in vectors_of(made)


def test_without_a_with_each_call_lets_go_of_the_lock(made: Path, photos: Path) -> None:
    one, other = IndexFolder(made), IndexFolder(made)
    assert one.remove(["0000"]).removed == 1
    assert other.remove(["0001"]).removed == 1
    _add(made, photos, MadeEncoder())
    with pytest.raises(StoreError, match="another encoder"):
        one.add([Item("x", photos / "0001.png")], captioner=MadeCaptioner(), encoder=_other_encoder())
    with one:
        one.remove(["0002"])
        with pytest.raises(StoreError, match="is being written by"):
            other.remove(["0003"])
    assert other.remove(["0003"]).removed == 1


def _in_a_thread(call: Callable[[], object]) -> object:
    results: list[object] = []

    def run() -> None:
        try:
            results.append(call())
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return results[0]


def test_an_index_is_changed_and_closed_from_any_thread(made: Path, photos: Path) -> None:
    with IndexFolder(made) as index:
        assert index.remove(["0000"]).removed == 1
        assert getattr(_in_a_thread(lambda: index.remove(["0001"])), "removed", None) == 1
        models: dict[str, Any] = {"captioner": MadeCaptioner(), "encoder": MadeEncoder()}
        assert getattr(_in_a_thread(lambda: index.update(photos, **models)), "items", None) == len([*photos.iterdir()])
        assert _in_a_thread(index.close) is None
        assert IndexFolder(made).remove(["0000"]).removed == 1
    assert IndexFolder(made).verify().ok


def test_calls_of_several_threads_come_one_after_the_other(made: Path, photos: Path) -> None:
    """While one captions, the other waits instead of being refused or mixed in."""
    index, ended = IndexFolder(made), []
    is_encoding = threading.Event()

    class Encoder(MadeEncoder):
        def encode(self, texts: Sequence[str]) -> np.ndarray:
            is_encoding.set()
            return super().encode(texts)

    def remove() -> None:
        is_encoding.wait()
        ended.append(index.remove(["0000"]).removed)

    other = threading.Thread(target=remove)
    other.start()
    with index:
        index.update(photos, captioner=MadeCaptioner(), encoder=Encoder())
        other.join()
    assert ended == [1]


def test_a_call_from_within_a_call_is_refused_and_reading_is_not(made: Path, photos: Path) -> None:
    index, told = IndexFolder(made), []

    def change(_: IndexProgress) -> None:
        for call in (lambda: index.remove(["0000"]), index.close):
            with pytest.raises(StoreError, match="from which this one comes"):
                call()
        told.append((index.verify().ok, index.holds("0000")))

    report = index.update(photos, captioner=MadeCaptioner(), encoder=MadeEncoder(), on_progress=change)
    assert report.items == len(told) == len([*photos.iterdir()])
    assert set(told) == {(True, True)}
