"""What learning from purchases brings: beside rivals with the same content and popularity, with few purchases, for new items.

Weights are chosen on one half of the users, figures are of the other half; nothing is ever learned from what is held back.

Example:
    vlm4rec-edge index ../hm/items.csv --images ../hm/images --out hm.index --encoded-text title
    python benchmarks/learning.py hm.index --interactions ../hm/baskets.csv --protocol last --group id:7 --name baskets
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import typer
from recommending.purchases import Learners, best_weights, halves, learners, recalls
from running.results_file import Section, write_report

from vlm4rec_edge.columns import group_codes
from vlm4rec_edge.evaluation import EvaluationSettings, bootstrap_interval, compare, read_interactions
from vlm4rec_edge.evaluation.split import Split
from vlm4rec_edge.evaluation.variants import without_variants
from vlm4rec_edge.interactions import Interactions
from vlm4rec_edge.learning.judging import GRID, judge
from vlm4rec_edge.learning.learning import decided
from vlm4rec_edge.mixture import Weights
from vlm4rec_edge.store.reader import StoreReader

RESULTS = Path(__file__).with_name("results")
_CURVE = (100, 300, 1000, 3000)
_COLD_SHARE = 0.2
_CONTENT = Weights()
_WITHOUT = tuple(weights for weights in GRID if weights.together == 0)


@dataclass(frozen=True)
class Row:
    """Recall@10 of one way, user by user."""

    name: str
    weights: Weights | None
    recalls: np.ndarray
    never_bought: float | None = None


def chosen_rows(known: Learners, split: Split, seed: int, ways: Sequence[str]) -> list[Row]:
    """Return content, popularity, and each way with content and popularity; weights of one half, figures of the other."""
    first, second = (split.of(half) for half in halves(len(split), seed))
    rows = [Row("content", _CONTENT, recalls(known, "", _CONTENT, second))]
    popularity = replace_content(known)
    rows.append(Row("popularity", None, recalls(popularity, "popularity", Weights(1.0, 0.0), second)))
    weights = best_weights(known, "", first, _WITHOUT)
    rows.append(Row("content and popularity", weights, recalls(known, "", weights, second)))
    for way in ways:
        weights = best_weights(known, way, first, GRID)
        rows.append(Row(f"{way}, content and popularity", weights, recalls(known, way, weights, second)))
    return rows


def replace_content(known: Learners) -> Learners:
    """Return a learner that knows popularity alone."""
    return replace(known, ways={"popularity": lambda _: known.popularity})


def table(name: str, title: str, rows: Sequence[Row], remarks: Sequence[str], seed: int) -> Section:
    """Return rows as a table, each compared with the row of content and popularity."""
    baseline = next(row for row in rows if row.name == "content and popularity")
    shown, figures = [], []
    for row in rows:
        mean = bootstrap_interval(row.recalls, seed=seed)
        beyond = compare(row.recalls, baseline.recalls, seed=seed)
        chosen = "-" if row.weights is None else f"{row.weights.together:g}, {row.weights.often:g}"
        shown.append(
            {
                "recommended by": row.name,
                "Recall@10 (95 %)": f"{mean.mean:.4f} ({mean.low:.4f} to {mean.high:.4f})",
                "beyond content and popularity": "-"
                if row is baseline
                else f"{beyond.mean:+.4f} ({beyond.low:+.4f} to {beyond.high:+.4f})",
                "weights: together, often": chosen,
            }
        )
        figures.append(
            {"way": row.name, "users": len(row.recalls), "recall": mean.mean, "low": mean.low, "high": mean.high}
        )
    return Section(name, title, shown, figures, [f"{len(baseline.recalls):,} users of the reported half.", *remarks])


def curve(split: Split, content: np.ndarray, seed: int) -> Section:
    """Learn from fewer and fewer users; ask the same ones."""
    ask, learn = halves(len(split), seed)
    asked = split.of(ask)
    order = np.random.default_rng(seed).permutation(learn)
    rows, figures = [], []
    for count in (*(size for size in _CURVE if size < len(order)), len(order)):
        few = split.of(np.sort(order[:count]))
        known = learners(few.history, content, rivals=False)
        weights = {
            "content and popularity": best_weights(known, "", few, _WITHOUT),
            "learned": best_weights(known, "learned", few, GRID),
        }
        found = {name: recalls(known, "learned", own, asked) for name, own in weights.items()}
        base = recalls(known, "", _CONTENT, asked)
        row = {"users learned from": f"{count:,}", "content": f"{base.mean():.4f}"}
        for name, own in found.items():
            gain = compare(own, base, seed=seed)
            row[name] = f"{own.mean():.4f} ({gain.mean:+.4f}, {gain.low:+.4f} to {gain.high:+.4f})"
            figures.append(
                {"users": count, "way": name, "recall": float(own.mean()), "gain": gain.mean, "low": gain.low}
            )
        rows.append(row)
    remarks = [
        f"{len(asked):,} other users are asked for; the learners' own last items choose the weights and are not learned from."
    ]
    return Section("curve", "From how many users it is learned", rows, figures, remarks)


def cold(split: Split, content: np.ndarray, seed: int) -> Section:
    """Leave a fifth of the items out of all learning, and ask for them among themselves."""
    items = np.random.default_rng(seed).random(split.item_count) < _COLD_SHARE
    warm = split.training.only(~items[split.training.items])
    known = {
        "unpopular": learners(warm, content, rivals=False),
        "new": learners(warm, content, rivals=False, new=items),
    }
    is_asked = np.array([bool(items[split.test[user]].any()) for user in range(len(split))])
    asked = split.of(np.flatnonzero(is_asked))
    rest = split.of(np.flatnonzero(~is_asked))
    kept = asked.test.only(items[asked.test.items])
    asked = replace(asked, test=kept, test_dates=np.zeros(len(kept.items)))
    weights = best_weights(known["new"], "learned", rest, GRID)
    rows = [
        Row("content", _CONTENT, recalls(known["new"], "", _CONTENT, asked)),
        Row("content and popularity", weights, recalls(known["unpopular"], "", replace(weights, together=0.0), asked)),
        Row("learned, cold items marked as new", weights, recalls(known["new"], "learned", weights, asked)),
        Row("learned, cold items taken for unpopular", weights, recalls(known["unpopular"], "learned", weights, asked)),
        Row(
            "learned, without popularity",
            replace(weights, often=0.0),
            recalls(known["new"], "learned", replace(weights, often=0.0), asked),
        ),
    ]
    remarks = [
        f"{int(items.sum()):,} items were left out of all learning; asked for are test items among them, out of all items."
    ]
    return table("cold", "Items that nobody bought yet", rows, remarks, seed)


def guard(content: np.ndarray, interactions: Interactions, ids: Sequence[str], runs: int, seed: int) -> Section:
    """Learn from purchases in which every item was exchanged for a random one, as many for each user as he has."""
    wrong, gains = 0, []
    for run in range(runs):
        random = np.random.default_rng((seed, run))
        shuffled = replace(
            interactions, items=tuple(ids), item=random.integers(0, len(ids), len(interactions)).astype(np.int32)
        )
        split = EvaluationSettings(protocol="last").split(shuffled, list(ids))
        judged = judge(split, [lambda positions: content[positions]], seed=run)
        name, _, gain = decided(judged, seed=run)
        wrong += name != "content"
        gains.append(gain.mean)
    row = {"runs": str(runs), "switched on": str(wrong), "gain in NDCG@10, mean": f"{np.mean(gains):+.5f}"}
    remarks = ["Every purchase is of a random item; the users and how much each bought are those of the table."]
    return Section("guard", "Random purchases", [row], [{"runs": runs, "switched_on": wrong}], remarks)


def main(
    index: Annotated[Path, typer.Argument(help="An index of the items.")],
    interactions: Annotated[Path, typer.Option(help="What users bought.")],
    protocol: Annotated[Literal["chronological", "last"], typer.Option(help="As in evaluate.")] = "last",
    same_day: Annotated[Literal["by-id", "random", "left-out"], typer.Option(help="As in evaluate.")] = "by-id",
    group: Annotated[str, typer.Option(help="What variants share; adds a table without a user's own variants.")] = "",
    sections: Annotated[
        str, typer.Option(help="Of rivals, curve, cold, guard; comma between them.")
    ] = "rivals,curve,cold",
    guard_runs: Annotated[int, typer.Option(help="Runs on random purchases.")] = 200,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    name: Annotated[str, typer.Option(help="Results are called learning-NAME.")] = "baskets",
    remark: Annotated[str, typer.Option(help="What the data are, for the results.")] = "",
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = RESULTS,
) -> None:
    """Measure, print, and write the results."""
    started = time.monotonic()
    with StoreReader(index, content=True) as store:
        items = store.table()
        content = store.vectors_at(items.rows)
        encoded = store.meta["encoded_text"]
    events, _ = read_interactions(interactions)
    settings = EvaluationSettings(protocol=protocol, same_day=same_day)
    split = settings.split(events, items.ids)
    wanted = sections.split(",")
    found: list[Section] = []
    if "rivals" in wanted:
        known = learners(split.training, content)
        remarks = [f"Content is the {encoded}. Learned from {len(split.training):,} users without what is held back."]
        splits: Mapping[str, Split] = {"": split}
        if group:
            splits = {**splits, "-no-variants": without_variants(split, group_codes(items, group))}
        for suffix, users in splits.items():
            rows = chosen_rows(known, users, seed, list(known.ways))
            title = "Rivals with the same content and popularity" + (
                ", without a user's own variants" if suffix else ""
            )
            found.append(table(f"rivals{suffix}", title, rows, remarks, seed))
    if "curve" in wanted:
        found.append(curve(split, content, seed))
    if "cold" in wanted:
        found.append(cold(split, content, seed))
    if "guard" in wanted:
        found.append(guard(content, events, items.ids, guard_runs, seed))
    if remark:
        found = [replace(section, remarks=[*section.remarks, remark]) for section in found]
    print(write_report(out, f"learning-{name}", "Learning from purchases", found))
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    typer.run(main)
