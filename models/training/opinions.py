"""Second opinions: what classifiers on EfficientNet-Lite0's features say of each photo, each asked of photos it never saw.

The convolutional teacher knows 1.2 million photos of the world, the tower only the shop's; what the teacher's features say
of everything but colour therefore differs from what the tower sees, and both together are right more often than either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from descent import rate_at
from journal import load_state, save_state
from torch import nn
from torch.nn import functional
from tower import HEAD_WEIGHTS, UNKNOWN

# An opinion on colour would be worse than the tower's own: such features hardly tell colours.
HEADS = tuple(head for head in HEAD_WEIGHTS if head != "colour")
_FOLDS, _EPOCHS, _BATCH, _ROWS = 5, 12, 256, 2048
_HIDDEN, _DROPPED, _RATE, _DECAY, _LABEL_SMOOTHING = 1024, 0.5, 1e-3, 0.05, 0.1


class Classifier(nn.Module):
    """One hidden layer and a head for each attribute, on a photo's features [n, width]."""

    def __init__(self, width: int, classes: Mapping[str, int]) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Dropout(_DROPPED), nn.Linear(width, _HIDDEN), nn.GELU(), nn.Dropout(_DROPPED))
        self.heads = nn.ModuleDict({f"{name}_head": nn.Linear(_HIDDEN, count) for name, count in classes.items()})

    def forward(self, features: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the logits of every head."""
        hidden = self.hidden(features)
        return {name.removesuffix("_head"): head(hidden) for name, head in self.heads.items()}


def features_of(maps: Sequence[np.ndarray], pools: torch.Tensor) -> torch.Tensor:
    """Return what opinions are formed on, [n, 1280 + 7 * 112]: the teacher's pooled features, and its maps by region.

    Args:
        maps: Arrays [n, 112, rows, columns] laid end to end.
        pools: [n, 1280], of unit spread.
    """
    regions = []
    for some in (part[first : first + _ROWS] for part in maps for first in range(0, len(part), _ROWS)):
        values = torch.from_numpy(np.array(some)).float()
        means, largest = functional.adaptive_avg_pool2d(values, (3, 2)), functional.adaptive_max_pool2d(values, 1)
        regions.append(torch.cat([means.flatten(1), largest.flatten(1)], 1))
    told = torch.cat(regions)
    return torch.cat([pools, (told - told.mean(0)) / (told.std(0) + 1e-3)], 1)


def second_opinions(
    features: torch.Tensor, labels: Mapping[str, torch.Tensor], train: np.ndarray, cache: Path, seed: int = 0
) -> dict[str, torch.Tensor]:
    """Return per head the chances [n, classes], float16, of every row; made into ``cache`` unless they are there.

    Rows to learn from are parted into five; each part is judged by the classifier that learned from the other four, and
    the rows held out by the first.

    Args:
        features: [n, width], of unit spread.
        labels: Per head, [n], ``UNKNOWN`` where there is none.
        train: Row numbers to learn from.
        cache: A file that torch can load.
        seed: Of the parts, the weights and the order.
    """
    if not cache.is_file():
        parts = np.array_split(np.random.default_rng(seed).permutation(train), _FOLDS)
        counts = {head: int(labels[head].max()) + 1 for head in HEADS}
        found = {head: torch.zeros(len(features), count, dtype=torch.float16) for head, count in counts.items()}
        others = np.setdiff1d(np.arange(len(features)), train)
        for number, part in enumerate(parts):
            learned = _learn(features, labels, counts, np.concatenate(parts[:number] + parts[number + 1 :]), seed)
            asked = np.concatenate([part, others]) if number == 0 else part
            for head, chances in _ask(learned, features, asked).items():
                found[head][asked] = chances
            print(f"  second opinions: part {number + 1} of {_FOLDS}", flush=True)
        save_state(cache, **found)
    return load_state(cache)


def _learn(
    features: torch.Tensor,
    labels: Mapping[str, torch.Tensor],
    counts: Mapping[str, int],
    rows: np.ndarray,
    seed: int,
) -> Classifier:
    torch.manual_seed(seed)
    classifier = Classifier(features.shape[1], counts)
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=_RATE, weight_decay=_DECAY)
    batch = min(_BATCH, len(rows))
    each = len(rows) // batch
    for step in range(_EPOCHS * each):
        if step % each == 0:
            order = torch.from_numpy(rows)[torch.randperm(len(rows))]
        some = order[step % each * batch :][:batch]
        losses = [
            functional.cross_entropy(logits, labels[head][some], ignore_index=UNKNOWN, label_smoothing=_LABEL_SMOOTHING)
            for head, logits in classifier(features[some]).items()
            if bool((labels[head][some] != UNKNOWN).any())
        ]
        optimizer.param_groups[0]["lr"] = rate_at(step, _EPOCHS * each, _RATE, 0.0, each)
        optimizer.zero_grad()
        torch.stack(losses).sum().backward()
        optimizer.step()
    return classifier.eval()


@torch.no_grad()
def _ask(classifier: Classifier, features: torch.Tensor, rows: Sequence[int] | np.ndarray) -> dict[str, torch.Tensor]:
    asked = [classifier(features[rows[first : first + _ROWS]]) for first in range(0, len(rows), _ROWS)]
    return {head: torch.cat([each[head] for each in asked]).softmax(1).half() for head in HEADS}
