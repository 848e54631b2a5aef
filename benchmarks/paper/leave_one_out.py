"""How a fusion is taught: predict each item of a history from the others, as the package will recommend with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from paper.histories import Histories, validation_value
from paper.stopping import EarlyStopping


@dataclass(frozen=True)
class FusionSettings:
    """Settings of the training, the same for all fusions, texts and tasks.

    Attributes:
        temperature: Cosines are divided by it (0.07: Wu et al., "Instance discrimination", CVPR 2018; MoCo; CLIP).
        negatives: Items drawn for each step, every item as likely, the same ones for all targets of the step.
        targets: About how many items are predicted in a step.
        rate: Learning rate of AdamW.
        decay: Its weight decay.
        epochs: At most.
        patience: Epochs without a better validation.
    """

    temperature: float = 0.07
    negatives: int = 2048
    targets: int = 1024
    rate: float = 3e-4
    decay: float = 0.01
    epochs: int = 60
    patience: int = 5


def train_fusion(
    make: Callable[[int], nn.Module],
    vision: np.ndarray,
    text: np.ndarray,
    histories: Histories,
    seed: int,
    say: Callable[[str], None],
    settings: FusionSettings = FusionSettings(),
) -> np.ndarray:
    """Train a fusion and return the unit vectors of all items, [items, dimensions], float32.

    The loss is InfoNCE (van den Oord et al., 2018): the cosine between the left-out item and the mean of the other unit
    vectors of the history, against drawn items that the user does not have.

    Args:
        make: The network for vectors of so many dimensions; called with two batches of vectors it gives fused ones.
        vision: Unit vectors of photos, [items, dimensions], float32, zero where there is none; ``text``: of texts.
        text: See ``vision``.
        histories: What may be learned from.
        seed: Of the beginning, the order and the negatives.
        say: Told what each epoch brought.
        settings: See there.
    """
    torch.manual_seed(seed)
    network = make(vision.shape[1])
    inputs = torch.from_numpy(vision), torch.from_numpy(text)
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.rate, weight_decay=settings.decay)
    generator = np.random.default_rng(seed)
    stopping = EarlyStopping(settings.patience)
    stopping.look(_value(network, inputs, histories), network)
    for epoch in range(1, settings.epochs + 1):
        for users in _batches(histories, settings, generator):
            negatives = generator.integers(0, histories.item_count, settings.negatives)
            loss = _loss(network, inputs, histories, users, negatives, settings.temperature)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        ends = stopping.look(_value(network, inputs, histories), network)
        say(f"epoch {epoch}, validation {stopping.values[-1]:.4f}, best {stopping.values[stopping.best]:.4f}")
        if ends:
            break
    stopping.restore(network)
    say(f"best after {stopping.best} epochs: {stopping.values[0]:.4f} -> {stopping.values[stopping.best]:.4f}")
    return _fused(network, inputs)


def _batches(histories: Histories, settings: FusionSettings, generator: np.random.Generator) -> Iterator[np.ndarray]:
    sizes = histories.taught.sizes
    users = generator.permutation(np.flatnonzero(sizes > 1))  # of one item nothing is left to predict it from
    if len(users):
        ends = np.cumsum(sizes[users]) // settings.targets
        yield from np.split(users, np.flatnonzero(np.diff(ends)) + 1)


def _loss(
    network: nn.Module,
    inputs: tuple[torch.Tensor, torch.Tensor],
    histories: Histories,
    users: np.ndarray,
    negatives: np.ndarray,
    temperature: float,
) -> torch.Tensor:
    own = [histories.taught[user] for user in users]
    owner = torch.from_numpy(np.repeat(np.arange(len(users)), [len(items) for items in own]))
    items, place = np.unique(np.concatenate([*own, negatives]), return_inverse=True)
    rows = torch.from_numpy(items)
    fused = functional.normalize(network(inputs[0][rows], inputs[1][rows]), dim=1)
    place_of = torch.from_numpy(place.reshape(-1))
    targets, drawn = fused[place_of[: len(owner)]], fused[place_of[len(owner) :]]
    sums = torch.zeros(len(users), fused.shape[1]).index_add(0, owner, targets)
    profiles = functional.normalize(sums[owner] - targets, dim=1)
    foreign = (profiles @ drawn.T).masked_fill(
        torch.from_numpy(histories.is_taught(users, negatives))[owner], -torch.inf
    )
    scores = torch.cat([(profiles * targets).sum(1, keepdim=True), foreign], dim=1) / temperature
    return functional.cross_entropy(scores, torch.zeros(len(scores), dtype=torch.long))


def _value(network: nn.Module, inputs: tuple[torch.Tensor, torch.Tensor], histories: Histories) -> float:
    items = _fused(network, inputs)
    empty = np.zeros((0, items.shape[1]), np.float32)
    profiles = [items[histories.taught[user]].mean(axis=0) for user in histories.validated]
    return validation_value(np.stack(profiles) if profiles else empty, items, histories)


def _fused(network: nn.Module, inputs: tuple[torch.Tensor, torch.Tensor]) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(functional.normalize(network(*inputs), dim=1).numpy())
