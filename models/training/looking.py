"""First lesson: the vision tower learns to see, from attribute heads, a convolutional teacher and the shop's words."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from descent import Descent, rate_at
from journal import Journal, load_state, save_state
from photos import Views, as_input
from precision import half_precision
from tower import HEAD_WEIGHTS, SIDE, UNKNOWN, Lessons
from world import World, shuffled_rows

from vlm4rec_edge.errors import UsageError

BATCH = 128
_PEAK_RATE, _LAST_RATE, _WARM_UP = 2e-3, 1e-5, 300
_BETAS = (0.9, 0.98)
# Most of the time the tower sees a random part of the patches (as in FLIP, arXiv 2212.00794): half again as many photos an
# hour. The last part of the lesson shows whole photos, as they will be shown later.
_KEPT_PATCHES, _PARTIAL_SHARE = 40, 0.9
_AVERAGE = 0.9995  # of the weights that are kept; they see better than the last ones
_CHECK_EVERY, _SAVE_EVERY = 500, 250  # steps


@dataclass
class _State:
    lessons: Lessons
    average: Lessons
    descent: Descent
    step: int


def learn_to_see(
    world: World, folder: Path, *, epochs: float, seed: int, device: str, compiled: bool = False
) -> Lessons:
    """Train the tower, going on from ``folder/looking.pt`` if it is there; return the averaged weights.

    Args:
        world: What it learns from.
        folder: For the checkpoint and the journal.
        epochs: Passes over the training rows.
        seed: Of the initial weights, the order and the views.
        device: ``cpu`` or ``cuda``.
        compiled: Let torch compile the tower: quicker, but needs a C++ compiler.

    Raises:
        UsageError: what is there was begun with another seed.
    """
    torch.manual_seed(seed)
    lessons = Lessons({head: len(names) for head, names in world.classes.items()})
    state = _State(
        lessons.to(device), copy.deepcopy(lessons).to(device), Descent(lessons.named_parameters(), _BETAS), 0
    )
    if compiled:
        state.lessons.tower.compile()
    path = folder / "looking.pt"
    if path.is_file():
        saved = load_state(path)
        if saved.get("seed", seed) != seed:
            raise UsageError(f"{path} was begun with --seed {saved['seed']}; go on with that, or give another --out.")
        state.lessons.load_state_dict(saved["lessons"])
        state.average.load_state_dict(saved["average"])
        state.descent.load(saved["optimizers"])
        state.step = saved["step"]
    each = max(len(world.train) // BATCH, 1)
    steps = round(epochs * each)
    journal = Journal(folder / "looking.csv", state.step)
    started, began_at = time.monotonic(), state.step
    order: np.ndarray = np.zeros(0, np.int64)
    for step in range(state.step, steps):
        if not len(order) or step % each == 0:
            order = shuffled_rows(world.train, step // each, seed)
        rows = order[(step % each) * BATCH :][:BATCH]
        loss, parts = _learn(world, state, rows, step, steps, seed, device)
        journal.add(step + 1, loss=loss, **parts)
        state.step = step + 1
        if state.step % 50 == 0:
            pace = (state.step - began_at) * BATCH / (time.monotonic() - started)
            print(
                f"looking: step {state.step} of {steps}, loss {journal.mean('loss'):.3f}, {pace:.0f} photos/s",
                flush=True,
            )
        if state.step % _CHECK_EVERY == 0 or state.step == steps:
            right = accuracy(state.average, world, world.held_out, device)
            journal.add(state.step, **{f"right_{head}": share for head, share in right.items()})
            print("  held out: " + ", ".join(f"{head} {share:.1%}" for head, share in right.items()), flush=True)
        if state.step % _SAVE_EVERY == 0 or state.step == steps:
            journal.save()
            save_state(
                path,
                lessons=state.lessons.state_dict(),
                average=state.average.state_dict(),
                optimizers=state.descent.state_dicts(),
                step=state.step,
                seed=seed,
            )
    return state.average


def _learn(
    world: World, state: _State, rows: np.ndarray, step: int, steps: int, seed: int, device: str
) -> tuple[float, dict[str, float]]:
    generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
    views = Views(generator)
    pixels = views(world.photos_at(rows)).to(device)
    maps = views.read_map(world.maps_at(rows)).flatten(2).transpose(1, 2)
    kept = None
    if step < _PARTIAL_SHARE * steps:
        chance = torch.rand(len(rows), SIDE * SIDE, generator=generator)
        kept = chance.argsort(1)[:, :_KEPT_PATCHES].to(device)
    labels = {head: world.labels[head][rows].to(device) for head in HEAD_WEIGHTS}
    opinions = {head: chances[rows].float().to(device) for head, chances in world.opinions.items()}
    pools, texts = world.pools[rows].to(device), world.texts[rows].to(device)
    with half_precision(pixels.device.type):
        loss, parts = state.lessons.loss(pixels, kept, labels, opinions, maps.to(device), pools, texts)
    state.descent.take(loss, rate_at(step, steps, _PEAK_RATE, _LAST_RATE, _WARM_UP))
    # Early on the average follows quickly, or it would keep the first, random weights for long.
    follow = min(_AVERAGE, (step + 1) / (step + 10))
    with torch.no_grad():
        for mine, new in zip(state.average.parameters(), state.lessons.parameters(), strict=True):
            mine.lerp_(new, 1 - follow)
    return float(loss.detach()), parts


@torch.no_grad()
def accuracy(lessons: Lessons, world: World, rows: np.ndarray, device: str) -> dict[str, float]:
    """Return per head the share it gets right of the rows whose label is known."""
    right, known = dict.fromkeys(HEAD_WEIGHTS, 0), dict.fromkeys(HEAD_WEIGHTS, 0)
    for first in range(0, len(rows), BATCH):
        some = rows[first : first + BATCH]
        for head, logits in lessons(as_input(world.photos_at(some)).to(device)).items():
            labels = world.labels[head][some]
            right[head] += int((logits.argmax(1).cpu() == labels).sum())
            known[head] += int((labels != UNKNOWN).sum())
    return {head: right[head] / known[head] for head in HEAD_WEIGHTS if known[head]}
