"""For comparison: what a linear classifier reads from EfficientNet-Lite0's features of the same photos."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np

from captioning.figures import Figures, outcomes
from captioning.reading import Said
from captioning.sets import Case, PhotoSet

# EfficientNet-Lite0's own input: a square of this side.
_SIDE = 224
_BATCH, _BLOCK = 32, 1024
_COLUMNS = ("kind", "colour", "colour family", "pattern", "audience")
# Weights are pulled strongly towards zero, as 1,280 features allow to learn single photos by heart; a twentieth of the pull
# gives the same shares to half a point.
_EPOCHS, _RATE, _DECAY, _ROWS = 10, 2e-3, 1.0, 512


def features(photos: Sequence[Path], folder: Path, say: Callable[[str], None]) -> np.ndarray:
    """Return pooled features [n, 1280], float32, of photos padded to a white square; kept in ``folder``, block by block.

    A run that was stopped goes on at the next block.
    """
    folder.mkdir(parents=True, exist_ok=True)
    net = None
    blocks = []
    for first in range(0, len(photos), _BLOCK):
        some = photos[first : first + _BLOCK]
        known = "\n".join(f"{photo.parent.name}/{photo.name} {photo.stat().st_size}" for photo in some)
        path = folder / f"{hashlib.sha256(known.encode()).hexdigest()[:24]}.npy"
        if not path.is_file():
            net = net or _network(folder)
            began = time.monotonic()
            block = np.concatenate([net(some[at : at + _BATCH]) for at in range(0, len(some), _BATCH)])
            part = path.with_suffix(".part.npy")
            np.save(part, block)
            part.replace(path)
            say(f"{first + len(some):,} of {len(photos):,}, {len(some) / (time.monotonic() - began):.0f} photos/s")
        blocks.append(np.load(path).astype(np.float32))
    return np.concatenate(blocks)


def _network(folder: Path) -> Callable[[Sequence[Path]], np.ndarray]:
    from PIL import Image
    from teachers import teacher_session

    # The library that loads the weights says so on standard output, where only the report belongs.
    with redirect_stdout(sys.stderr):
        session = teacher_session(folder / f"efficientnet-lite0-{_SIDE}.onnx", _SIDE)

    def seen(path: Path) -> np.ndarray:
        with Image.open(path) as opened:
            photo = opened.convert("RGB")
        square = Image.new("RGB", (max(photo.size),) * 2, "white")
        square.paste(photo, ((square.width - photo.width) // 2, (square.height - photo.height) // 2))
        return np.asarray(square.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR))

    def pooled(paths: Sequence[Path]) -> np.ndarray:
        pixels = np.stack([seen(path) for path in paths]).transpose(0, 3, 1, 2).astype(np.float32)
        return np.asarray(session.run(["pool"], {"pixels": pixels})[0], dtype=np.float16)

    return pooled


class Probe:
    """A softmax for each column on standardised features, trained on all cases at once.

    Args:
        seen: Features [n, 1280].
        cases: What is true of each; where a column has no truth it teaches nothing.
    """

    def __init__(self, seen: np.ndarray, cases: Sequence[Case]) -> None:
        import torch
        from torch.nn import functional

        torch.manual_seed(0)
        self._mean, self._spread = seen.mean(0), seen.std(0) + 1e-3
        self._values = {
            column: sorted({value for case in cases for value in case.truth[column]}) for column in _COLUMNS
        }
        number = {column: {value: at for at, value in enumerate(values)} for column, values in self._values.items()}
        labels = {
            column: torch.tensor(
                [number[column][min(case.truth[column])] if case.truth[column] else -100 for case in cases]
            )
            for column in _COLUMNS
        }
        inputs = torch.from_numpy((seen - self._mean) / self._spread)
        heads = torch.nn.ModuleDict(
            {column: torch.nn.Linear(seen.shape[1], max(len(values), 1)) for column, values in self._values.items()}
        )
        optimizer = torch.optim.AdamW(heads.parameters(), lr=_RATE, weight_decay=_DECAY)
        steps = _EPOCHS * -(-len(cases) // _ROWS)
        rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(_EPOCHS):
            for rows in torch.randperm(len(cases)).split(_ROWS):
                losses = [
                    functional.cross_entropy(heads[column](inputs[rows]), labels[column][rows], ignore_index=-100)
                    for column in _COLUMNS
                    if bool((labels[column][rows] >= 0).any())
                ]
                optimizer.zero_grad()
                torch.stack(losses).sum().backward()
                optimizer.step()
                rates.step()
        self._heads = {
            column: (heads[column].weight.detach().numpy().T.copy(), heads[column].bias.detach().numpy().copy())
            for column in _COLUMNS
        }

    def says(self, seen: np.ndarray) -> list[Said]:
        """Return the likeliest value of each column for features [n, 1280]."""
        inputs = (seen - self._mean) / self._spread
        best: Mapping[str, list[str]] = {
            column: [self._values[column][at] for at in (inputs @ weight + bias).argmax(1)]
            if self._values[column]
            else [""] * len(seen)
            for column, (weight, bias) in self._heads.items()
        }
        return [
            Said(*answer)
            for answer in zip(
                best["kind"], best["colour"], best["pattern"], best["audience"], best["colour family"], strict=True
            )
        ]

    def figures(self, photos: PhotoSet, seen: np.ndarray) -> Figures:
        """Return the figures of its answers on a set with the features of its photos."""
        said = self.says(seen)
        return Figures("linear probe, EfficientNet-Lite0", photos, said, outcomes(photos, said))
