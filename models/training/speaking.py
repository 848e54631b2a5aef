"""Second lesson: the text model learns to say what the tower sees, as a sentence or as JSON, in llama.cpp's own sequence."""

from __future__ import annotations

import copy
import hashlib
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from descent import Descent, rate_at
from finished import read_vocabulary, read_weights
from journal import Journal, load_state, save_state
from photos import IMAGE_SIZE, Views, as_input
from precision import ATTENTION, half_precision
from tokens import IMAGE_TOKENS, ChatTokens, make_tokenizer, read_tokenizer, write_preprocessor
from torch.nn import functional
from tower import UNKNOWN, Lessons, Tower, vision_config
from transformers import LlamaTokenizer, SmolVLMConfig, SmolVLMForConditionalGeneration
from words import (
    JSON_PROMPT,
    SENTENCE_PROMPT,
    Words,
    audience_word,
    colour_word,
    kind_word,
    pattern_word,
    vocabulary_of,
)
from world import Pictures, World, shuffled_rows

BATCH = 64
_SORTED_BATCHES = 16  # so many batches are sorted by length together, so that little is padding
_BETAS = (0.9, 0.95)
# The first sentence names kind, colour, pattern and audience; a mistake there costs more than one in the details.
_HEAD_WEIGHT = 2.0
_JSON_SHARE = 0.3
_SAVE_EVERY, _CHECK_EVERY, _CHECKED = 200, 400, 512
_ANCHOR_WEIGHT = 5.0
_FIRST_SENTENCE = 20  # tokens that it has at most


@dataclass(frozen=True)
class Pace:
    """How fast weights move: the rate at its peak and at the end, steps until the peak, and the tower's share of it."""

    peak: float
    last: float
    warm_up: int
    tower: float = 0.0


_FROM_NOTHING = Pace(2e-3, 2e-5, 200)
# A model that speaks already learns more at a lower rate, its tower at a tenth of that.
_FURTHER = Pace(6e-4, 1e-5, 100, tower=0.1)


@dataclass(frozen=True)
class _Example:
    """A whole sequence; the answer begins at ``answer`` and its first sentence ends at ``head``."""

    tokens: list[int]
    answer: int
    head: int


