"""The sequence that the model learns from is the one that llama.cpp feeds it, and both compute the same from it."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pictures import drawn
from training_code import MISSING

if MISSING:
    pytest.skip(f"training needs {MISSING[0]}: pip install -e '.[cpu,export,train]'", allow_module_level=True)


import torch
from gguf_write import convert
from photos import KEPT, MAX_SIDE, as_input
from speaking import Speaker
from tokens import make_tokenizer
from tower import Lessons
from words import JSON_PROMPT, SENTENCE_PROMPT, Words

from vlm4rec_edge import LlamaCaptioner, resolve_lvlm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vlm4rec_edge.grounding.llama.prepare import PreparedPhoto

_SAID = [
    Words(kind, colour, pattern, who, f"{kind.capitalize()} in cotton with {detail}.")
    for kind in ("dress", "T-shirt", "boots", "bag")
    for colour in ("red", "dark blue", "black")
    for pattern in ("", "striped")
    for who in ("women", "men")
    for detail in ("a round neckline", "a zip at the front")
]


@pytest.fixture(scope="module")
def speaker(tmp_path_factory: pytest.TempPathFactory) -> Speaker:
    torch.manual_seed(1)
    texts = [text for words in _SAID for text in (words.sentence(), words.json())] + [SENTENCE_PROMPT, JSON_PROMPT]
    made = Speaker(Lessons({"kind": 4}).tower, make_tokenizer(texts, tmp_path_factory.mktemp("vocabulary")))
    with torch.no_grad():  # large weights, so that positions and photos decide what it says
        for name, parameter in made.model.named_parameters():
            if parameter.ndim > 1 and "vision" not in name:
                parameter.mul_(4)
    return made.model.eval() and made


@pytest.fixture(scope="module")
def captioner(speaker: Speaker, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("model")
    speaker.save(folder / "checkpoint")
    text, projector = folder / "model-F16.gguf", folder / "mmproj-model-F16.gguf"
    convert(folder / "checkpoint", text, projector)
    files = resolve_lvlm(text, projector=projector)
    settings = {"prompt": SENTENCE_PROMPT, "max_side": MAX_SIDE, "device": "cpu", "threads": 1, "batch": 1}
    # llama.cpp's own vision encoder: the engine is handed photos here that nobody has encoded ahead.
    with LlamaCaptioner(files, vision="mtmd", **settings) as opened:
        opened.load()
        yield opened


def _photos() -> list[np.ndarray]:
    """Return drawn photos in the size that training keeps them in."""
    names = (("dress", "red"), ("t-shirt", "black"), ("sweater", "yellow"), ("boots", "brown"))
    return [np.asarray(drawn(*name).resize(KEPT), np.uint8) for name in names]


def _prepared(captioner: LlamaCaptioner, pixels: np.ndarray, question: str) -> PreparedPhoto:
    from vlm4rec_edge.grounding.llama.prepare import prepare

    native = captioner._natives[0]
    text = captioner._form.render(question, native.mtmd.mtmd_default_marker().decode())
    return prepare(native, "photo", pixels, text)


def _tokens(photo: PreparedPhoto, image: int) -> list[int]:
    """Return the tokens of a prepared photo, ``image`` for every image token."""
    mtmd = photo.native.mtmd
    found: list[int] = []
    for part in photo.parts():
        count = ctypes.c_size_t()
        texts = mtmd.mtmd_input_chunk_get_tokens_text(part, ctypes.byref(count))
        length = mtmd.mtmd_input_chunk_get_n_tokens(part)
        found += [texts[at] for at in range(count.value)] if texts else [image] * length
    return found


@pytest.mark.parametrize("as_json", [False, True])
def test_llama_cpp_feeds_the_tokens_of_the_training(
    captioner: LlamaCaptioner, speaker: Speaker, *, as_json: bool
) -> None:
    photo = _prepared(captioner, _photos()[0], JSON_PROMPT if as_json else SENTENCE_PROMPT)
    try:
        assert _tokens(photo, speaker.chat.image) == speaker.chat.prompt(as_json=as_json)
    finally:
        photo.free()


def test_llama_cpp_says_what_transformers_says(captioner: LlamaCaptioner, speaker: Speaker) -> None:
    prompt = speaker.chat.prompt(as_json=False)
    photos = _photos()
    own, others = [], []
    for pixels, other in zip(photos, photos[1:] + photos[:1], strict=True):
        photo = _prepared(captioner, pixels, SENTENCE_PROMPT)
        answer = next(iter(captioner._engines[0].answer(iter([photo]))))
        assert len(answer.tokens) >= 10
        own.append(_behind(speaker, pixels, prompt, answer.tokens))
        others.append(_behind(speaker, other, prompt, answer.tokens))
    # Where two tokens are all but equally likely, 16-bit weights may choose the other one.
    assert max(own) < 0.15
    # And it is this photo that decides: before another one the same words are unlikely.
    assert min(others) > 3 * max(own)


def _behind(speaker: Speaker, pixels: np.ndarray, prompt: list[int], said: Sequence[int]) -> float:
    """Return how far what was said stays behind transformers' likeliest token at most, in spreads of the logits."""
    whole = torch.tensor([[*prompt, *said]])
    with torch.no_grad():
        logits = speaker.logits(as_input(pixels[None]), whole[:, :-1], len(prompt) - 1)[0]
    chosen = logits.gather(1, torch.tensor(said)[:, None])[:, 0]
    return float(((logits.max(1).values - chosen) / logits.std(1)).max())
