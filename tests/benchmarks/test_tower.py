"""The row of what the vision-language model sees: the mean of its image tokens, kept by projector and photo."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from captioning.models import Model, model_of
from drawings import catalog_of_drawings, write_catalog
from recommending import tower
from recommending.tower import tower_vectors

from vlm4rec_edge.catalog.photo import decode_photo, read_photo_file
from vlm4rec_edge.grounding.llama.native import NativeModel
from vlm4rec_edge.grounding.llama.prepare import prepare
from vlm4rec_edge.grounding.llama.vision import encode_images


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("shop")
    write_catalog(folder, catalog_of_drawings(1, seed=4)[:6])
    return sorted(path for path in folder.rglob("*") if path.suffix in (".jpg", ".png"))


@pytest.fixture(scope="module")
def model() -> Model:
    return model_of("own=stylist-lvlm", {"threads": 1})


def test_a_photo_is_the_mean_of_what_the_text_model_would_read(
    model: Model, photos: list[Path], tmp_path: Path
) -> None:
    found = tower_vectors(model, photos[:1], tmp_path, lambda _: None)
    settings = model.files.settings
    with NativeModel(model.files, device="auto", threads=1, slots=1, context=settings.context_length) as native:
        pixels = decode_photo(read_photo_file(photos[0]), "", max_side=settings.max_side)
        photo = prepare(native, "", pixels, native.mtmd.mtmd_default_marker().decode())
        rows = [encode_images(native, [image])[0] for image in photo.images()]
        photo.free()
    assert found.shape == (1, rows[0].shape[1])
    assert found[0] == pytest.approx(np.concatenate(rows).mean(axis=0), abs=1e-5)


def test_photos_differ_and_equal_ones_do_not(model: Model, photos: list[Path], tmp_path: Path) -> None:
    again = tmp_path / "again.png"
    shutil.copy(photos[0], again)
    found = tower_vectors(model, [*photos, again], tmp_path, lambda _: None)
    assert np.array_equal(found[0], found[-1])
    assert len(np.unique(found[:-1], axis=0)) == len(photos)


def test_a_photo_that_cannot_be_read_is_zero_and_disturbs_no_other(
    model: Model, photos: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    found = tower_vectors(model, [broken, photos[0], tmp_path / "absent.png"], tmp_path, lambda _: None)
    assert not found[[0, 2]].any()
    assert np.array_equal(found[1:2], tower_vectors(model, photos[:1], tmp_path, lambda _: None))


def test_nothing_is_seen_twice_and_a_stopped_run_goes_on(
    model: Model, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tower, "_BLOCK", 2)
    tower_vectors(model, photos[:4], tmp_path, lambda _: None)
    said: list[str] = []
    whole = tower_vectors(model, photos, tmp_path, said.append)
    assert len(said) == 1
    assert said[0].startswith("6 of 6")
    assert np.array_equal(tower_vectors(model, photos, tmp_path, pytest.fail), whole)
    # Other bytes under a known name, and another size of the photo, are seen anew.
    shutil.copy(photos[0], tmp_path / "photo.png")
    tower_vectors(model, [tmp_path / "photo.png"], tmp_path, said.append)
    shutil.copy(photos[1], tmp_path / "photo.png")
    tower_vectors(model, [tmp_path / "photo.png"], tmp_path, said.append)
    smaller = replace(model, settings={**model.settings, "max_side": 64})
    tower_vectors(smaller, [tmp_path / "photo.png"], tmp_path, said.append)
    assert len(said) == 4
