"""Tiny text encoders with random weights, one of each family, as sentence-transformers lays a checkpoint out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tiny_checkpoints import WORDS

WIDTH = 64
MAX_TOKENS = 64
# Ten times larger weights than at the start of a training, so that attention and position matter.
_SHAPE = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "max_position_embeddings": MAX_TOKENS,
    "initializer_range": 0.2,
}
# These count positions from behind the padding id, which is 1.
_ROBERTA = {"max_position_embeddings": MAX_TOKENS + 2, "pad_token_id": 1}
# Keys and values of two heads for four; a window much shorter than the texts.
_DECODER = {"num_key_value_heads": 2, "head_dim": 16}
_WINDOW = 8
FAMILIES: dict[str, dict[str, Any]] = {
    "bert": {},
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "distilbert": {},
    "mpnet": _ROBERTA,
    "electra": {"embedding_size": 32},
    "modernbert": {"num_hidden_layers": 4, "local_attention": _WINDOW, "global_attn_every_n_layers": 2},
    "qwen3": _DECODER,
    "gemma3_text": {
        **_DECODER,
        "num_hidden_layers": 4,
        "sliding_window": _WINDOW,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "use_bidirectional_attention": True,
    },
}
# How a family's encoders usually pool.
POOLING = {"bert": "cls", "modernbert": "cls", "qwen3": "last"}
_FLAGS = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token", "last": "pooling_mode_lasttoken"}


def make_encoder(folder: Path, family: str = "bert", *, pooling: str = "", dense: int = 0) -> Path:
    """Write a checkpoint of a family of ``FAMILIES``, with a tokenizer of letters and a few words.

    ``dense`` layers behind the pooling lead to twice the width and back.
    """
    import torch
    from transformers import AutoConfig, AutoModel

    folder.mkdir(parents=True)
    settings = FAMILIES[family]
    rows = _write_tokenizer(folder, family, padding=settings.get("pad_token_id", 0))
    config = AutoConfig.for_model(family, **{**_SHAPE, "vocab_size": rows, "pad_token_id": 0, **settings})
    torch.manual_seed(3)
    AutoModel.from_config(config).save_pretrained(folder)
    _write(folder / "1_Pooling" / "config.json", {_FLAGS[pooling or POOLING.get(family, "mean")]: True})
    layers = [_write_dense(folder, number) for number in range(dense)]
    parts = [("Transformer", ""), ("Pooling", "1_Pooling"), *(("Dense", layer) for layer in layers), ("Normalize", "")]
    _write(
        folder / "modules.json",
        [{"path": path, "type": f"sentence_transformers.models.{name}"} for name, path in parts],
    )
    return folder


def _write_tokenizer(folder: Path, family: str, *, padding: int) -> int:
    """Write a fast tokenizer, whose special tokens are the family's kind, and return the size of its vocabulary."""
    from tokenizers.processors import TemplateProcessing
    from transformers import BertTokenizerFast, PreTrainedTokenizerFast

    letters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    special.insert(padding, special.pop(0))
    vocabulary = list(dict.fromkeys([*special, *letters, *(f"##{letter}" for letter in letters), *WORDS]))
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    tokenizer: Any = BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=MAX_TOKENS)
    if family != "bert":
        backend = tokenizer.backend_tokenizer
        template = {"qwen3": "$A [SEP]"}.get(family, "[CLS] $A [SEP]")
        ids = [(token, vocabulary.index(token)) for token in ("[CLS]", "[SEP]")]
        backend.post_processor = TemplateProcessing(single=template, special_tokens=ids)
        (folder / "vocab.txt").unlink()
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", model_max_length=MAX_TOKENS
        )
    # A fixed padding in the source, as in real packages, which must not reach the exported tokenizer.
    tokenizer.backend_tokenizer.enable_padding(length=MAX_TOKENS)
    tokenizer.save_pretrained(folder)
    return len(vocabulary)


def _write_dense(folder: Path, number: int) -> str:
    import torch
    from safetensors.torch import save_file

    wide, activation = 2 * WIDTH, ("activation.Tanh", "linear.Identity")[number % 2]
    taken, given = ((WIDTH, wide), (wide, WIDTH))[number % 2]
    name = f"{number + 2}_Dense"
    _write(folder / name / "config.json", {"activation_function": f"torch.nn.modules.{activation}"})
    weights = {"linear.weight": 0.2 * torch.randn(given, taken)}
    if number % 2 == 0:
        weights["linear.bias"] = torch.randn(given)
    save_file(weights, folder / name / "model.safetensors")
    return name


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
