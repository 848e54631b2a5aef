"""From a name or a path to checked files, or to one sentence that says what was tried."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_models import ONNX, PROJECTOR_GGUF, TEXT_GGUF, TOKENIZER

from vlm4rec_edge.errors import ModelError, UsageError
from vlm4rec_edge.models.installed import installed
from vlm4rec_edge.models.manifest import (
    EncoderSettings,
    LvlmSettings,
    Manifest,
    Source,
    describe_file,
)
from vlm4rec_edge.models.resolve import OWN_CONTEXT, OWN_MAX_TOKENS, resolve_encoder, resolve_lvlm


@pytest.fixture(autouse=True)
def _empty_home(home: Path) -> None:
    """No test sees the models that the developer has pulled."""


def _write_manifest(folder: Path, **changes: object) -> None:
    lvlm = (folder / "made.gguf").is_file()
    files = (
        {"text": "made.gguf", "projector": "mmproj-made.gguf"}
        if lvlm
        else {"model": "model.onnx", "tokenizer": "tokenizer.json"}
    )
    content: dict[str, object] = {
        "name": "made",
        "kind": "lvlm" if lvlm else "encoder",
        "license": "MIT",
        "source": Source("made", "1"),
        "files": {role: describe_file(folder / name) for role, name in files.items()},
        "quantization": {},
        "lvlm": LvlmSettings(context_length=512, prompt="What is it?") if lvlm else None,
        "encoder": None if lvlm else EncoderSettings(dimensions=8, max_tokens=16, prefix="query: "),
        **changes,
    }
    Manifest(**content).write(folder)  # type: ignore[arg-type]


def test_the_embedded_models_are_the_defaults_and_whole() -> None:
    lvlm, encoder = resolve_lvlm(), resolve_encoder()
    assert (lvlm.name, encoder.name) == ("stylist-lvlm", "all-minilm-l6-v2")
    assert lvlm.folder == installed()["stylist-lvlm"]
    assert encoder.settings.dimensions == 384
    assert encoder.settings.pooling == "in-graph"


def test_a_name_is_found_whatever_its_case() -> None:
    assert resolve_lvlm("Stylist-LVLM").folder == resolve_lvlm().folder


def test_a_known_model_that_is_not_here_says_how_to_pull_it() -> None:
    with pytest.raises(ModelError, match=r"run: vlm4rec-edge models pull smolvlm-256m-instruct$"):
        resolve_lvlm("SmolVLM-256M-Instruct")
    with pytest.raises(ModelError, match=r"run: vlm4rec-edge models pull bge-small-en-v1.5$"):
        resolve_encoder("bge-small-en-v1.5")


def test_an_unknown_name_lists_what_was_tried_and_what_is_like_it(home: Path) -> None:
    with pytest.raises(ModelError) as caught:
        resolve_lvlm("smolvlm-265m")
    message = str(caught.value)
    for part in (
        "registry",
        str(home),
        str(Path("smolvlm-265m").absolute()),
        "smolvlm-256m-instruct",
        ".gguf",
    ):
        assert part in message


def test_a_model_of_the_other_kind_is_named_as_such(pair: Path, encoder_folder: Path) -> None:
    with pytest.raises(ModelError, match="all-minilm-l6-v2 is a text encoder"):
        resolve_lvlm("all-minilm-l6-v2")
    with pytest.raises(ModelError, match="stylist-lvlm is a vision-language model"):
        resolve_encoder("stylist-lvlm")
    _write_manifest(pair)
    _write_manifest(encoder_folder)
    with pytest.raises(ModelError, match="holds a vision-language model"):
        resolve_encoder(str(pair))
    with pytest.raises(ModelError, match="holds a text encoder"):
        resolve_lvlm(str(encoder_folder))


def test_a_model_beside_the_pulled_ones_is_found_by_its_name(home: Path, pair: Path) -> None:
    _write_manifest(pair)
    home.mkdir(parents=True)
    pair.rename(home / "my-own")
    assert resolve_lvlm("my-own").settings.prompt == "What is it?"


def test_a_folder_with_a_manifest_has_its_settings(pair: Path, encoder_folder: Path) -> None:
    _write_manifest(pair)
    _write_manifest(encoder_folder)
    assert resolve_lvlm(str(pair)).settings == LvlmSettings(context_length=512, prompt="What is it?")
    assert resolve_encoder(encoder_folder).settings.prefix == "query: "


@pytest.mark.parametrize("name", ["made.gguf", "mmproj-made.gguf"])
def test_one_changed_byte_under_a_manifest_is_refused(pair: Path, name: str) -> None:
    _write_manifest(pair)
    content = bytearray((pair / name).read_bytes())
    content[-1] ^= 1
    (pair / name).write_bytes(bytes(content))
    with pytest.raises(ModelError, match=f"{name} is damaged"):
        resolve_lvlm(str(pair))


def test_a_manifest_cannot_point_out_of_its_folder(encoder_folder: Path) -> None:
    (encoder_folder.parent / "secret").write_bytes(b"secret")
    _write_manifest(encoder_folder)
    path = encoder_folder / "manifest.json"
    path.write_text(path.read_text().replace('"model.onnx"', '"../secret"'))
    with pytest.raises(ModelError, match="outside its folder"):
        resolve_encoder(str(encoder_folder))


def test_a_bare_pair_is_accepted_in_every_way_of_naming_it(pair: Path) -> None:
    text, projector = pair / "made.gguf", pair / "mmproj-made.gguf"
    elsewhere = pair.parent / "projector.gguf"
    elsewhere.write_bytes(PROJECTOR_GGUF)
    for found, expected in (
        (resolve_lvlm(str(pair)), projector),
        (resolve_lvlm(text), projector),
        (resolve_lvlm(str(text), projector=elsewhere), elsewhere),
    ):
        assert (found.text, found.projector, found.manifest) == (text, expected, None)
        assert found.settings == LvlmSettings(context_length=2048)  # the file was trained for no more
    assert OWN_CONTEXT > 2048


def test_a_projector_is_known_by_its_header_whatever_it_is_called(pair: Path) -> None:
    (pair / "mmproj-made.gguf").rename(pair / "a-tower.gguf")
    for given in (pair, pair / "made.gguf"):
        found = resolve_lvlm(given)
        assert (found.text.name, found.projector.name) == ("made.gguf", "a-tower.gguf")
    (pair / "made.gguf").rename(pair / "mmproj-text.gguf")
    assert resolve_lvlm(pair).text.name == "mmproj-text.gguf"


def test_a_swapped_pair_says_so(pair: Path) -> None:
    with pytest.raises(ModelError, match="is a projector"):
        resolve_lvlm(str(pair / "mmproj-made.gguf"))
    with pytest.raises(ModelError, match="swapped"):
        resolve_lvlm(str(pair / "mmproj-made.gguf"), projector=pair / "made.gguf")
    with pytest.raises(ModelError, match="swapped"):
        resolve_lvlm(str(pair / "made.gguf"), projector=pair / "made.gguf")


def test_an_ambiguous_folder_names_what_it_found(pair: Path) -> None:
    (pair / "second.gguf").write_bytes(TEXT_GGUF)
    with pytest.raises(ModelError, match=r"found: made.gguf, second.gguf, mmproj-made.gguf \(a projector\)"):
        resolve_lvlm(str(pair))
    assert resolve_lvlm(str(pair / "second.gguf")).name == "second"
    (pair / "mmproj-made.gguf").unlink()
    with pytest.raises(ModelError, match="needs its projector"):
        resolve_lvlm(str(pair / "second.gguf"))


def test_a_projector_beside_a_folder_is_a_usage_error(pair: Path) -> None:
    with pytest.raises(UsageError, match=r"belongs to a text .gguf file"):
        resolve_lvlm(str(pair), projector=pair / "mmproj-made.gguf")


def test_an_encoder_folder_of_ones_own_pools_in_the_graph(encoder_folder: Path) -> None:
    found = resolve_encoder(str(encoder_folder))
    assert found.settings == EncoderSettings(dimensions=0, max_tokens=OWN_MAX_TOKENS)
    assert (found.model, found.tokenizer) == (
        encoder_folder / "model.onnx",
        encoder_folder / "tokenizer.json",
    )
    assert resolve_encoder(str(encoder_folder / "model.onnx")).tokenizer == found.tokenizer


@pytest.mark.parametrize(("flag", "pooling"), [("pooling_mode_cls_token", "cls"), ("pooling_mode_mean_tokens", "mean")])
def test_a_sentence_transformers_folder_has_its_own_pooling_and_length(
    encoder_folder: Path, flag: str, pooling: str
) -> None:
    (encoder_folder / "onnx").mkdir()
    (encoder_folder / "model.onnx").rename(encoder_folder / "onnx" / "model.onnx")
    (encoder_folder / "onnx" / "model_quantized.onnx").write_bytes(ONNX)
    (encoder_folder / "1_Pooling").mkdir()
    (encoder_folder / "1_Pooling" / "config.json").write_text(json.dumps({flag: True}))
    (encoder_folder / "sentence_bert_config.json").write_text('{"max_seq_length": 512}')
    found = resolve_encoder(str(encoder_folder))
    assert found.model == encoder_folder / "onnx" / "model.onnx"
    assert (found.settings.pooling, found.settings.max_tokens) == (pooling, 512)


def test_a_pooling_that_cannot_be_done_is_refused(encoder_folder: Path) -> None:
    (encoder_folder / "1_Pooling").mkdir()
    (encoder_folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_max_tokens": true}')
    with pytest.raises(ModelError, match="other than mean, cls or lasttoken alone"):
        resolve_encoder(str(encoder_folder))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.onnx", b"", "is empty"),
        ("model.onnx", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("model.onnx", b"GGUF and more", "is not an ONNX file"),
        ("tokenizer.json", TOKENIZER[:-3], "not a readable tokenizer"),
        ("tokenizer.json", b"\xff\xfe", "not a readable tokenizer"),
    ],
)
def test_a_damaged_encoder_is_refused(encoder_folder: Path, name: str, content: bytes, message: str) -> None:
    (encoder_folder / name).write_bytes(content)
    with pytest.raises(ModelError, match=message):
        resolve_encoder(str(encoder_folder))


def test_an_encoder_without_its_tokenizer_or_graph_says_which(encoder_folder: Path, tmp_path: Path) -> None:
    (encoder_folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"has no tokenizer.json"):
        resolve_encoder(str(encoder_folder))
    with pytest.raises(ModelError, match=r"no .onnx file"):
        resolve_encoder(str(tmp_path))


@pytest.mark.parametrize("name", ["", ".", "..", "/", "a\nb", "x" * 300, "nul\0byte", "~nobody-here/x"])
def test_odd_names_are_sentences(name: str) -> None:
    for resolve in (resolve_lvlm, resolve_encoder):
        with pytest.raises(ModelError):
            resolve(name)
