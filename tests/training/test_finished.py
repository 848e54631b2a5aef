"""A finished model is read back from its files, says what it said, and learns more without forgetting."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from training_code import MISSING

if MISSING:
    pytest.skip(f"training needs {MISSING[0]}: pip install -e '.[cpu,export,train]'", allow_module_level=True)

import finished
import speaking
import torch
from drawings import catalog_of_drawings, draw
from finished import read_vocabulary, read_weights
from photos import KEPT, as_input
from rows import row_of_drawing
from speaking import Speaker
from words import words_of
from world import Pictures

from vlm4rec_edge.errors import ModelError

FINISHED = Path(__file__).parents[2] / "models" / "training" / "stylist-lvlm-f16"
QUANTIZED = Path(__file__).parents[2] / "models" / "stylist-lvlm"


@pytest.fixture(scope="module")
def speaker(tmp_path_factory: pytest.TempPathFactory) -> Speaker:
    torch.set_num_threads(1)
    return Speaker.of_finished(FINISHED, tmp_path_factory.mktemp("finished") / "vocabulary")


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    """Twelve drawings, of which all but the last four are said to be known."""
    drawings = catalog_of_drawings(1, seed=8)[:12]
    photos = np.stack([np.asarray(draw(drawing, KEPT)) for drawing in drawings])
    words = [words_of(row_of_drawing(drawing)) for drawing in drawings]
    return Pictures((photos,), words, np.arange(12), np.arange(2), np.arange(12) < 8)


def test_it_says_what_it_said_of_drawings(speaker: Speaker, pictures: Pictures) -> None:
    said = speaker.say(as_input(pictures.photos_at(np.arange(12))), 20)
    expected = [words.sentence().partition(". ")[0].rstrip(".") for words in pictures.words]
    assert sum(one == other for one, other in zip(said, expected, strict=True)) >= 11


def test_queries_and_keys_are_put_in_the_order_of_transformers(speaker: Speaker, pictures: Pictures) -> None:
    tokens = torch.tensor([speaker.chat.prompt(as_json=False)])
    right = speaker.logits(as_input(pictures.photos_at(np.arange(1))), tokens, tokens.shape[1] - 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finished, "_unrotated", lambda values, _heads: values)
        wrong = read_weights(FINISHED)
    kept = {name: value.clone() for name, value in speaker.model.model.state_dict().items()}
    speaker.model.model.load_state_dict(wrong)
    other = speaker.logits(as_input(pictures.photos_at(np.arange(1))), tokens, tokens.shape[1] - 1)
    speaker.model.model.load_state_dict(kept)
    assert not torch.allclose(right, other, atol=0.5)


def test_the_vocabulary_says_every_word_of_the_drawings(speaker: Speaker) -> None:
    for drawing in catalog_of_drawings(6, seed=8):
        sentence = words_of(row_of_drawing(drawing)).sentence()
        ids = speaker.tokenizer(sentence, add_special_tokens=False)["input_ids"]
        assert speaker.tokenizer.decode(ids) == sentence
        assert len(ids) < 64  # the longest answer of the model


def test_a_quantized_model_is_refused(tmp_path: Path) -> None:
    if not QUANTIZED.is_dir() or not list(QUANTIZED.glob("*.gguf")):
        pytest.skip("the embedded model is not here")
    with pytest.raises(ModelError, match="quantized"):
        read_weights(QUANTIZED)
    assert read_vocabulary(QUANTIZED, tmp_path / "vocabulary").vocab_size == 4088


def test_it_goes_on_saying_first_what_it_said_of_known_photos(
    speaker: Speaker, pictures: Pictures, tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Speaker, "say", lambda _self, pixels, _most: ["Black T-shirt for men"] * len(pixels))
        patch.setattr(speaking, "vocabulary_of", _with_men)
        words = speaking.words_said(pictures, speaker, tmp_path / "said.json", "cpu")
    assert {(one.kind, one.colour, one.audience) for one in words[:8]} == {("T-shirt", "black", "men")}
    assert [one.details for one in words] == [one.details for one in pictures.words]
    assert words[8:] == pictures.words[8:]


def _with_men(words: list[object]) -> object:
    from words import Vocabulary

    return Vocabulary(("T-shirt",), ("black",), (), ("men",))


@pytest.mark.parametrize("tower", [False, True])
def test_it_learns_more_from_where_it_was(pictures: Pictures, tmp_path: Path, *, tower: bool) -> None:
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speaking, "BATCH", 6)
        learned = speaking.speak_further(pictures, FINISHED, tmp_path, epochs=4, seed=1, device="cpu", tower=tower)
        again = speaking.speak_further(pictures, FINISHED, tmp_path, epochs=4, seed=1, device="cpu", tower=tower)
    before = read_weights(FINISHED)
    after = learned.model.model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in again.model.model.state_dict().items())
    moved = {name for name, value in before.items() if not torch.equal(after[name], value)}
    assert any(name.startswith("text_model") for name in moved)
    assert any(name.startswith("vision_model") for name in moved) == tower
    # Not far: it goes on, and does not begin anew.
    name = "text_model.layers.0.mlp.up_proj.weight"
    assert float((after[name] - before[name]).norm()) < 0.5 * float(before[name].norm())


def test_the_command_tells_that_a_quantized_model_is_none_to_go_on_from(tmp_path: Path) -> None:
    command = [sys.executable, str(FINISHED.parent / "train.py"), str(tmp_path), "--out", str(tmp_path / "out")]
    done = subprocess.run([*command, "--further", str(tmp_path / "none")], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
