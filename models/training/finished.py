"""A finished model, read back from its GGUF files to learn more: vocabulary, vision tower, connector and text model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tokens import MARKERS, read_tokenizer, write_tokenizer

from vlm4rec_edge import resolve_lvlm
from vlm4rec_edge.errors import ModelError

if TYPE_CHECKING:
    from transformers import LlamaTokenizer

_FULL = ("F16", "F32")
_TEXT_NAMES: Mapping[str, str] = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_VISION_NAMES: Mapping[str, str] = {
    "ln1": "layer_norm1",
    "ln2": "layer_norm2",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_out": "self_attn.out_proj",
    "ffn_up": "mlp.fc1",
    "ffn_down": "mlp.fc2",
}
_OUTER_NAMES: Mapping[str, str] = {
    "token_embd.weight": "text_model.embed_tokens.weight",
    "output_norm.weight": "text_model.norm.weight",
    "mm.model.fc.weight": "connector.modality_projection.proj.weight",
    "v.patch_embd.weight": "vision_model.embeddings.patch_embedding.weight",
    "v.patch_embd.bias": "vision_model.embeddings.patch_embedding.bias",
    "v.position_embd.weight": "vision_model.embeddings.position_embedding.weight",
    "v.post_ln.weight": "vision_model.post_layernorm.weight",
    "v.post_ln.bias": "vision_model.post_layernorm.bias",
}


def read_vocabulary(model: Path, folder: Path) -> LlamaTokenizer:
    """Write the vocabulary of a model's folder to ``folder`` as a Hugging Face tokenizer, unless it is there; return it.

    Raises:
        ModelError: its tokens are no SentencePiece vocabulary of this training.
    """
    if not (folder / "tokenizer.model").is_file():
        from sentencepiece import sentencepiece_model_pb2 as form

        reader = _reader(resolve_lvlm(str(model)).text)
        tokens, scores, types = (
            reader.fields[f"tokenizer.ggml.{name}"].contents() for name in ("tokens", "scores", "token_type")
        )
        if MARKERS[0] not in tokens:
            raise ModelError(f"{model} has another vocabulary than the training makes.")
        proto = form.ModelProto()
        proto.trainer_spec.model_type = form.TrainerSpec.BPE
        proto.trainer_spec.byte_fallback = True
        proto.trainer_spec.pad_id = 3
        proto.normalizer_spec.name = "identity"
        for text, score, kind in zip(tokens[: tokens.index(MARKERS[0])], scores, types, strict=False):
            proto.pieces.add(piece=text, score=score, type=kind)
        proto.trainer_spec.vocab_size = len(proto.pieces)
        write_tokenizer(proto.SerializeToString(), folder)
    return read_tokenizer(folder)


def read_weights(model: Path) -> dict[str, torch.Tensor]:
    """Return the weights of a model's folder under the names that ``SmolVLMModel`` gives them, float32.

    Raises:
        ModelError: they are quantized.
    """
    files = resolve_lvlm(str(model))
    found = {}
    for path in (files.text, files.projector):
        reader = _reader(path)
        heads = {
            f"attn_{part}": int(reader.fields[f"llama.attention.head_count{ending}"].contents())
            for part, ending in (("q", ""), ("k", "_kv"))
            if "llama.block_count" in reader.fields
        }
        for tensor in reader.tensors:
            if tensor.tensor_type.name not in _FULL:
                raise ModelError(
                    f"{path} is quantized ({tensor.name}: {tensor.tensor_type.name}); learn more from F16."
                )
            values = np.array(tensor.data, np.float32)
            name, part = _name(tensor.name)
            if name.startswith("text_model") and part in heads:
                values = _unrotated(values, heads[part])
            found[name] = torch.from_numpy(values)
    return found


def _reader(path: Path) -> Any:
    from gguf import GGUFReader

    return GGUFReader(path)


def _name(gguf: str) -> tuple[str, str]:
    """Return the name of a weight, and its part of a layer (empty outside of layers)."""
    if gguf in _OUTER_NAMES:
        return _OUTER_NAMES[gguf], ""
    vision = gguf.startswith("v.")
    _, number, part, ending = gguf.removeprefix("v.").split(".")
    if vision:
        return f"vision_model.encoder.layers.{number}.{_VISION_NAMES[part]}.{ending}", part
    return f"text_model.layers.{number}.{_TEXT_NAMES[part]}.{ending}", part


def _unrotated(values: np.ndarray, heads: int) -> np.ndarray:
    """Undo the converter's order of queries and keys: llama.cpp turns neighbours, transformers the two halves of a head."""
    width = values.shape[0] // heads // 2
    paired = values.reshape(heads, width, 2, *values.shape[1:])
    return np.ascontiguousarray(paired.swapaxes(1, 2).reshape(values.shape))
