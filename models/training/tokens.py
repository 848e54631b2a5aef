"""The vocabulary, and the exact sequence of tokens that llama.cpp feeds a SmolVLM: tile, overview, question, answer."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from transformers import LlamaTokenizer
from words import JSON_PROMPT, SENTENCE_PROMPT

# llama.cpp looks each of these up as ONE token; as added tokens of the tokenizer they arrive in the GGUF file as such.
MARKERS = (
    "\n\n",
    "\n",
    "<fake_token_around_image>",
    "<image>",
    "<end_of_utterance>",
    "<global-img>",
    "<row_1_col_1>",
)
CHAT_TEMPLATE = (
    "{% for message in messages %}{{message['role'] | capitalize}}:{% for line in message['content'] %}"
    "{% if line['type'] == 'text' %}{{line['text']}}{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}"
    "{% endfor %}<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
# A photo is one tile and one overview of the same pixels, 16 tokens each.
IMAGE_TOKENS = 16
_PIECES, _ROWS = 4088, 4096


def make_tokenizer(texts: Iterable[str], folder: Path) -> LlamaTokenizer:
    """Train a SentencePiece vocabulary on ``texts`` and write it to ``folder`` as a Hugging Face tokenizer."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        model_type="bpe",
        vocab_size=_PIECES,
        hard_vocab_limit=False,  # a small catalog has fewer pieces
        byte_fallback=True,  # without the bytes llama.cpp refuses letters that the vocabulary lacks
        pad_id=3,
        num_threads=1,  # the same vocabulary every time
        minloglevel=2,
    )
    write_tokenizer(model.getvalue(), folder)
    return read_tokenizer(folder)


def write_tokenizer(model: bytes, folder: Path) -> None:
    """Write a SentencePiece vocabulary to ``folder`` as a Hugging Face tokenizer with our markers and chat template."""
    # In a folder beside it first: half a vocabulary must not be taken for one.
    part = folder.with_name(folder.name + ".part")
    part.mkdir(parents=True, exist_ok=True)
    (part / "tokenizer.model").write_bytes(model)
    tokenizer = LlamaTokenizer(str(part / "tokenizer.model"), legacy=False, pad_token="<pad>")
    tokenizer.add_tokens(list(MARKERS))
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(part)
    part.replace(folder)


def read_tokenizer(folder: Path) -> LlamaTokenizer:
    """Read a tokenizer that ``make_tokenizer`` wrote."""
    return LlamaTokenizer.from_pretrained(folder, legacy=False)


@dataclass(frozen=True)
class ChatTokens:
    """Token ids of everything around a photo and its answer; ``rows`` is the size of the embedding table."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    sentence_question: tuple[int, ...]
    json_question: tuple[int, ...]
    image: int
    end: int
    rows: int = _ROWS

    @classmethod
    def of(cls, tokenizer: LlamaTokenizer) -> ChatTokens:
        """Look them up, piece by piece as llama.cpp tokenises the text around the photo's tokens."""

        def ids(text: str) -> list[int]:
            return list(tokenizer(text, add_special_tokens=False)["input_ids"])

        def question(text: str) -> tuple[int, ...]:
            # Each part by itself: llama.cpp starts a new word after every marker.
            parts = ("<fake_token_around_image>", text, "<end_of_utterance>", "\n", "Assistant:")
            return tuple(token for part in parts for token in ids(part))

        return cls(
            before=(tokenizer.bos_token_id, *ids("User:"), *ids("<fake_token_around_image>"), *ids("<row_1_col_1>")),
            between=(*ids("\n\n"), *ids("<fake_token_around_image>"), *ids("<global-img>")),
            sentence_question=question(SENTENCE_PROMPT),
            json_question=question(JSON_PROMPT),
            image=tokenizer.convert_tokens_to_ids("<image>"),
            end=tokenizer.convert_tokens_to_ids("<end_of_utterance>"),
        )

    def prompt(self, *, as_json: bool) -> list[int]:
        """Return the tokens up to where the answer begins, each image token as ``image``."""
        photo = [self.image] * IMAGE_TOKENS
        question = self.json_question if as_json else self.sentence_question
        return [*self.before, *photo, *self.between, *photo, *question]


def write_preprocessor(folder: Path, image_size: int) -> None:
    """Write ``preprocessor_config.json``: one tile, stretched, values -1 to 1."""
    content = {
        "image_processor_type": "SmolVLMImageProcessor",
        "do_convert_rgb": True,
        "do_image_splitting": False,
        "do_normalize": True,
        "do_pad": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "max_image_size": {"longest_edge": image_size},
        "resample": 2,
        "rescale_factor": 1 / 255,
        "size": {"longest_edge": image_size},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
