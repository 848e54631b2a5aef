"""Second lesson: the text model learns to say what the tower sees, as a sentence or as JSON, in llama.cpp's own sequence."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from descent import Descent, rate_at
from journal import Journal, load_state, save_state
from photos import IMAGE_SIZE, Views, as_input
from precision import ATTENTION, half_precision
from tokens import IMAGE_TOKENS, ChatTokens, make_tokenizer, read_tokenizer, write_preprocessor
from torch.nn import functional
from tower import UNKNOWN, Lessons, Tower, vision_config
from transformers import LlamaTokenizer, SmolVLMConfig, SmolVLMForConditionalGeneration
from words import JSON_PROMPT, SENTENCE_PROMPT, Words, audience_word, colour_word, kind_word, pattern_word
from world import World, shuffled_rows

BATCH = 64
_SORTED_BATCHES = 16  # so many batches are sorted by length together, so that little is padding
_PEAK_RATE, _LAST_RATE, _WARM_UP = 2e-3, 2e-5, 200
_BETAS = (0.9, 0.95)
# The first sentence names kind, colour, pattern and audience; a mistake there costs more than one in the details.
_HEAD_WEIGHT = 2.0
_JSON_SHARE = 0.3
_SAVE_EVERY, _CHECK_EVERY, _CHECKED = 200, 400, 512


@dataclass(frozen=True)
class _Example:
    """A whole sequence; the answer begins at ``answer`` and its first sentence ends at ``head``."""

    tokens: list[int]
    answer: int
    head: int


class Speaker:
    """A SmolVLM whose vision tower is the one that learned to see; runs as fast as the sequence allows."""

    def __init__(self, lessons: Lessons, tokenizer: LlamaTokenizer) -> None:
        self.tokenizer = tokenizer
        self.chat = ChatTokens.of(tokenizer)
        self.model = SmolVLMForConditionalGeneration(_config(self.chat))
        self.model.set_attn_implementation(ATTENTION)
        self.tower = Tower()
        self.tower.vision = self.model.model.vision_model
        self.tower.vision.load_state_dict(lessons.tower.vision.state_dict())

    def logits(self, pixels: torch.Tensor, tokens: torch.Tensor, from_: int) -> torch.Tensor:
        """Return the logits [n, length - from_, vocabulary] after each token from ``from_`` on.

        Args:
            pixels: [n, 3, 128, 128], -1 to 1.
            tokens: [n, length], the image tokens in their two places.
            from_: Where the logits begin.
        """
        inner = self.model.model
        with torch.no_grad():  # the tower stays as it learned to see
            seen = self.tower(pixels)
        photo = inner.connector(seen)
        states = inner.text_model.embed_tokens(tokens)
        first = len(self.chat.before)
        second = first + IMAGE_TOKENS + len(self.chat.between)
        between = states[:, first + IMAGE_TOKENS : second]
        states = torch.cat([states[:, :first], photo, between, photo, states[:, second + IMAGE_TOKENS :]], 1)
        # Padding stands at the end, where a causal model does not see it; no mask is needed.
        return self.model.lm_head(inner.text_model(inputs_embeds=states, use_cache=False).last_hidden_state[:, from_:])

    def save(self, folder: Path) -> None:
        """Write a checkpoint in Hugging Face layout, as the export script takes it."""
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        write_preprocessor(folder, IMAGE_SIZE)
        # The names by which llama.cpp's converter knows the two halves; transformers writes no name for the text half.
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config["text_config"]["architectures"] = ["VLlama3ForCausalLM"]
        (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def learn_to_speak(world: World, lessons: Lessons, folder: Path, *, epochs: float, seed: int, device: str) -> Speaker:
    """Train the text model, going on from ``folder/speaking.pt`` if it is there and of the same tower.

    Args:
        world: What it learns from.
        lessons: The tower that learned to see.
        folder: For the vocabulary, the checkpoint and the journal.
        epochs: Passes over the training rows.
        seed: Of the initial weights, the order and the views.
        device: ``cpu`` or ``cuda``.
    """
    torch.manual_seed(seed)
    vocabulary = folder / "vocabulary"
    if (vocabulary / "tokenizer.model").is_file():
        tokenizer = read_tokenizer(vocabulary)
    else:
        answers = [answer for words in world.words for answer in (words.sentence(), words.json())]
        tokenizer = make_tokenizer([*answers, *([SENTENCE_PROMPT, JSON_PROMPT, "User: Assistant:"] * 100)], vocabulary)
    speaker = Speaker(lessons, tokenizer)
    speaker.model.to(device)
    examples = _examples(words_seen(world, lessons, device), speaker)
    descent = _descent(speaker)
    path, done, tower = folder / "speaking.pt", 0, _fingerprint(lessons)
    if path.is_file():
        saved = load_state(path)
        if saved.get("tower") == tower:
            speaker.model.load_state_dict(saved["model"])
            descent.load(saved["optimizers"])
            done = saved["step"]
        else:
            print("The tower has learned more since it was taught to speak; speaking begins anew.", flush=True)
    each = max(len(world.train) // BATCH, 1)
    steps = round(epochs * each)
    journal = Journal(folder / "speaking.csv", done)
    started = time.monotonic()
    order: list[np.ndarray] = []
    for step in range(done, steps):
        if not order or step % each == 0:
            order = _batches(world, examples, step // each, seed)
        chosen, as_json = order[step % each], bool(np.random.default_rng((seed, step)).random() < _JSON_SHARE)
        views = Views(torch.Generator().manual_seed(seed * 2_000_003 + step))
        loss = _loss(speaker, views(world.photos_at(chosen)).to(device), [examples[as_json][row] for row in chosen])
        descent.take(loss, rate_at(step, steps, _PEAK_RATE, _LAST_RATE, _WARM_UP))
        journal.add(step + 1, **{"json_loss" if as_json else "loss": float(loss.detach())})
        if (step + 1) % 50 == 0:
            pace = (step + 1 - done) * BATCH / (time.monotonic() - started)
            print(
                f"speaking: step {step + 1} of {steps}, loss {journal.mean('loss'):.3f}, {pace:.0f} photos/s",
                flush=True,
            )
        if (step + 1) % _CHECK_EVERY == 0 or step + 1 == steps:
            held_out = held_out_loss(world, speaker, examples[False], device)
            journal.add(step + 1, held_out_loss=held_out)
            print(f"  held out: loss {held_out:.3f}", flush=True)
        if (step + 1) % _SAVE_EVERY == 0 or step + 1 == steps:
            journal.save()
            save_state(
                path, model=speaker.model.state_dict(), optimizers=descent.state_dicts(), step=step + 1, tower=tower
            )
    return speaker


@torch.no_grad()
def held_out_loss(world: World, speaker: Speaker, examples: list[_Example], device: str) -> float:
    """Return the mean loss of sentences over some held-out photos."""
    losses = []
    for first in range(0, min(_CHECKED, len(world.held_out)), BATCH):
        rows = world.held_out[first : first + BATCH]
        pixels = as_input(world.photos_at(rows)).to(device)
        losses.append(float(_loss(speaker, pixels, [examples[row] for row in rows])))
    return sum(losses) / len(losses)


def _fingerprint(lessons: Lessons) -> str:
    digest = hashlib.sha256()
    for weight in lessons.state_dict().values():
        digest.update(weight.cpu().numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def words_seen(world: World, lessons: Lessons, device: str) -> list[Words]:
    """Return what to say of each photo: kind, colour, pattern and audience as the tower's heads see them, details as told.

    A shop's own word is often a matter of taste, and no small model learns to say from photos what they do not show. What
    the heads see is all there in what the text model reads, so that it says as much in a few passes. Rows held out keep the
    shop's words.
    """
    words = list(world.words)
    say = {"type": kind_word, "colour": colour_word, "appearance": pattern_word, "audience": audience_word}
    fields = {"type": "kind", "colour": "colour", "appearance": "pattern", "audience": "audience"}
    for first in range(0, len(world.train), 2 * BATCH):
        rows = world.train[first : first + 2 * BATCH]
        logits = lessons(as_input(world.photos_at(rows)).to(device))
        for head, field in fields.items():
            for row, number in zip(rows, logits[head].argmax(1).tolist(), strict=True):
                if world.labels[head][row] != UNKNOWN:
                    words[row] = replace(words[row], **{field: say[head](world.classes[head][number])})
    return words


def _examples(all_words: list[Words], speaker: Speaker) -> dict[bool, list[_Example]]:
    """Return the sequence of every row, as a sentence and as JSON."""
    chat, made = speaker.chat, {}
    for as_json in (False, True):
        prompt = chat.prompt(as_json=as_json)
        answers = [words.json() if as_json else words.sentence() for words in all_words]
        ids = speaker.tokenizer(answers, add_special_tokens=False)["input_ids"]
        heads = [answer if as_json else answer.partition(". ")[0] for answer in answers]
        head_ids = speaker.tokenizer(heads, add_special_tokens=False)["input_ids"]
        made[as_json] = [
            _Example([*prompt, *answer, chat.end], len(prompt), len(prompt) + len(head))
            for answer, head in zip(ids, head_ids, strict=True)
        ]
    return made


def _batches(world: World, examples: dict[bool, list[_Example]], epoch: int, seed: int) -> list[np.ndarray]:
    """Return the batches of one epoch: rows of like length together, in random order."""
    rows = shuffled_rows(world.train, epoch, seed)
    batches: list[np.ndarray] = []
    span = BATCH * _SORTED_BATCHES
    for first in range(0, len(rows), span):
        some = rows[first : first + span]
        lengths = np.array([len(examples[False][row].tokens) for row in some])
        some = some[np.argsort(lengths, kind="stable")]
        batches += [some[at : at + BATCH] for at in range(0, max(len(some) - BATCH, 0) + 1, BATCH)]
    np.random.default_rng((seed, epoch)).shuffle(batches)  # type: ignore[arg-type]
    return batches


def _loss(speaker: Speaker, pixels: torch.Tensor, examples: list[_Example]) -> torch.Tensor:
    longest, answer = max(len(example.tokens) for example in examples), examples[0].answer
    tokens = torch.full((len(examples), longest), speaker.tokenizer.pad_token_id)
    weights = torch.zeros(len(examples), longest)
    for at, example in enumerate(examples):
        tokens[at, : len(example.tokens)] = torch.tensor(example.tokens)
        weights[at, answer : len(example.tokens)] = 1.0
        weights[at, answer : example.head] = _HEAD_WEIGHT
    tokens, weights = tokens.to(pixels.device), weights[:, answer:].to(pixels.device)
    with half_precision(pixels.device.type):
        logits = speaker.logits(pixels, tokens[:, :-1], answer - 1).float()
    # Token by token: over a transposed view it takes twice as long.
    each = functional.cross_entropy(logits.flatten(0, 1), tokens[:, answer:].flatten(), reduction="none")
    return (each * weights.flatten()).sum() / weights.sum()


def _config(chat: ChatTokens) -> SmolVLMConfig:
    return SmolVLMConfig(
        image_token_id=chat.image,
        pad_token_id=3,
        scale_factor=2,
        tie_word_embeddings=True,
        text_config={
            "model_type": "llama",
            "vocab_size": chat.rows,
            "hidden_size": 256,
            "intermediate_size": 704,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 64,
            "max_position_embeddings": 1024,
            "rope_theta": 10000.0,
            "rms_norm_eps": 1e-5,
            "bos_token_id": 1,
            "eos_token_id": chat.end,
            "pad_token_id": 3,
            "tie_word_embeddings": True,
        },
        vision_config=vision_config().to_dict(),
    )


def _descent(speaker: Speaker) -> Descent:
    """Return what moves the text model and the connector; the tower stays as it is."""
    inner = speaker.model.model
    return Descent([*inner.connector.named_parameters(), *inner.text_model.named_parameters()], _BETAS)
