"""Where a graph gives token vectors, the runtime pools them over the true tokens and scales them to length one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from made_encoder import TABLE, WORDS, graph_bytes, tokenizer_text, write_encoder

from vlm4rec_edge import OnnxEncoder, resolve_encoder
from vlm4rec_edge.errors import ModelError
from vlm4rec_edge.models.manifest import EncoderSettings, Manifest, Source, describe_file

TEXTS = ["red", "red blue coat jeans", "jeans jeans", "nobody knows this", ""]


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _tokens(text: str) -> list[str]:
    return ["[CLS]", *(word if word in WORDS else "[UNK]" for word in text.split())]


def _vectors_of(text: str) -> np.ndarray:
    return TABLE[[WORDS.index(token) for token in _tokens(text)]]


def test_mean_pooling_counts_every_token_once_and_padding_never(tmp_path: Path) -> None:
    with OnnxEncoder(resolve_encoder(write_encoder(tmp_path / "e", "mean"))) as encoder:
        found = encoder.encode(TEXTS)
    assert encoder.dimensions == 3
    for text, vector in zip(TEXTS, found, strict=True):
        np.testing.assert_allclose(vector, _unit(_vectors_of(text).mean(axis=0)), atol=1e-6)


def test_cls_pooling_takes_the_first_token_alone(tmp_path: Path) -> None:
    with OnnxEncoder(resolve_encoder(write_encoder(tmp_path / "e", "cls"))) as encoder:
        found = encoder.encode(TEXTS)
    np.testing.assert_allclose(found, np.tile(_unit(TABLE[WORDS.index("[CLS]")]), (len(TEXTS), 1)), atol=1e-6)


def test_last_pooling_takes_the_last_token_of_each_text_not_of_the_batch(tmp_path: Path) -> None:
    with OnnxEncoder(resolve_encoder(write_encoder(tmp_path / "e", "last"))) as encoder:
        found = encoder.encode(TEXTS)
    for text, vector in zip(TEXTS, found, strict=True):
        np.testing.assert_allclose(vector, _unit(_vectors_of(text)[-1]), atol=1e-6)


def test_a_text_without_any_token_has_no_last_one_and_is_refused(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "e", "last")
    tokenizer = json.loads(tokenizer_text()) | {"post_processor": None}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    with OnnxEncoder(resolve_encoder(folder)) as encoder, pytest.raises(ModelError, match="not finite or zero"):
        encoder.encode(["red", ""])


def test_a_text_beyond_the_longest_is_cut_there(tmp_path: Path) -> None:
    with OnnxEncoder(resolve_encoder(write_encoder(tmp_path / "e", "mean", max_tokens=3))) as encoder:
        found = encoder.encode(["red blue coat jeans", "red blue"])
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    np.testing.assert_allclose(found[0], _unit(_vectors_of("red blue").mean(axis=0)), atol=1e-6)


def test_two_poolings_of_one_graph_never_share_a_fingerprint(tmp_path: Path) -> None:
    prints = set()
    for pooling, longest in (("mean", 16), ("cls", 16), ("mean", 8)):
        files = resolve_encoder(write_encoder(tmp_path / f"{pooling}{longest}", pooling, max_tokens=longest))
        with OnnxEncoder(files) as encoder:
            prints.add(encoder.fingerprint)
    assert len(prints) == 3


def test_the_name_of_a_folder_is_no_part_of_the_fingerprint(tmp_path: Path) -> None:
    prints = set()
    for name in ("one", "two"):
        with OnnxEncoder(resolve_encoder(write_encoder(tmp_path / name, "mean"))) as encoder:
            prints.add(encoder.fingerprint)
    assert len(prints) == 1


def test_a_graph_of_another_trade_is_refused_with_what_it_takes(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "e", "mean")
    (folder / "model.onnx").write_bytes(graph_bytes(inputs=("pixels", "attention_mask")))
    with pytest.raises(ModelError, match="takes attention_mask, pixels; a text encoder takes input_ids"):
        OnnxEncoder(resolve_encoder(folder))


def test_a_graph_that_asks_for_places_is_told_them(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "e", "last")
    (folder / "model.onnx").write_bytes(graph_bytes(inputs=("position_ids", "input_ids", "attention_mask")))
    with OnnxEncoder(resolve_encoder(folder)) as encoder:
        found = encoder.encode(TEXTS)
    for text, vector in zip(TEXTS, found, strict=True):
        np.testing.assert_allclose(vector, _unit(TABLE[len(_tokens(text)) - 1]), atol=1e-6)


def test_a_graph_that_asks_for_more_than_a_text_has_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "e", "last")
    (folder / "model.onnx").write_bytes(graph_bytes(inputs=("input_ids", "attention_mask", "past_key_values.0.key")))
    with pytest.raises(ModelError, match=r"takes attention_mask, input_ids, past_key_values\.0\.key; a text encoder"):
        OnnxEncoder(resolve_encoder(folder))


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_vectors_without_a_direction_are_refused_and_never_stored(tmp_path: Path, value: float) -> None:
    folder = write_encoder(tmp_path / "e", "mean")
    (folder / "model.onnx").write_bytes(graph_bytes(np.full_like(TABLE, value)))
    with OnnxEncoder(resolve_encoder(folder)) as encoder, pytest.raises(ModelError, match="not finite or zero"):
        encoder.encode(["red coat"])


def test_a_graph_of_token_vectors_without_a_word_on_pooling_is_refused(tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(graph_bytes())
    (tmp_path / "tokenizer.json").write_text(tokenizer_text(), encoding="utf-8")
    with pytest.raises(ModelError, match=r"1_Pooling/config\.json"):
        OnnxEncoder(resolve_encoder(tmp_path))


def test_one_graph_of_several_is_named_by_its_path_and_pooled_as_its_folder_says(tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    for name in ("model_a.onnx", "model_b.onnx"):
        (tmp_path / "onnx" / name).write_bytes(graph_bytes())
    (tmp_path / "tokenizer.json").write_text(tokenizer_text(), encoding="utf-8")
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}', encoding="utf-8")
    with pytest.raises(ModelError, match="give the path of one of them"):
        resolve_encoder(tmp_path)
    with OnnxEncoder(resolve_encoder(tmp_path / "onnx" / "model_b.onnx")) as encoder:
        np.testing.assert_allclose(encoder.encode(["red"])[0], _unit(TABLE[WORDS.index("[CLS]")]), atol=1e-6)


@pytest.mark.parametrize(
    ("pooling", "read"),
    [
        ({"embedding_dimension": 3, "pooling_mode": "cls", "include_prompt": True}, "cls"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False, "include_prompt": True}, "mean"),
        ({"pooling_mode_mean_tokens": False, "pooling_mode_lasttoken": True, "include_prompt": True}, "last"),
        ({"embedding_dimension": 3, "pooling_mode": "lasttoken"}, "last"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}, None),
        ({"pooling_mode": "weightedmean"}, None),
        ({"pooling_mode_max_tokens": True}, None),
    ],
)
def test_the_pooling_is_read_from_files_of_old_and_new_versions(
    tmp_path: Path, pooling: dict[str, object], read: str | None
) -> None:
    folder = write_encoder(tmp_path / "e", "mean")
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling), encoding="utf-8")
    if read is None:
        with pytest.raises(ModelError, match="other than mean, cls or lasttoken alone"):
            resolve_encoder(folder)
    else:
        assert resolve_encoder(folder).settings.pooling == read


def test_a_layer_after_the_pooling_is_refused_not_left_out(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "e", "mean")
    modules = [{"type": f"sentence_transformers.models.{name}"} for name in ("Transformer", "Pooling", "Dense")]
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    with pytest.raises(ModelError, match="Dense"):
        resolve_encoder(folder)


def test_a_manifest_may_name_an_output_of_the_graph_and_weights_beside_it(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "e", "mean")
    (folder / "model.onnx_data").write_bytes(b"weights")

    def opened(output: str, **files: str) -> OnnxEncoder:
        roles = {"model": "model.onnx", "tokenizer": "tokenizer.json", **files}
        settings = EncoderSettings(dimensions=3, max_tokens=16, pooling="mean", output=output)
        described = {role: describe_file(folder / name) for role, name in roles.items()}
        Manifest("e", "encoder", "MIT", Source("made", "1"), described, {}, encoder=settings).write(folder)
        return OnnxEncoder(resolve_encoder(folder))

    with opened("") as plain, opened("last_hidden_state") as named, opened("", weights="model.onnx_data") as beside:
        np.testing.assert_array_equal(named.encode(TEXTS), plain.encode(TEXTS))
        assert {"output", "weights_sha256"} & set(plain.identity) == set()
        assert len({plain.fingerprint, named.fingerprint, beside.fingerprint}) == 3
    with pytest.raises(ModelError, match=r"has no output sentence_embedding, .*it has last_hidden_state"):
        opened("sentence_embedding")
