"""What learning from purchases brings: beside rivals with the same content and popularity, with few purchases, for new items.

Weights are chosen on one half of the users, figures are of the other half; nothing is ever learned from what is held back.

Example:
    python benchmarks/learning.py --data ../hm --cache ../captions --content title --users baskets --group id:7
    python benchmarks/learning.py --data ../hm --cache ../captions --model ours=stylist-lvlm --content caption
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
import typer
from captioning.models import model_of
from paper.rows import TRAINED_ROWS, TrainedRows
from recommending.options import RESULTS, Cache, Data, Group, OrderOfDay, Out, Threads, about_same_day
from recommending.purchases import WITHOUT, Found, Learners, Scores, halves, learners
from recommending.representations import Representations
from recommending.shop import Task, read_shop
from running.plain_help import run_plain
from running.results_file import Section, write_report

from vlm4rec_edge import OnnxEncoder, resolve_encoder
from vlm4rec_edge.errors import UsageError, Vlm4RecError
from vlm4rec_edge.evaluation import bootstrap_interval, compare
from vlm4rec_edge.evaluation.split import Split, leave_last_out
from vlm4rec_edge.interactions import Interactions
from vlm4rec_edge.learning.judging import GRID, judge
from vlm4rec_edge.learning.learning import decided
from vlm4rec_edge.mixture import Weights

SECTIONS = ("rivals", "curve", "cold", "forward", "guard")
_CURVE = (100, 300, 1000, 3000)
_COLD_SHARE = 0.2
_COLD_DRAWS = 5
_CONTENT = Weights()
_SHUFFLES = 200


@dataclass(frozen=True)
class Row:
    """One way: its weights (None: popularity alone), what it found, and what it never saw bought among that."""

    name: str
    weights: Weights | None
    found: Found
    never_bought: float


def rivals(known: Learners, split: Split, seed: int) -> list[Row]:
    """Return content, popularity, and each way with content and popularity; weights of one half, figures of the other."""
    first, second = (split.of(half) for half in halves(len(split), seed))
    bought = known.factors.buyers > 0

    def row(name: str, scores: Scores, weights: Weights | None) -> Row:
        found = scores.found(weights)
        return Row(name, weights, found, float(1 - bought[found.top].mean()))

    alone = Scores.of(known, "", second)
    rows = [
        row("content", alone, _CONTENT),
        row("popularity", alone, None),
        row("content and popularity", alone, Scores.of(known, "", first).best(WITHOUT)),
    ]
    for way in known.ways:
        scores = Scores.of(known, way, second)
        rows.append(row(f"{way}, alone", scores, Weights(1.0)))
        rows.append(row(f"{way}, content and popularity", scores, Scores.of(known, way, first).best(GRID)))
    return rows


def table(name: str, title: str, rows: Sequence[Row], remarks: Sequence[str], seed: int) -> Section:
    """Return rows as a table, each compared with content, and with content and popularity."""
    baselines = {name: next(row for row in rows if row.name == name) for name in ("content", "content and popularity")}
    shown, figures = [], []
    for row in rows:
        mean = bootstrap_interval(row.found.recalls, seed=seed)
        beyond = {name: compare(row.found.recalls, other.found.recalls, seed=seed) for name, other in baselines.items()}
        shown.append(
            {
                "recommended by": row.name,
                "Recall@10 (95 %)": f"{mean.mean:.4f} ({mean.low:.4f} to {mean.high:.4f})",
                **{
                    f"beyond {name}": "-" if row is other else f"{gain.mean:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"
                    for (name, gain), other in zip(beyond.items(), baselines.values(), strict=True)
                },
                "weights: together, often": f"{row.weights.together:g}, {row.weights.often:g}" if row.weights else "-",
                "never bought among the ten": f"{row.never_bought:.0%}",
            }
        )
        gains = {f"beyond {name}": vars(gain) for name, gain in beyond.items()}
        figures.append({"way": row.name, **vars(mean), **gains, "never_bought": row.never_bought})
    users = len(rows[0].found.recalls)
    return Section(name, title, shown, figures, [f"{users:,} users of the reported half.", *remarks])


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
    for draw in range(_COLD_DRAWS):
        items = np.random.default_rng((seed, draw)).random(split.item_count) < _COLD_SHARE
        warm = split.training.only(~items[split.training.items])
        is_asked = np.array([bool(items[split.test[user]].any()) for user in range(len(split))])
        asked, rest = (split.of(np.flatnonzero(some)) for some in (is_asked, ~is_asked))
        kept = asked.test.only(items[asked.test.items])
        asked = replace(asked, test=kept, test_dates=np.zeros(len(kept.items)))
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
        f"{_COLD_DRAWS} times a fifth of the items is left out of all learning, for everybody; asked for are test items among "
        f"them ({len(base):,} in all), candidates are all items. Weights are chosen on users whose test items are others."
    ]
    return Section("cold", "Items that nobody bought yet", rows, figures, remarks)


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
            _say(f"{run + 1} runs, switched on {wrong} times")
    row = {"runs": str(runs), "switched on": str(wrong), "gain in NDCG@10, mean": f"{np.mean(gains):+.5f}"}
    remarks = ["Every purchase is of a random item; the users and how much each bought are those of the table."]
    return Section("guard", "Random purchases", [row], [{"runs": runs, "switched_on": wrong}], remarks)


def main(
    data: Data,
    cache: Cache,
    content: Annotated[str, typer.Option(help="What items are compared by: title, caption, or another row.")] = "title",
    users: Annotated[Literal["baskets", "customers"], typer.Option(help="Whose purchases.")] = "baskets",
    same_day: OrderOfDay = "by-id",
    group: Group = "",
    model_options: Annotated[list[str] | None, typer.Option("--model", help="A captioner, as in accuracy.py.")] = None,
    trained: Annotated[
        str, typer.Option(help=f"Rivals trained with torch, comma between: {', '.join(TRAINED_ROWS)}.")
    ] = "",
    sections: Annotated[str, typer.Option(help=f"Of {', '.join(SECTIONS)}; comma between.")] = "rivals,curve,cold",
    guard_runs: Annotated[int, typer.Option(help="Runs on random purchases.")] = _SHUFFLES,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    threads: Threads = 0,
    out: Out = RESULTS,
) -> None:
    """Measure what learning from purchases brings, print it, and write the results."""
    started = time.monotonic()
    wanted = sections.split(",")
    try:
        if unknown := set(wanted) - set(SECTIONS):
            raise UsageError(
                f"There is no section {', '.join(sorted(unknown))}; the sections are {', '.join(SECTIONS)}."
            )
        shop = read_shop(data)
        tasks = {task.name: task for task in shop.tasks(group, same_day)}
        models = [model_of(option, {"threads": threads or None}) for option in model_options or []]
        with OnnxEncoder(resolve_encoder(), threads=threads or None) as encoder:
            made = Representations(shop, models, encoder, "", cache, _say)
            vectors = made.vectors(content)
            rows = [row.strip() for row in trained.split(",") if row.strip()]
            systems = list(TrainedRows(made, cache / "trained", threads, (seed,)).systems(rows))
    except Vlm4RecError as error:
        raise SystemExit(f"Error: {error}") from None
    if users not in tasks:
        raise SystemExit(f"Error: there is no table of {users} in {data} (by --same-day left-out, of baskets never).")
    split = tasks[users].split
    found: list[Section] = []
    if "rivals" in wanted:
        known = learners(split.training, vectors, rivals=True)
        ways = {system.name: _trained(system.tries(tasks[users])[seed].scorer) for system in systems}
        known = replace(known, ways={**known.ways, **ways})
        for task in (tasks[users], tasks.get(f"no-variants-{users}")):
            if task is not None:
                found.append(_rivals(task, known, content, seed))
    found += [curve(split, vectors, seed)] if "curve" in wanted else []
    found += [cold(split, vectors, seed)] if "cold" in wanted else []
    found += [one] if "forward" in wanted and (one := forward(split, vectors, seed)) else []
    if "guard" in wanted:
        interactions = shop.baskets if users == "baskets" else shop.customers
        assert interactions is not None
        found.append(guard(vectors, interactions, shop.ids, guard_runs, seed))
    found = [replace(section, remarks=[*section.remarks, *about_same_day(same_day)]) for section in found]
    name = f"learning-{users}-{content}" + ("" if same_day == "by-id" else f"-{same_day}")
    typer.echo(write_report(out, name, f"Learning from purchases: {users}, {content}", found))
    _say(f"{time.monotonic() - started:.0f} s")


def _rivals(task: Task, known: Learners, content: str, seed: int) -> Section:
    suffix = "-no-variants" if task.whole else ""
    remarks = [
        f"Content is the {content}. All rows learned from {len(task.taught.training):,} users without what is held "
        "back; weights of content, co-purchase and popularity are chosen on the other half of the users."
    ]
    title = "Rivals with the same content and popularity" + (", without a user's own variants" if suffix else "")
    return table(f"rivals{suffix}", title, rivals(known, task.split, seed), remarks, seed)


def _trained(scorer: Any) -> Any:
    """Return the scores of a row that was trained with torch, [users, items], as a way."""

    def scores(split: Split) -> np.ndarray:
        return np.array(scorer(split)(range(len(split))), np.float32)

    return scores


def _say(line: str) -> None:
    typer.echo(line, err=True)


if __name__ == "__main__":
    run_plain(main)
