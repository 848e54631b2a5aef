"""A vision encoder and its projector as a GGUF file holds them: sizes and weights, for the families that become a graph.

Keys, names of tensors and defaults are those of llama.cpp's ``tools/mtmd/clip.cpp`` (the version that llama-cpp-python 0.3.36
brings), families ``idefics3`` (SmolVLM, SmolVLM2, Idefics3) and ``gemma3``: both are a SigLIP with another end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from vlm4rec_edge.errors import MissingDependencyError, ModelError
from vlm4rec_edge.models.gguf import read_header

Family = Literal["idefics3", "gemma3"]
FAMILIES: tuple[Family, ...] = ("idefics3", "gemma3")
# What llama.cpp takes where a file of gemma3 does not say: ``hparams.n_merge``.
_MERGE_OF_GEMMA = 4
# Tensors of the tower, of its projector, and of what hears; the last is nothing to a photo.
_TOWER, _PROJECTOR = "v.", "mm."
_FC, _INPUT_PROJECTION = "mm.model.fc.weight", "mm.input_projection.weight"
_OPTIONAL = (".bias", "post_ln.weight")
_LAYER_NORMS = ("ln1", "ln2")
_LAYER_LINEAR = ("attn_q", "attn_k", "attn_v", "attn_out", "ffn_up", "ffn_down")


class NotCoveredError(ModelError):
    """No graph can be made of this projector; its message says why. llama.cpp's own vision encoder has to do."""


