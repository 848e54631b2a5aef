"""A run that makes nothing leaves the index as it was: what it would have replaced is replaced with the first new of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_catalog import PHOTOS, vectors_of
from made_plugins import MadeCaptioner, MadeEncoder, said

from vlm4rec_edge import Captioned, CaptionRequest, Failure, IndexFolder, build_index
from vlm4rec_edge.errors import CatalogError, ModelError
from vlm4rec_edge.store.reader import StoreReader


def _all_fail(requests: Iterable[CaptionRequest]) -> Iterator[Failure]:
    for request in requests:
        yield Failure(request.key, "grounding", "The model said nothing.")


def _dies(_: Iterable[CaptionRequest]) -> Iterator[Failure]:
    raise ModelError("The model cannot run here.")


class _Failing(MadeEncoder):
    """Encodes nothing but the texts that every encoder is tried with."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(identity={"name": "made", "version": 2})
        self.error = error

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        if not texts[0].startswith("Black ankle boots"):
            raise self.error
        return super().encode(texts)


def _other() -> dict[str, Any]:
    return {
        "captioner": MadeCaptioner(_all_fail, identity={"name": "other", "prompt": "Other?"}),
        "encoder": MadeEncoder(identity={"name": "made", "version": 2}),
        "remake": True,
    }


@pytest.fixture
def made(photos: Path, out: Path) -> Path:
    """An index of the photos."""
    build_index(photos, out, captioner=MadeCaptioner(), encoder=MadeEncoder())
    return out


def _notes(index: Path) -> dict[str, str]:
    with StoreReader(index) as store:
        return {name: value for name, value in store.meta.items() if name != "run"}


@pytest.mark.parametrize("caption", [_all_fail, _dies])
def test_a_captioner_that_describes_nothing_takes_nothing_away(photos: Path, made: Path, caption: Any) -> None:
    before, notes = vectors_of(made), _notes(made)
    other = _other()
    other["captioner"]._caption = caption
    try:
        report = build_index(photos, made, **other)
    except ModelError:
        assert caption is _dies
    else:
        assert (report.items, report.progress.failed) == (PHOTOS, PHOTOS)
    assert vectors_of(made) == before
    assert _notes(made) == notes
    assert IndexFolder(made).verify().ok
    assert not build_index(photos, made, captioner=MadeCaptioner(), encoder=MadeEncoder()).progress.encoded


@pytest.mark.parametrize("error", [ModelError("The encoder cannot run here."), KeyboardInterrupt()])
def test_an_encoder_that_encodes_nothing_takes_nothing_away(photos: Path, made: Path, error: BaseException) -> None:
    before = vectors_of(made)
    try:
        report = build_index(photos, made, captioner=MadeCaptioner(), encoder=_Failing(error), remake=True)
    except ModelError:
        assert isinstance(error, ModelError)
    else:
        assert report.interrupted
    assert vectors_of(made) == before
    assert IndexFolder(made).verify().ok


@pytest.mark.parametrize("empty", [[], iter([])], ids=["list", "generator"])
def test_an_empty_catalog_is_refused_before_anything(made: Path, tmp_path: Path, empty: Any) -> None:
    before, notes = vectors_of(made), _notes(made)
    with pytest.raises(CatalogError, match="has no items"):
        build_index(empty, made, **_other())
    assert (vectors_of(made), _notes(made)) == (before, notes)
    with pytest.raises(CatalogError, match="has no items"):
        build_index(iter([]), tmp_path / "new.index", **_other())
    assert not (tmp_path / "new.index").exists()


def test_the_first_new_vectors_take_the_place_of_all_old_ones(photos: Path, made: Path) -> None:
    """And once they do, no vector of the other encoder is left, not even for what failed."""

    def some(requests: Iterable[CaptionRequest]) -> Iterator[Any]:
        for number, request in enumerate(requests):
            yield said(request) if number else Failure(request.key, "grounding", "The model said nothing.")

    old = vectors_of(made)
    other = _other()
    other["captioner"]._caption = some
    report = build_index(photos, made, **other)
    assert report.items == PHOTOS - 1
    new = vectors_of(made)
    assert len(new) == PHOTOS - 1
    with StoreReader(made) as store:
        assert store.provenance("encoders") == other["encoder"].identity
        assert store.provenance("groundings")["name"] == "other"
    assert len([*made.glob("vectors-*.f32")]) == 1
    assert old.keys() > new.keys()


def test_an_index_goes_on_after_an_encoder_that_failed_was_repaired(photos: Path, made: Path) -> None:
    """In one opened index: what the failed run would have noted is forgotten with it."""
    with IndexFolder(made) as index:
        with pytest.raises(ModelError):
            index.update(
                photos,
                captioner=MadeCaptioner(
                    lambda requests: map(_shouted, requests), identity={"name": "b", "prompt": "B"}
                ),
                encoder=_Failing(ModelError("The encoder cannot run here.")),
                remake=True,
            )
        index.repair(encoder=MadeEncoder())
        assert index.verify().ok
    with StoreReader(made) as store:
        assert store.provenance("encoders") == MadeEncoder().identity
    assert len(vectors_of(made)) == PHOTOS


def _shouted(request: CaptionRequest) -> Any:
    return Captioned(request.key, f"A PHOTO {request.photo.sha256[:8]}")


def test_where_a_model_lay_is_not_taken_for_where_the_next_one_lies(photos: Path, made: Path) -> None:
    lying = MadeCaptioner(identity={"name": "lying", "prompt": "?"}, place={"model": "/models/lying"})
    build_index(photos, made, captioner=lying, encoder=MadeEncoder(), remake=True)
    assert _notes(made)["captioner_place"] == '{"model": "/models/lying"}'
    build_index(photos, made, captioner=MadeCaptioner(), encoder=MadeEncoder(), remake=True)
    assert _notes(made)["captioner_place"] == "{}"
