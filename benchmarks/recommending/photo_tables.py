"""Tables of what the photos' own vectors add to learning from purchases, for users and for new items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from running.results_file import Section

from recommending.learning_tables import COLD_DRAWS, asked_cold
from recommending.purchases import WITHOUT, Found, Learners, Scores, halves, learners
from vlm4rec_edge.evaluation import bootstrap_interval, compare
from vlm4rec_edge.evaluation.split import ItemLists, Split
from vlm4rec_edge.learning.judging import GRID, PHOTO_SHARE, judge, recall
from vlm4rec_edge.learning.learning import WITH_PHOTOS, decided, ways_of
from vlm4rec_edge.mixture import Weights, beside_photos

LEARNED = "learned"
_CONTENT = Weights()


def both_ways(
    purchases: ItemLists, content: np.ndarray, photos: np.ndarray, new: np.ndarray | None = None
) -> dict[str, Learners]:
    """Learn from purchases by content alone, and by content and photos; items are compared by their content either way."""
    seen = beside_photos(content, photos, PHOTO_SHARE)
    return {
        LEARNED: learners(purchases, content, new=new),
        WITH_PHOTOS: replace(learners(purchases, seen, new=new), content=content),
    }


def photo_table(
    known: Mapping[str, Learners], split: Split, photos: np.ndarray, title: tuple[str, str], seed: int
) -> Section:
    """Return content, photos, popularity and both ways of learning, each compared with content and with ``LEARNED``.

    Weights are chosen on one half of the users, the other is reported.
    """
    chosen, reported = (split.of(half) for half in halves(len(split), seed))

    def crossed(own: Learners, way: str, grid: Sequence[Weights]) -> tuple[Weights, Found]:
        weights = Scores.of(own, way, chosen).best(grid)
        return weights, Scores.of(own, way, reported).found(weights)

    words = known[LEARNED]
    found = {
        "content": crossed(words, "", [_CONTENT]),
        "photos by themselves": crossed(replace(words, content=photos), "", [_CONTENT]),
        "content and popularity": crossed(words, "", WITHOUT),
        **{way: crossed(own, "learned", GRID) for way, own in known.items()},
    }
    rows, figures = [], []
    for way, (weights, own) in found.items():
        mean = bootstrap_interval(own.recalls, seed=seed)
        bases = [base for base in ("content", LEARNED) if base != way]
        gains = {base: compare(own.recalls, found[base][1].recalls, seed=seed) for base in bases}
        told = {base: f"{gain.mean:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})" for base, gain in gains.items()}
        rows.append(
            {
                "recommended by": way,
                "Recall@10 (95 %)": f"{mean.mean:.4f} ({mean.low:.4f} to {mean.high:.4f})",
                **{f"beyond {base}": told.get(base, "-") for base in ("content", LEARNED)},
                "weights: together, often": f"{weights.together:g}, {weights.often:g}",
            }
        )
        beyond = {f"beyond {base}": vars(gain) for base, gain in gains.items()}
        figures.append({"way": way, **vars(mean), **beyond})
    trust = ", ".join(f"{way} {own.factors.trust:.2f}" for way, own in known.items())
    remarks = [f"{len(reported):,} users of the reported half. How far predicted factors are trusted (rho): {trust}."]
    return Section(*title, rows, figures, remarks)


def photo_cold(split: Split, content: np.ndarray, photos: np.ndarray, seed: int) -> Section:
    """Leave a fifth of the items out of all learning, marked as new, and ask for them; several times, with others left out."""
    ways: dict[str, list[np.ndarray]] = {}
    for draw in range(COLD_DRAWS):
        items, warm, asked, rest = asked_cold(split, seed, draw)
        known = both_ways(warm, content, photos, items)
        ways.setdefault("content", []).append(Scores.of(known[LEARNED], "", asked).found(_CONTENT).recalls)
        for way, own in known.items():
            weights = Scores.of(own, "learned", rest).best(GRID)
            ways.setdefault(way, []).append(Scores.of(own, "learned", asked).found(weights).recalls)
    found = {way: np.concatenate(values) for way, values in ways.items()}
    rows, figures = [], []
    for way, values in found.items():
        gains = {base: compare(values, found[base], seed=seed) for base in ("content", LEARNED)}
        told = {
            f"beyond {base}": "-" if base == way else f"{gain.mean:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"
            for base, gain in gains.items()
        }
        rows.append({"recommended by": way, "Recall@10": f"{values.mean():.4f}", **told})
        figures.append(
            {"way": way, "recall": float(values.mean()), **{base: vars(gain) for base, gain in gains.items()}}
        )
    remarks = [
        f"As the table of items that nobody bought yet, all marked as new: {len(found['content']):,} test items."
    ]
    return Section("photos-cold", "Items that nobody bought yet", rows, figures, remarks)


def photo_judged(split: Split, content: np.ndarray, photos: np.ndarray, seed: int) -> Section:
    """Judge as ``learn`` does, by its own folds and guard, and say what it would switch on."""
    judged = judge(split, [lambda positions: content[positions]], photos=lambda positions: photos[positions], seed=seed)
    ways = ways_of(judged, seed)
    name, _, gain = decided(judged, seed)
    base = {system.name: recall(ranks) for system, ranks in ways}
    rows, figures = [], []
    for system, ranks in ways:
        one, beyond = system.recall, compare(recall(ranks), base["content"], seed=seed)
        further = compare(recall(ranks), base[LEARNED], seed=seed)
        told = {"beyond content": (beyond, "content"), f"beyond {LEARNED}": (further, LEARNED)}
        rows.append(
            {
                "recommended by": system.name,
                "Recall@10 (95 %)": f"{one.mean:.4f} ({one.low:.4f} to {one.high:.4f})",
                **{
                    column: "-" if system.name == other else f"{own.mean:+.4f} ({own.low:+.4f} to {own.high:+.4f})"
                    for column, (own, other) in told.items()
                },
                "weights: together, often": "-"
                if system.weights is None
                else f"{system.weights.together:g}, {system.weights.often:g}",
            }
        )
        figures.append(
            {"way": system.name, **vars(one), "beyond content": vars(beyond), "beyond learned": vars(further)}
        )
    remarks = [
        f"{len(judged.users):,} users, judged as learn judges: four folds, weights chosen on the others. It chooses: {name} "
        f"(NDCG@10 {gain.mean:+.4f}, {gain.low:+.4f} to {gain.high:+.4f} at 99 %, beyond content)."
    ]
    return Section("photos", "Judged by learn itself", rows, [*figures, {"chosen": name, "gain": vars(gain)}], remarks)