@dataclass(frozen=True)
class TowerShape:
    """What a tower computes besides its weights.

    Attributes:
        family: Which end it has, and how a photo becomes its views.
        side: Pixels along the side of a view.
        patch: Pixels along the side of a patch.
        width: Values of a patch inside the tower; ``hidden`` of its feed-forward layers.
        layers: Number of layers; ``heads`` of attention in each.
        merge: Patches along the side of a square that becomes one token.
        epsilon: Of every norm.
        longest_edge: Pixels of the longer side of a photo before it is cut into views; 0 leaves it as it is.
        mean, std: Of each colour, in 0 to 1.
    """

    family: Family
    side: int
    patch: int
    width: int
    hidden: int
    layers: int
    heads: int
    merge: int
    epsilon: float
    longest_edge: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def grid(self) -> int:
        """Patches along the side of a view."""
        return self.side // self.patch

    @property
    def tokens(self) -> int:
        """Tokens of a view."""
        return (self.grid // self.merge) ** 2


@dataclass(frozen=True)
class Projector:
    """A tower's shape and its weights by llama.cpp's names, float32, rows as outputs ([outputs, inputs])."""

    shape: TowerShape
    weights: Weights

    @property
    def text_width(self) -> int:
        """Values of a token, as many as the text model reads."""
        sizes = self.weights.sizes
        return sizes[_FC][0] if self.shape.family == "idefics3" else sizes[_INPUT_PROJECTION][1]


class Weights(Mapping[str, np.ndarray]):
    """Tensors by name, each unpacked when it is asked for: a tower can take 2 GB. ``sizes`` holds their shapes."""

    def __init__(self, tensors: Mapping[str, Any]) -> None:
        self._tensors = tensors
        self.sizes = {name: tuple(map(int, reversed(tensor.shape))) for name, tensor in tensors.items()}

    def __getitem__(self, name: str) -> np.ndarray:
        from gguf.quants import dequantize

        tensor = self._tensors[name]
        try:
            return np.asarray(dequantize(tensor.data, tensor.tensor_type), np.float32)
        except NotImplementedError:
            raise NotCoveredError(f"its tensor {name} is of a type that gguf cannot unpack") from None

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def check_covered(path: Path) -> None:
    """Look into the header of a projector whether a graph can be made of it; costs milliseconds and needs no package.

    Raises:
        NotCoveredError: its family has none.
        ModelError: the file is damaged.
    """
    metadata = read_header(path).metadata
    family = metadata.get("clip.projector_type") or metadata.get("clip.vision.projector_type", "unknown")
    if family not in FAMILIES:
        raise NotCoveredError(
            f"{path.name} is of the family {family}; a graph is made of {' and '.join(FAMILIES)} alone"
        )


def require_building() -> None:
    """Look for the packages that make a graph, without loading them.

    Raises:
        MissingDependencyError: gguf, onnx or onnxruntime is not installed.
    """
    for package in ("gguf", "onnx", "onnxruntime"):
        if find_spec(package) is None:
            raise MissingDependencyError(
                f'The graph of a vision encoder needs {package}: pip install "vlm4rec-edge[cpu]"'
            )


def read_projector(path: Path) -> Projector:
    """Read a projector and hold its tensors against what the graph uses; the weights are read when they are asked for.

    Raises:
        NotCoveredError: its family, or something in it, is not known here.
        MissingDependencyError: gguf is not installed.
        ModelError: the file is damaged.
    """
    check_covered(path)
    require_building()
    import gguf

    try:
        reader = gguf.GGUFReader(path)
        values = {name: field.contents() for name, field in reader.fields.items()}
        shape = _shape(path, values)
        tensors = [tensor for tensor in reader.tensors if tensor.name.startswith((_TOWER, _PROJECTOR))]
    except (KeyError, ValueError, IndexError) as error:
        raise NotCoveredError(f"{path.name} cannot be read as {' or '.join(FAMILIES)} ({error!r})") from error
    weights = Weights({tensor.name: tensor for tensor in tensors})
    _check_tensors(path, shape, weights.sizes)
    return Projector(shape, weights)


def _shape(path: Path, values: Mapping[str, Any]) -> TowerShape:
    family = cast("Family", values.get("clip.projector_type") or values["clip.vision.projector_type"])

    def number(key: str, default: int | None = None) -> int:
        value = values.get(f"clip.vision.{key}", default)
        if not isinstance(value, int):
            raise NotCoveredError(f"{path.name} does not state its clip.vision.{key}")
        return value

    shape = TowerShape(
        family=family,
        side=number("image_size"),
        patch=number("patch_size"),
        width=number("embedding_length"),
        hidden=number("feed_forward_length"),
        layers=number("block_count"),
        heads=number("attention.head_count"),
        merge=number("projector.scale_factor", _MERGE_OF_GEMMA if family == "gemma3" else None),
        epsilon=float(values["clip.vision.attention.layer_norm_epsilon"]),
        longest_edge=number("preproc_image_size", 0),
        mean=_colours(values["clip.vision.image_mean"]),
        std=_colours(values["clip.vision.image_std"]),
    )
    if values.get("clip.use_gelu") is not True:
        raise NotCoveredError(f"{path.name} has another activation than GELU")
    if number("attention.head_count_kv", shape.heads) != shape.heads:
        raise NotCoveredError(f"{path.name} shares keys among heads")
    if values.get("clip.vision.image_grid_pinpoints"):
        raise NotCoveredError(f"{path.name} has sizes of its own for its views")
    if shape.merge < 2 or shape.patch < 1 or shape.grid % shape.merge or shape.width % max(shape.heads, 1):
        raise NotCoveredError(f"{path.name} has sizes that do not go into each other ({shape})")
    return shape


def _colours(values: list[float]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values[:3])
    return red, green, blue


def _check_tensors(path: Path, shape: TowerShape, sizes: Mapping[str, tuple[int, ...]]) -> None:
    """Hold the tensors against what the graph uses: none may be missing, misshapen, or left over without a part in it."""
    expected = _expected(shape)
    unknown = sorted(sizes.keys() - expected.keys())
    missing = sorted(name for name in expected.keys() - sizes.keys() if not name.endswith(_OPTIONAL))
    if unknown or missing:
        what = f"has the tensor {unknown[0]}, which is not known" if unknown else f"lacks the tensor {missing[0]}"
        raise NotCoveredError(f"{path.name} {what} in a vision encoder of {shape.family}")
    for name, dimensions in expected.items():
        if name in sizes and not _fits(sizes[name], dimensions):
            raise NotCoveredError(f"{path.name} has a tensor {name} of the shape {sizes[name]}, not {dimensions}")


def _fits(found: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    """Whether a shape is as expected; 0 stands for any size."""
    return len(found) == len(expected) and all(other in (own, 0) for own, other in zip(found, expected, strict=True))


def _expected(shape: TowerShape) -> dict[str, tuple[int, ...]]:
    width, hidden = shape.width, shape.hidden
    expected: dict[str, tuple[int, ...]] = {
        "v.patch_embd.weight": (width, 3, shape.patch, shape.patch),
        "v.patch_embd.bias": (width,),
        "v.position_embd.weight": (shape.grid**2, width),
        "v.post_ln.weight": (width,),
        "v.post_ln.bias": (width,),
    }
    for layer in range(shape.layers):
        for norm in _LAYER_NORMS:
            expected |= {f"v.blk.{layer}.{norm}.{part}": (width,) for part in ("weight", "bias")}
        for name in _LAYER_LINEAR:
            rows, columns = {"ffn_up": (hidden, width), "ffn_down": (width, hidden)}.get(name, (width, width))
            expected |= {f"v.blk.{layer}.{name}.weight": (rows, columns), f"v.blk.{layer}.{name}.bias": (rows,)}
    if shape.family == "idefics3":
        expected[_FC] = (0, width * shape.merge**2)
    else:
        expected[_INPUT_PROJECTION] = (width, 0)
        expected["mm.soft_emb_norm.weight"] = (width,)
    return expected
