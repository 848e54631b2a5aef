"""Projectors with weights of our own, as GGUF files that mtmd loads beside the embedded text model."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np

from vlm4rec_edge.grounding.vision.projector import Family, TowerShape
from vlm4rec_edge.models.home import models_home
from vlm4rec_edge.models.manifest import LvlmSettings, Manifest, Source, describe_file
from vlm4rec_edge.models.resolve import LvlmFiles, resolve_lvlm

TEXT_WIDTH = 256  # of the embedded text model, to which every projector here must lead

SMALL = TowerShape(
    family="idefics3", side=64, patch=16, width=64, hidden=128, layers=2, heads=2, merge=2, epsilon=1e-6, longest_edge=192,
    mean=(0.5, 0.4, 0.3), std=(0.5, 0.25, 0.3),
)  # fmt: skip
FAMILIES: dict[Family, TowerShape] = {
    "idefics3": SMALL,
    "gemma3": replace(SMALL, family="gemma3", side=128, merge=4, longest_edge=0),
}


def random_weights(shape: TowerShape, seed: int = 0) -> dict[str, np.ndarray]:
    """Weights of a tower, wide enough apart that its tokens depend on the photo."""
    chance = np.random.default_rng(seed)

    def normal(*size: int, around: float = 0.0, spread: float = 0.0) -> np.ndarray:
        return (around + (spread or 1.2 / np.sqrt(size[-1])) * chance.standard_normal(size)).astype(np.float32)

    width, hidden = shape.width, shape.hidden
    weights = {
        "v.patch_embd.weight": normal(width, 3, shape.patch, shape.patch, spread=1.5 / shape.patch),
        "v.patch_embd.bias": normal(width, spread=0.1),
        "v.position_embd.weight": normal(shape.grid**2, width, spread=0.3),
        "v.post_ln.weight": normal(width, around=1, spread=0.1),
        "v.post_ln.bias": normal(width, spread=0.1),
    }
    for layer in range(shape.layers):
        for norm in ("ln1", "ln2"):
            weights[f"v.blk.{layer}.{norm}.weight"] = normal(width, around=1, spread=0.1)
            weights[f"v.blk.{layer}.{norm}.bias"] = normal(width, spread=0.1)
        sizes = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_out"), (width, width))
        for name, size in {**sizes, "ffn_up": (hidden, width), "ffn_down": (width, hidden)}.items():
            weights[f"v.blk.{layer}.{name}.weight"] = normal(*size)
            weights[f"v.blk.{layer}.{name}.bias"] = normal(size[0], spread=0.1)
    if shape.family == "idefics3":
        weights["mm.model.fc.weight"] = normal(TEXT_WIDTH, width * shape.merge**2)
    else:
        weights["mm.soft_emb_norm.weight"] = normal(width, around=1, spread=0.1)
        weights["mm.input_projection.weight"] = normal(width, TEXT_WIDTH)
    return weights


def write_projector(
    path: Path,
    shape: TowerShape,
    weights: Mapping[str, np.ndarray],
    *,
    linear: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F32,
) -> Path:
    """Write a projector as llama.cpp's converter does; ``linear`` is the type of the tower's linear layers."""
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_string("general.type", "mmproj")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", shape.family)
    writer.add_bool("clip.use_gelu", True)
    numbers = {
        "projection_dim": TEXT_WIDTH,
        "image_size": shape.side,
        "patch_size": shape.patch,
        "embedding_length": shape.width,
        "feed_forward_length": shape.hidden,
        "block_count": shape.layers,
        "attention.head_count": shape.heads,
        "projector.scale_factor": shape.merge,
        "preproc_image_size": shape.longest_edge,
    }
    for key, value in numbers.items():
        if value or key == "block_count":
            writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", shape.epsilon)
    writer.add_array("clip.vision.image_mean", list(shape.mean))
    writer.add_array("clip.vision.image_std", list(shape.std))
    for name, values in weights.items():
        kind = linear if ".blk." in name and values.ndim == 2 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def random_projector(path: Path, family: Family, *, linear: gguf.GGMLQuantizationType) -> Path:
    """Write a small projector of a family with random weights."""
    return write_projector(path, FAMILIES[family], random_weights(FAMILIES[family]), linear=linear)


def as_pulled(name: str, projector: Callable[[Path], Path]) -> Path:
    """Put a model where pulled ones lie, the embedded text model and a projector that is written there; return its folder."""
    folder = models_home() / name
    folder.mkdir(parents=True, exist_ok=True)
    text = folder / "text.gguf"
    shutil.copy(resolve_lvlm().text, text)
    files = {"text": describe_file(text), "projector": describe_file(projector(folder / "mmproj.gguf"))}
    settings = LvlmSettings(context_length=1024)
    Manifest(name, "lvlm", "unknown", Source("a/b", "c"), files, {}, lvlm=settings).write(folder)
    return folder


def beside_the_embedded_text(projector: Path) -> LvlmFiles:
    """Return a projector with the embedded text model, as a user gives a pair of files."""
    return resolve_lvlm(resolve_lvlm().text, projector=projector)