class Speaker:
    """A SmolVLM whose vision tower is the one that learned to see; runs as fast as the sequence allows.

    ``tower_learns`` is whether gradients reach the tower.
    """

    tower_learns = False

    def __init__(self, tower: Tower, tokenizer: LlamaTokenizer) -> None:
        self.tokenizer = tokenizer
        self.chat = ChatTokens.of(tokenizer)
        self.model = SmolVLMForConditionalGeneration(_config(self.chat))
        self.model.set_attn_implementation(ATTENTION)
        self.tower = Tower()
        self.tower.vision = self.model.model.vision_model
        self.tower.vision.load_state_dict(tower.vision.state_dict())

    @classmethod
    def of_finished(cls, model: Path, vocabulary: Path) -> Speaker:
        """Return the speaker of a finished model's folder (F16), its vocabulary written to ``vocabulary``.

        Raises:
            ModelError: it is quantized, or no model of this training.
        """
        speaker = cls(Tower(), read_vocabulary(model, vocabulary))
        speaker.model.model.load_state_dict(read_weights(model))
        return speaker

    def logits(self, pixels: torch.Tensor, tokens: torch.Tensor, from_: int) -> torch.Tensor:
        """Return the logits [n, length - from_, vocabulary] after each token from ``from_`` on.

        Args:
            pixels: [n, 3, 128, 128], -1 to 1.
            tokens: [n, length], the image tokens in their two places.
            from_: Where the logits begin.
        """
        with torch.set_grad_enabled(self.tower_learns and torch.is_grad_enabled()):
            seen = self.tower(pixels)
        return self.logits_of(seen, tokens, from_)

    def logits_of(self, seen: torch.Tensor, tokens: torch.Tensor, from_: int) -> torch.Tensor:
        """Return what ``logits`` does, of what the tower sees [n, 64, 192]."""
        states = self.read(seen, tokens)
        # Padding stands at the end, where a causal model does not see it; no mask is needed.
        inner = self.model.model
        return self.model.lm_head(inner.text_model(inputs_embeds=states, use_cache=False).last_hidden_state[:, from_:])

    def read(self, seen: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Return the text model's input [n, length, 256], of what the tower sees and of tokens."""
        inner = self.model.model
        photo = inner.connector(seen)
        states = inner.text_model.embed_tokens(tokens)
        first = len(self.chat.before)
        second = first + IMAGE_TOKENS + len(self.chat.between)
        between = states[:, first + IMAGE_TOKENS : second]
        return torch.cat([states[:, :first], photo, between, photo, states[:, second + IMAGE_TOKENS :]], 1)

    @torch.no_grad()
    def say(self, pixels: torch.Tensor, most: int) -> list[str]:
        """Return the likeliest first sentence about each photo [n, 3, 128, 128], of ``most`` tokens at most."""
        inner, prompt = self.model.model, torch.tensor(self.chat.prompt(as_json=False), device=pixels.device)
        given = self.read(self.tower(pixels), prompt.expand(len(pixels), -1))
        past, said = None, list[torch.Tensor]()
        stops = torch.tensor([self.chat.end, *self.tokenizer("shirt.", add_special_tokens=False)["input_ids"][-1:]])
        ended = torch.zeros(len(pixels), dtype=torch.bool)
        while len(said) < most and not bool(ended.all()):
            read = inner.text_model(inputs_embeds=given, past_key_values=past, use_cache=True)
            past, token = read.past_key_values, self.model.lm_head(read.last_hidden_state[:, -1:]).argmax(2)
            said.append(token)
            ended |= torch.isin(token[:, 0].cpu(), stops)
            given = inner.text_model.embed_tokens(token)
        texts = self.tokenizer.batch_decode(torch.cat(said, 1), skip_special_tokens=True)
        return [text.partition("<")[0].partition(". ")[0].rstrip(".").strip() for text in texts]

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
    """Train a text model from nothing, going on from ``folder/speaking.pt`` if it is there and of the same tower.

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
    speaker = Speaker(lessons.tower, tokenizer)
    speaker.model.to(device)
    examples = _examples(words_seen(world, lessons, device), speaker)
    return _practise(world, speaker, examples, folder, _FROM_NOTHING, epochs=epochs, seed=seed, device=device)


def _practise(
    world: Pictures,
    speaker: Speaker,
    examples: dict[bool, list[_Example]],
    folder: Path,
    pace: Pace,
    *,
    epochs: float,
    seed: int,
    device: str,
) -> Speaker:
    """Train a speaker on examples, going on from ``folder/speaking.pt`` if it is there and of the same tower."""
    descent, anchor = _descent(speaker, pace), _Anchor(speaker.tower) if pace.tower else None
    speaker.tower_learns = pace.tower > 0
    path, done, tower = folder / "speaking.pt", 0, _fingerprint(speaker.tower)
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
        pixels = views(world.photos_at(chosen)).to(device)
        with half_precision(pixels.device.type), torch.set_grad_enabled(speaker.tower_learns):
            seen = speaker.tower(pixels)
        loss = _loss(speaker, seen, [examples[as_json][row] for row in chosen])
        journal.add(step + 1, **{"json_loss" if as_json else "loss": float(loss.detach())})
        if anchor:
            pull = anchor.pull(seen, pixels, torch.from_numpy(world.known[chosen]))
            journal.add(step + 1, away=float(pull.detach()))
            loss = loss + pull
        descent.take(loss, rate_at(step, steps, pace.peak, pace.last, min(pace.warm_up, steps // 4 + 1)))
        if (step + 1) % 50 == 0:
            each_second = (step + 1 - done) * BATCH / (time.monotonic() - started)
            print(
                f"speaking: step {step + 1} of {steps}, loss {journal.mean('loss'):.3f}, {each_second:.0f} photos/s",
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


def speak_further(
    world: Pictures, model: Path, folder: Path, *, epochs: float, seed: int, device: str, tower: bool
) -> Speaker:
    """Train a finished model further, going on from ``folder/speaking.pt`` if it is there.

    Args:
        world: What it learns from; of photos that it knows it goes on to say first what it says now.
        model: Folder of the model, F16.
        folder: For the vocabulary, what it says now, the checkpoint and the journal.
        epochs: Passes over the training rows.
        seed: Of the order and the views.
        device: ``cpu`` or ``cuda``.
        tower: Whether its tower learns, too, held to what it sees now in photos that it knows.
    """
    torch.manual_seed(seed)
    speaker = Speaker.of_finished(model, folder / "vocabulary")
    speaker.model.to(device)
    examples = _examples(words_said(world, speaker, folder / "said.json", device), speaker)
    pace = _FURTHER if tower else replace(_FURTHER, tower=0.0)
    return _practise(world, speaker, examples, folder, pace, epochs=epochs, seed=seed, device=device)


def words_said(world: Pictures, speaker: Speaker, cache: Path, device: str) -> list[Words]:
    """Return what to say of each photo: of known ones what the model says first now, all else as told.

    What the tower's heads saw is what it learned to say (``words_seen``), so it says it in their place when they are gone.
    Kept in ``cache``.
    """
    known = np.unique(world.train[world.known[world.train]])
    if not cache.is_file():
        said: list[str] = []
        for first in range(0, len(known), 4 * BATCH):
            pixels = as_input(world.photos_at(known[first : first + 4 * BATCH])).to(device)
            with half_precision(pixels.device.type):
                said += speaker.say(pixels, _FIRST_SENTENCE)
            if first // (4 * BATCH) % 20 == 0:
                print(f"  said what {len(said)} of {len(known)} photos show", flush=True)
        cache.write_text(json.dumps(said), encoding="utf-8")
    words = list(world.words)
    vocabulary = vocabulary_of(words)
    for row, text in zip(known, json.loads(cache.read_text(encoding="utf-8")), strict=True):
        read = vocabulary.read(text)
        read = replace(read, pattern="" if read.pattern == "solid" else read.pattern, details="")
        if read.kind and read.sentence().rstrip(".") == text:
            words[row] = replace(read, details=words[row].details)
    return words


@torch.no_grad()
def held_out_loss(world: Pictures, speaker: Speaker, examples: list[_Example], device: str) -> float:
    """Return the mean loss of sentences over some held-out photos."""
    losses = []
    for first in range(0, min(_CHECKED, len(world.held_out)), BATCH):
        rows = world.held_out[first : first + BATCH]
        with half_precision(torch.device(device).type):
            seen = speaker.tower(as_input(world.photos_at(rows)).to(device))
        losses.append(float(_loss(speaker, seen, [examples[row] for row in rows])))
    return sum(losses) / len(losses)


def _fingerprint(tower: Tower) -> str:
    digest = hashlib.sha256()
    for weight in tower.state_dict().values():
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


def _batches(world: Pictures, examples: dict[bool, list[_Example]], epoch: int, seed: int) -> list[np.ndarray]:
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


def _loss(speaker: Speaker, seen: torch.Tensor, examples: list[_Example]) -> torch.Tensor:
    longest, answer = max(len(example.tokens) for example in examples), examples[0].answer
    tokens = torch.full((len(examples), longest), speaker.tokenizer.pad_token_id)
    weights = torch.zeros(len(examples), longest)
    for at, example in enumerate(examples):
        tokens[at, : len(example.tokens)] = torch.tensor(example.tokens)
        weights[at, answer : len(example.tokens)] = 1.0
        weights[at, answer : example.head] = _HEAD_WEIGHT
    tokens, weights = tokens.to(seen.device), weights[:, answer:].to(seen.device)
    with half_precision(seen.device.type):
        logits = speaker.logits_of(seen, tokens[:, :-1], answer - 1).float()
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


def _descent(speaker: Speaker, pace: Pace) -> Descent:
    """Return what moves the text model and the connector, and the tower where it has a share of the pace."""
    inner = speaker.model.model
    spoken = [*inner.connector.named_parameters(), *inner.text_model.named_parameters()]
    return Descent(spoken, _BETAS, speaker.tower.named_parameters() if pace.tower else (), pace.tower)


class _Anchor:
    """Holds a tower that learns more to what it saw before in photos that it knew."""

    def __init__(self, tower: Tower) -> None:
        self._before = copy.deepcopy(tower).requires_grad_(requires_grad=False)

    def pull(self, seen: torch.Tensor, pixels: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """Return how far ``seen`` [n, 64, 192] of known photos [n] is from what was seen before, as a loss."""
        if not bool(known.any()):
            return seen.new_zeros(())
        with half_precision(pixels.device.type), torch.no_grad():
            before = self._before(pixels[known])
        return _ANCHOR_WEIGHT * functional.mse_loss(seen[known].float(), before.float())
