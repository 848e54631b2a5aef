"""A manifest says the same after it was written and read, and refuses what does not fit it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from vlm4rec_edge.errors import ModelError
from vlm4rec_edge.models.manifest import (
    EncoderSettings,
    GoldenCaption,
    GoldenVector,
    LvlmSettings,
    Manifest,
    Source,
    check_files,
    describe_file,
    parse_manifest,
    read_manifest,
)


@pytest.fixture
def made(encoder_folder: Path) -> Manifest:
    return Manifest(
        name="made",
        kind="encoder",
        license="MIT",
        source=Source("somewhere/made", "1"),
        files={
            "model": describe_file(encoder_folder / "model.onnx"),
            "tokenizer": describe_file(encoder_folder / "tokenizer.json"),
        },
        quantization={"model": "int8"},
        encoder=EncoderSettings(dimensions=2, max_tokens=8, prefix="query: ", pooling="cls"),
        golden_vectors=(GoldenVector("a red coat", (0.6, 0.8)),),
        golden_captions=(GoldenCaption("photo.png", "a red coat"),),
        verification={"cosine": {"worst": 0.97}},
    )


def test_what_is_written_is_what_is_read(made: Manifest, encoder_folder: Path) -> None:
    made.write(encoder_folder)
    assert read_manifest(encoder_folder) == made
    check_files(encoder_folder, made)


def test_settings_that_came_later_are_written_only_where_they_are_set(made: Manifest, encoder_folder: Path) -> None:
    """So that an earlier version, which does not know them, reads what does not need them."""
    path = made.write(encoder_folder)
    assert "output" not in json.loads(path.read_text())["encoder"]
    assert made.encoder is not None
    lvlm = LvlmSettings(512, image_max_tokens=256)
    set_now = replace(made, encoder=replace(made.encoder, output="sentence_embedding"), lvlm=lvlm)
    written = json.loads(set_now.write(encoder_folder).read_text())
    assert written["encoder"]["output"] == "sentence_embedding"
    assert "image_min_tokens" not in written["lvlm"]
    assert read_manifest(encoder_folder) == set_now


def test_a_flipped_byte_a_longer_and_a_missing_file_are_noticed(made: Manifest, encoder_folder: Path) -> None:
    path = encoder_folder / "model.onnx"
    whole = path.read_bytes()
    for content in (whole[:-1] + bytes([whole[-1] ^ 1]), whole + b"\0", whole[:-1], b""):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"model.onnx is damaged"):
            check_files(encoder_folder, made)
    path.unlink()
    with pytest.raises(ModelError, match=r"model.onnx is missing"):
        check_files(encoder_folder, made)


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname"])
def test_a_file_outside_the_folder_is_refused(made: Manifest, encoder_folder: Path, name: str) -> None:
    outside = replace(made, files={"model": replace(made.files["model"], name=name)})
    with pytest.raises(ModelError, match="outside its folder"):
        check_files(encoder_folder, outside)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('"format": 1', '"format": 2', "upgrade"),
        ('"license"', '"licence"', "license"),
        ('"size"', '"weight"', "weight"),
        ('"files"', '"files": 3, "old"', "lacks or misuses"),
        ("{", "[", "cannot be read"),
    ],
)
def test_a_manifest_that_does_not_fit_is_a_sentence(
    made: Manifest, encoder_folder: Path, before: str, after: str, message: str
) -> None:
    path = made.write(encoder_folder)
    path.write_text(path.read_text(encoding="utf-8").replace(before, after, 1), encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        read_manifest(encoder_folder)


def test_a_folder_without_a_manifest_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is it a model folder"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "wrong", [{"image_max_tokens": "64"}, {"max_tokens": [1]}, {"image_min_tokens": -1}, {"max_side": True}]
)
def test_numbers_of_a_wrong_kind_are_named(wrong: dict[str, object]) -> None:
    content = {"format": 1, "name": "m", "kind": "lvlm", "license": "", "source": {"repository": "m", "revision": "1"}}
    lvlm = {"context_length": 512, **wrong}
    with pytest.raises(ModelError, match=rf"lvlm\.{next(iter(wrong))}"):
        parse_manifest({**content, "files": {}, "quantization": {}, "lvlm": lvlm}, "manifest.json")


def test_a_lower_bound_above_the_upper_one_is_refused() -> None:
    content = {"format": 1, "name": "m", "kind": "lvlm", "license": "", "source": {"repository": "m", "revision": "1"}}
    lvlm = {"context_length": 512, "image_min_tokens": 8, "image_max_tokens": 4}
    with pytest.raises(ModelError, match="image_min_tokens"):
        parse_manifest({**content, "files": {}, "quantization": {}, "lvlm": lvlm}, "manifest.json")
