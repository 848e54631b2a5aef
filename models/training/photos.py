"""Photos as arrays: decoded once, kept in one file, and shown to the model a little different every time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from vlm4rec_edge.errors import UsageError

# The runtime makes a photo this small before the model's own preprocessing (``max_side`` in the manifest), so that a
# photo of any size reaches the model as sharp as those it was trained on.
MAX_SIDE = 144
# Width and height that photos are kept in: 2:3, the shape of the training photos.
KEPT = (96, 144)
IMAGE_SIZE = 128
_BLOCK = 256
# Other shops frame differently: square, with white around a smaller product. So many views show the photo smaller and in
# another shape, from so much nearer to so much farther than it is (1.5 times wider is the photo of a square frame).
_FRAMED_SHARE = 0.5
_NEAREST, _FARTHEST = 0.8, 1.4
_NARROWEST, _WIDEST = 0.85, 1.7


def decode_photos(paths: Sequence[Path], cache: Path) -> np.ndarray:
    """Return photos as a memory map [n, 144, 96, 3], uint8, decoded into ``cache`` unless it is there.

    Raises:
        UsageError: ``cache`` holds another number of photos.
    """
    from PIL import Image

    if not cache.is_file():
        part = cache.with_suffix(".part.npy")
        photos = np.lib.format.open_memmap(part, "w+", np.uint8, (len(paths), KEPT[1], KEPT[0], 3))
        for number, path in enumerate(paths):
            with Image.open(path) as opened:
                picture = opened.convert("RGB")
                if picture.size != KEPT:
                    picture = picture.resize(KEPT, Image.Resampling.LANCZOS)
                photos[number] = np.asarray(picture)
            if number % 4096 == 0:
                print(f"  decoded {number} of {len(paths)} photos", flush=True)
        photos.flush()
        part.replace(cache)
    decoded: np.ndarray = np.load(cache, mmap_mode="r")
    if len(decoded) != len(paths):
        raise UsageError(
            f"{cache} holds {len(decoded)} photos, not {len(paths)}; give another --out, or remove its folder."
        )
    return decoded


def as_input(photos: np.ndarray) -> torch.Tensor:
    """Return photos [n, height, width, 3], uint8, as the model sees them: [n, 3, 128, 128], -1 to 1, stretched.

    Bilinear with aligned half pixels and no smoothing, as llama.cpp resizes.
    """
    pixels = torch.from_numpy(np.array(photos)).permute(0, 3, 1, 2).float()
    return functional.interpolate(pixels, (IMAGE_SIZE, IMAGE_SIZE), mode="bilinear", align_corners=False) / 127.5 - 1


class Views:
    """Random views of photos: mirrored, cut, framed, turned and lit a little differently, the colour kept true.

    Half of them stay near the photo's own frame; the others show it as other shops might: in a frame of another shape,
    smaller, its background or white around it.

    ``window`` of the last call, [n, 2, 3], maps the view's coordinates (-1 to 1) to the photo's, so that a teacher's map
    of the whole photo can be read at the same places.
    """

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator
        self.window = torch.zeros(0)

    def __call__(self, photos: np.ndarray) -> torch.Tensor:
        """Return one view of each photo: [n, 3, 128, 128], -1 to 1."""
        pixels = torch.from_numpy(np.array(photos)).permute(0, 3, 1, 2).float() / 127.5 - 1
        count = len(pixels)
        scale_x, scale_y = self._between(0.82, 1.04, count), self._between(0.82, 1.04, count)
        framed = self._chance(count) < _FRAMED_SHARE
        distance = self._between(math.log(_NEAREST), math.log(_FARTHEST), count).exp()
        shape = self._between(math.log(_NARROWEST), math.log(_WIDEST), count).exp()
        scale_x = torch.where(framed, distance * shape.clamp(min=1), scale_x)
        scale_y = torch.where(framed, distance / shape.clamp(max=1), scale_y)
        angle = self._between(-6, 6, count) * math.pi / 180
        mirror = (self._chance(count) < 0.5).float() * -2 + 1
        shift_x = self._between(-1, 1, count) * (1 - scale_x).abs().clamp(min=0.03, max=0.5)
        shift_y = self._between(-1, 1, count) * (1 - scale_y).abs().clamp(min=0.03, max=0.5)
        aspect = KEPT[1] / KEPT[0]
        row_x = torch.stack([scale_x * angle.cos() * mirror, -scale_y * angle.sin() * aspect, shift_x], 1)
        row_y = torch.stack([scale_x * angle.sin() * mirror / aspect, scale_y * angle.cos(), shift_y], 1)
        self.window = torch.stack([row_x, row_y], 1)
        grid = functional.affine_grid(self.window, [count, 3, IMAGE_SIZE, IMAGE_SIZE], align_corners=False)
        # Around the photo: its own background, or white.
        around = torch.where(self._chance(count)[:, None] < 0.5, _background(pixels), torch.ones(count, 3))[
            :, :, None, None
        ]
        views = functional.grid_sample(pixels - around, grid, mode="bilinear", align_corners=False) + around
        # One light for all three channels: a lamp may be brighter, the cloth keeps its hue.
        gain, lift = self._between(0.92, 1.08, count), self._between(-0.04, 0.04, count)
        return ((views + 1) * gain[:, None, None, None] - 1 + lift[:, None, None, None]).clamp(-1, 1)

    def read_map(self, maps: torch.Tensor) -> torch.Tensor:
        """Return a teacher's maps [n, channels, rows, columns] of whole photos as the last views show them."""
        grid = functional.affine_grid(self.window, list(maps.shape), align_corners=False)
        return functional.grid_sample(maps, grid, mode="bilinear", padding_mode="border", align_corners=False)

    def _between(self, low: float, high: float, count: int) -> torch.Tensor:
        return low + (high - low) * self._chance(count)

    def _chance(self, count: int) -> torch.Tensor:
        return torch.rand(count, generator=self._generator)


def _background(pixels: torch.Tensor) -> torch.Tensor:
    """Return the median colour of the upper corners and edges of photos [n, 3, height, width]: [n, 3]."""
    edges = torch.cat([pixels[:, :, 0, :], pixels[:, :, : KEPT[1] // 2, 0], pixels[:, :, : KEPT[1] // 2, -1]], 2)
    return edges.median(2).values
