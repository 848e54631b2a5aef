"""How SMORE is taught: pairs of what a user took and did not take, and a contrast of content with behaviour.

Departures from the authors' program, for a catalog of this size on two cores. The vectors of photos and texts are not
trained along (theirs are), and photos come in by the random projection that all rows of unequal dimensions share. The
contrast takes each user and item of a batch once; theirs as often as the batch names it. Validation is by mean reciprocal
rank on what ``histories`` keeps apart, after every so many steps instead of every epoch. At the end the graph of users and
items is that of the whole histories, as every other row's profile is; theirs leaves the validation's items out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from paper.graphs import Graph, interactions_graphs, larger_of, neighbours_graph
from paper.histories import Histories, validation_value
from paper.smore import Embeddings, Graphs, Smore
from paper.stopping import EarlyStopping
from vlm4rec_edge.evaluation import ItemLists


@dataclass(frozen=True)
class SmoreSettings:
    """The authors' best settings for their set of clothes (README of their program), and when to look and to stop.

    Attributes:
        width: Of the embeddings.
        layers: Of the graph of users and items.
        vision_neighbours: Of each item in the graph of photos.
        text_neighbours: In that of texts.
        contrast: Weight of the contrast.
        temperature: Of the contrast.
        shrink: Weight of the squared lengths of a batch's embeddings.
        dropout: Of the preferences.
        batch: Pairs in a step.
        rate: Learning rate of Adam, times 0.96 every 50 epochs.
        steps: At most.
        look_every: Steps between two looks at the validation.
        patience: Looks in a row that may be no better.
    """

    width: int = 64
    layers: int = 3
    vision_neighbours: int = 40
    text_neighbours: int = 10
    contrast: float = 0.01
    temperature: float = 0.2
    shrink: float = 1e-5
    dropout: float = 0.0
    batch: int = 2048
    rate: float = 1e-3
    steps: int = 1000
    look_every: int = 25
    patience: int = 12


_DECAY, _DECAY_EPOCHS = 0.96, 50


def train_smore(
    vision: np.ndarray,
    text: np.ndarray,
    histories: Histories,
    seed: int,
    say: Callable[[str], None],
    settings: SmoreSettings = SmoreSettings(),
) -> tuple[np.ndarray, np.ndarray]:
    """Train SMORE and return the vectors of all users and of all items, float32; their products are the scores.

    Args:
        vision: Unit vectors of photos, [items, dimensions], float32, zero where there is none; ``text``: of texts.
        text: See ``vision``.
        histories: What may be learned from.
        seed: Of the beginning, the order and the negatives.
        say: Told what each look at the validation brought.
        settings: See there.
    """
    torch.manual_seed(seed)
    users = len(histories.taught)
    inputs = torch.from_numpy(vision), torch.from_numpy(text)
    network = Smore(users, histories.item_count, vision.shape[1], settings.width, settings.layers, settings.dropout)
    alike = _alike(vision, text, settings)
    graphs = _graphs(histories.taught, alike, histories.item_count)
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.rate)
    per_epoch = max(1, -(-len(histories.taught.items) // settings.batch))
    rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _DECAY ** (step // per_epoch / _DECAY_EPOCHS))
    stopping = EarlyStopping(settings.patience)
    for step, (taken_by, taken, drawn) in enumerate(_pairs(histories, settings.batch, np.random.default_rng(seed))):
        if step % settings.look_every == 0:
            ends = stopping.look(_value(network, inputs, graphs, histories), network)
            say(f"step {step}, validation {stopping.values[-1]:.4f}, best {stopping.values[stopping.best]:.4f}")
            if ends or step >= settings.steps:
                break
        loss = _loss(network(*inputs, graphs), users, taken_by, taken, drawn, settings)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rates.step()
    stopping.restore(network)
    say(f"best after {stopping.best * settings.look_every} steps: {stopping.values[stopping.best]:.4f}")
    final = _final(network, inputs, _graphs(histories.whole, alike, histories.item_count))
    return final[:users], final[users:]


def _alike(vision: np.ndarray, text: np.ndarray, settings: SmoreSettings) -> tuple[Graph, Graph, Graph]:
    seen = neighbours_graph(vision, settings.vision_neighbours)
    said = neighbours_graph(text, settings.text_neighbours)
    return seen, said, larger_of(seen, said)


def _graphs(history: ItemLists, alike: tuple[Graph, Graph, Graph], item_count: int) -> Graphs:
    return Graphs(*interactions_graphs(history, item_count), *alike)


def _pairs(
    histories: Histories, batch: int, generator: np.random.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Yield users, an item of each, and one that the user is not taught, without end, every pair once an epoch."""
    taught = histories.taught
    user_of = np.repeat(np.arange(len(taught)), taught.sizes)
    pairs = np.sort(user_of * histories.item_count + taught.items)
    while True:
        order = generator.permutation(len(taught.items))
        for some in np.split(order, range(batch, len(order), batch)):
            users, taken = user_of[some], taught.items[some].astype(np.int64)
            drawn = generator.integers(0, histories.item_count, len(some))
            while (wrong := np.isin(users * histories.item_count + drawn, pairs)).any():
                drawn[wrong] = generator.integers(0, histories.item_count, int(wrong.sum()))
            yield torch.from_numpy(users), torch.from_numpy(taken), torch.from_numpy(drawn)


def _loss(
    all_of: Embeddings,
    users: int,
    taken_by: torch.Tensor,
    taken: torch.Tensor,
    drawn: torch.Tensor,
    settings: SmoreSettings,
) -> torch.Tensor:
    """Return BPR (Rendle et al., UAI 2009) plus the contrast and the squared lengths."""
    user, own, other = (all_of.final[rows] for rows in (taken_by, taken + users, drawn + users))
    ranking = -functional.logsigmoid((user * (own - other)).sum(dim=1)).mean()
    lengths = (user.square().sum() + own.square().sum() + other.square().sum()) / (2 * settings.batch)
    contrast = sum(
        _contrast(all_of.content[rows], all_of.behaviour[rows], settings.temperature)
        for rows in (torch.unique(taken_by), torch.unique(taken) + users)
    )
    return ranking + settings.shrink * lengths + settings.contrast * contrast


def _contrast(content: torch.Tensor, behaviour: torch.Tensor, temperature: float) -> torch.Tensor:
    """InfoNCE: the content of each row is to be nearest to the behaviour of the same row."""
    alike = functional.normalize(content, dim=1) @ functional.normalize(behaviour, dim=1).T
    return functional.cross_entropy(alike / temperature, torch.arange(len(alike)))


def _value(network: Smore, inputs: tuple[torch.Tensor, torch.Tensor], graphs: Graphs, histories: Histories) -> float:
    final = _final(network, inputs, graphs)
    return validation_value(final[histories.validated], final[len(histories.taught) :], histories)


def _final(network: Smore, inputs: tuple[torch.Tensor, torch.Tensor], graphs: Graphs) -> np.ndarray:
    network.eval()
    with torch.no_grad():
        final = np.asarray(network(*inputs, graphs).final.numpy())
    network.train()
    return final
