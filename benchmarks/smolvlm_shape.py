"""A model of SmolVLM-256M's exact shape with random weights: what a larger captioner costs, where the real one can't be had.

How long a forward pass takes depends on the shapes of the tensors and not on their values. What is not the real model's are
the weights and the vocabulary: its size is (49,280 rows), its pieces are a SentencePiece's of a few hundred words, for the
converter takes a byte-level vocabulary only if it knows it.

Example:
    pip install -e '.[cpu,export]'
    python benchmarks/smolvlm_shape.py smolvlm-256m-shape
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from vlm4rec_edge.grounding.llama.prompt import DEFAULT_PROMPT

_REPOSITORY = Path(__file__).parents[1]
sys.path.append(str(_REPOSITORY / "models" / "training"))  # its vocabulary is made the same way

# HuggingFaceTB/SmolVLM-256M-Instruct, config.json: SigLIP base (patch 16, 512 pixels) and SmolLM2-135M with a head of its
# own; 16 patches become one token.
ROWS = 49_280
TEXT = {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "head_dim": 64,
    "rope_theta": 100_000,
    "max_position_embeddings": 8192,
}
VISION = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 512,
    "patch_size": 16,
}
SCALE_FACTOR = 4
# The real model enlarges every photo to 2,048 pixels and cuts it into 3 x 4 or 4 x 4 tiles beside the overview.
_MOST_TILES = 4
_TOKENS_PER_TILE = SCALE_FACTOR * 16
# More than twice what a training starts with, so that the answer depends on the photo and on what was said.
_SPREAD = {"initializer_range": 0.05}
_WORDS = """
a for with in and the of red blue black white green t-shirt trousers dress skirt jacket boots scarf women men
children soft cotton wool leather plain striped floral dotted wide short long sleeves collar hem pockets zip"""


def make(
    out: Annotated[Path, typer.Argument(help="Folder for both GGUF files and their manifest.")],
    edge: Annotated[
        int,
        typer.Option(
            help="Longer side of a photo in pixels, a multiple of 512: 512 is one tile, 2048 the real model's."
        ),
    ] = 512,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens of every answer.")] = 32,
    text_type: Annotated[str, typer.Option(help="llama.cpp type of the text model.")] = "Q8_0",
    projector_type: Annotated[str, typer.Option(help="llama.cpp type of vision encoder and projector.")] = "Q8_0",
    layers: Annotated[int, typer.Option(min=0, help="Layers of either half, fewer for a quick try; 0: all.")] = 0,
) -> None:
    """Write the model; no answer of it ever ends before ``--max-tokens``."""
    tiles = edge // VISION["image_size"]
    if edge % VISION["image_size"] or not 1 <= tiles <= _MOST_TILES:
        raise typer.BadParameter("--edge is 512, 1024, 1536 or 2048.")
    context = 512 * -(-(_TOKENS_PER_TILE * (tiles * tiles + 1) + 200 + max_tokens) // 512)
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = Path(scratch) / "checkpoint"
        _write_checkpoint(checkpoint, edge, tiles, layers)
        photos = Path(scratch) / "photos"
        photos.mkdir()
        _one_photo(photos)
        command = [sys.executable, str(_REPOSITORY / "export" / "lvlm_to_gguf.py"), str(checkpoint), "--out", str(out)]
        command += ["--name", "smolvlm-256m-shape", "--source-name", "random weights", "--license", "Apache-2.0"]
        command += ["--text-type", text_type, "--projector-type", projector_type, "--context", str(context)]
        command += ["--max-tokens", str(max_tokens), "--photos", str(photos), "--min-agreement", "0"]
        if subprocess.run(command, check=False).returncode:
            raise SystemExit(1)


def _write_checkpoint(folder: Path, edge: int, tiles: int, layers: int) -> None:
    import torch
    from tokens import make_tokenizer, write_preprocessor
    from transformers import SmolVLMConfig, SmolVLMForConditionalGeneration

    words = _WORDS.split()
    sentences = [" ".join(words[i * j % len(words)] for j in range(1, 9)) for i in range(1, 400)]
    tokenizer = make_tokenizer([DEFAULT_PROMPT] * 100 + sentences, folder)
    tokenizer.add_tokens([f"<row_{row}_col_{column}>" for row in range(1, tiles + 1) for column in range(1, tiles + 1)])
    tokenizer.save_pretrained(folder)
    end = tokenizer.convert_tokens_to_ids("<end_of_utterance>")
    fewer: dict[str, Any] = {"num_hidden_layers": layers} if layers else {}
    config = SmolVLMConfig(
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=3,
        scale_factor=SCALE_FACTOR,
        tie_word_embeddings=False,
        text_config={
            **TEXT,
            **_SPREAD,
            **fewer,
            "model_type": "llama",
            "vocab_size": ROWS,
            "eos_token_id": end,
            "pad_token_id": 3,
            "tie_word_embeddings": False,
        },
        vision_config={**VISION, **_SPREAD, **fewer},
    )
    torch.manual_seed(256)
    model = SmolVLMForConditionalGeneration(config)
    _say_words_without_end(model, tokenizer)
    model.save_pretrained(folder)
    # The names by which the converter knows a model and its text half; transformers keeps them, but writes none.
    written = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    written["architectures"] = ["SmolVLMForConditionalGeneration"]
    written["text_config"]["architectures"] = ["VLlama3ForCausalLM"]
    (folder / "config.json").write_text(json.dumps(written), encoding="utf-8")
    write_preprocessor(folder, VISION["image_size"])
    preprocessor = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    preprocessor["size"] = {"longest_edge": edge}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor), encoding="utf-8")


def _say_words_without_end(model: Any, tokenizer: Any) -> None:
    """Give words alone a weight in the head: of some hundred one has a logit above 0, so nothing else is ever likeliest."""
    import torch

    spoken = [
        ids[0] for word in _WORDS.split() if len(ids := tokenizer(word, add_special_tokens=False)["input_ids"]) == 1
    ]
    head = model.get_output_embeddings().weight
    with torch.no_grad():
        kept = head[spoken].clone()
        head.zero_()
        head[spoken] = kept


def _one_photo(folder: Path) -> None:
    from drawings import Drawing, draw

    draw(Drawing("dress", "red", "solid", 1), (160, 240)).save(folder / "dress.png")


if __name__ == "__main__":
    typer.run(make)
