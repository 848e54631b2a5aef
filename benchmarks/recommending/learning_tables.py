"""Tables of what learning from purchases brings: with few purchases, for new items, forward in time, by words, by chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import typer
from running.results_file import Section

from recommending.purchases import WITHOUT, Found, Scores, halves, learners
from vlm4rec_edge.evaluation import compare
from vlm4rec_edge.evaluation.split import ItemLists, Split, leave_last_out
from vlm4rec_edge.interactions import Interactions
from vlm4rec_edge.learning.factors import Factors
from vlm4rec_edge.learning.judging import GRID, judge
from vlm4rec_edge.learning.learning import decided
from vlm4rec_edge.mixture import Weights, predicted_factors

_CURVE = (100, 300, 1000, 3000)
_COLD_SHARE = 0.2
COLD_DRAWS = 5
_CONTENT = Weights()
_QUERIES = 2_000
_TOGETHER = (0.5, 0.85)


def curve(split: Split, content: np.ndarray, seed: int) -> Section:
    """Learn from fewer and fewer users; ask the same ones."""
    ask, learn = halves(len(split), seed)
    asked = split.of(ask)
    order = np.random.default_rng(seed).permutation(learn)
    rows: list[dict[str, str]] = []
    figures: list[dict[str, Any]] = []
    for count in (*(size for size in _CURVE if size < len(order)), len(order)):
        few = split.of(np.sort(order[:count]))
        row, own = _learned_from(few, asked, content, seed)
        rows.append({"users learned from": f"{count:,}", **row})
        figures.append({"users": count, **own})
    remarks = [
        f"{len(asked):,} other users are asked for; the learners' own last items choose the weights and are not learned from."
    ]
    return Section("curve", "From how many users it is learned", rows, figures, remarks)


def _learned_from(few: Split, asked: Split, content: np.ndarray, seed: int) -> tuple[dict[str, str], dict[str, Any]]:
    """Learn from the histories of some users, choose weights on their held-back items, and ask for others."""
    known = learners(few.history, content)
    own, other = Scores.of(known, "learned", few), Scores.of(known, "learned", asked)
    base = other.found(_CONTENT).recalls
    row, figures = {"content": f"{base.mean():.4f}"}, {"content": float(base.mean())}
    for name, grid in (("content and popularity", WITHOUT), ("learned", GRID)):
        found = other.found(own.best(grid)).recalls
        gain = compare(found, base, seed=seed)
        row[name] = f"{found.mean():.4f} ({gain.mean:+.4f}, {gain.low:+.4f} to {gain.high:+.4f})"
        figures |= {name: float(found.mean()), f"gain of {name}": vars(gain)}
    return row, figures


def cold(split: Split, content: np.ndarray, seed: int) -> Section:
    """Leave a fifth of the items out of all learning, and ask for them; several times, with others left out."""
    ways: dict[str, list[Found]] = {}
    for draw in range(COLD_DRAWS):
        items, warm, asked, rest = asked_cold(split, seed, draw)
        for name, new in (("marked as new", items), ("taken for unpopular", None)):
            known = learners(warm, content, new=new)
            weights = Scores.of(known, "learned", rest).best(GRID)
            scores = Scores.of(known, "learned", asked)
            tried = {
                "content": _CONTENT,
                f"content and popularity, {name}": replace(weights, together=0.0),
                f"learned, {name}": weights,
                "learned, without popularity": replace(weights, often=0.0),
            }
            for way, own in tried.items():
                if way not in ways or len(ways[way]) <= draw:
                    ways.setdefault(way, []).append(scores.found(own))
    rows, figures = [], []
    base = np.concatenate([found.recalls for found in ways["content"]])
    for way, found in ways.items():
        values = np.concatenate([one.recalls for one in found])
        gain = compare(values, base, seed=seed)
        beyond = "-" if way == "content" else f"{gain.mean:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"
        rows.append({"recommended by": way, "Recall@10": f"{values.mean():.4f}", "beyond content": beyond})
        figures.append({"way": way, "recall": float(values.mean()), "gain": vars(gain)})
    remarks = [
        f"{COLD_DRAWS} times a fifth of the items is left out of all learning, for everybody; asked for are test items among "
        f"them ({len(base):,} in all), candidates are all items. Weights are chosen on users whose test items are others."
    ]
    return Section("cold", "Items that nobody bought yet", rows, figures, remarks)


def asked_cold(split: Split, seed: int, draw: int) -> tuple[np.ndarray, ItemLists, Split, Split]:
    """Return which items are left out, [items] bool, the training data without them, who is asked for them, and the others."""
    items = np.random.default_rng((seed, draw)).random(split.item_count) < _COLD_SHARE
    warm = split.training.only(~items[split.training.items])
    is_asked = np.array([bool(items[split.test[user]].any()) for user in range(len(split))])
    asked, rest = (split.of(np.flatnonzero(some)) for some in (is_asked, ~is_asked))
    kept = asked.test.only(items[asked.test.items])
    return items, warm, replace(asked, test=kept, test_dates=np.zeros(len(kept.items))), rest


def forward(split: Split, content: np.ndarray, seed: int) -> Section | None:
    """Learn from users whose purchases end before a day, and ask for users whose last purchase is later."""
    last = np.array([split.test_dates[end - 1] for end in split.test.starts[1:]])
    day = float(np.quantile(np.floor(last), 0.5))
    earlier, later = np.flatnonzero(np.floor(last) < day), np.flatnonzero(np.floor(last) >= day)
    if not len(earlier):
        return None
    row, figures = _learned_from(split.of(earlier), split.of(later), content, seed)
    remarks = [
        f"Learned from {len(earlier):,} users whose purchases end before the median of all last days; {len(later):,} users "
        "who bought on that day or later are asked for, and nothing of theirs is learned from."
    ]
    return Section("forward", "Forward in time", [row], [figures], remarks)


def words(split: Split, content: np.ndarray, asked: Mapping[str, np.ndarray], seed: int) -> Section:
    """Ask by words, of an item as the shop or a captioner describes it, and for what is bought with a new item.

    Args:
        split: The users.
        content: Unit vectors of the items.
        asked: From what is asked by to its unit vectors, one for each item, zero where there is none.
        seed: Of what is drawn.
    """
    first, second = halves(len(split), seed)
    jitter = np.random.default_rng(seed).random(split.item_count, np.float32) * np.float32(2e-6)
    rows, figures = [], []

    def tell(task: str, found: Mapping[str, np.ndarray]) -> None:
        base = found["content alone"]
        for way, values in found.items():
            gain = compare(values, base, seed=seed)
            beyond = "-" if values is base else f"{gain.mean:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"
            told = {"asked": task, "by": way, "found in ten": f"{values.mean():.4f}", "beyond content alone": beyond}
            rows.append({**told, "queries": f"{len(values):,}"})
            figures.append({"asked": task, "by": way, "found": float(values.mean()), "gain": vars(gain)})

    def ways(factors: Factors, query: np.ndarray) -> dict[str, np.ndarray]:
        predicted = predicted_factors(query, factors.projection, factors.trust)
        reads, goes = query @ content.T, predicted @ factors.of(content, np.arange(len(content))).T
        return {
            "content alone": reads + jitter,
            **{f"W, {a:g} of the score": (1 - a) * reads + a * goes + jitter for a in _TOGETHER},
        }

    known = learners(split.training, content).factors
    for name, vectors in asked.items():
        own = np.flatnonzero(vectors.any(axis=1))
        own = np.sort(np.random.default_rng(seed).permutation(own)[:_QUERIES])
        found = {
            way: (scores >= np.partition(scores, -10)[:, [-10]])[np.arange(len(own)), own]
            for way, scores in ways(known, vectors[own]).items()
        }
        tell(f"the item that {name} describes", {way: values.astype(float) for way, values in found.items()})
    companions: dict[str, list[float]] = {}
    everything = split.with_tests()
    for draw in range(COLD_DRAWS):
        is_cold = np.random.default_rng((seed, draw)).random(split.item_count) < _COLD_SHARE
        taught = everything.of(split.positions[first])
        factors = learners(taught.only(~is_cold[taught.items]), content).factors
        baskets = [everything[user] for user in split.positions[second]]
        pairs = [
            (basket[is_cold[basket]][0], basket[~is_cold[basket]])
            for basket in baskets
            if 0 < is_cold[basket].sum() < len(basket)
        ]
        for way, scores in ways(factors, content[[new for new, _ in pairs]]).items():
            scores[:, is_cold] = -np.inf
            top = np.argpartition(-scores, 10, axis=1)[:, :10]
            companions.setdefault(way, []).extend(
                float(np.isin(rest, best).mean()) for (_, rest), best in zip(pairs, top, strict=True)
            )
    tell("what is bought with a new item", {way: np.array(values) for way, values in companions.items()})
    remarks = [
        "A new item: one of a fifth of the items that are left out of all learning. Learned from one half of the users, asked "
        "for the other."
    ]
    return Section("words", "Asked by words: through W, or by content alone", rows, figures, remarks)


def guard(content: np.ndarray, interactions: Interactions, ids: Sequence[str], runs: int, seed: int) -> Section:
    """Learn from purchases in which every item was exchanged for a random one, as many for each user as before."""
    wrong, gains = 0, []
    for run in range(runs):
        random = np.random.default_rng((seed, run))
        item = random.integers(0, len(ids), len(interactions)).astype(np.int32)
        split = leave_last_out(replace(interactions, items=tuple(ids), item=item), list(ids))
        name, _, gain = decided(judge(split, [lambda positions: content[positions]], seed=run), seed=run)
        wrong += name != "content"
        gains.append(gain.mean)
        if run % 10 == 9:
            typer.echo(f"{run + 1} runs, switched on {wrong} times", err=True)
    row = {"runs": str(runs), "switched on": str(wrong), "gain in NDCG@10, mean": f"{np.mean(gains):+.5f}"}
    remarks = ["Every purchase is of a random item; the users and how much each bought are those of the table."]
    return Section("guard", "Random purchases", [row], [{"runs": runs, "switched_on": wrong}], remarks)
