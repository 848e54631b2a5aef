"""What learning from purchases brings: beside rivals with the same content and popularity, with few purchases, for new items.

Constants were chosen on one half of the users, the reported half is the other; the weights for each half are chosen on the
other. Nothing is ever learned from what is held back.

Example:
    python benchmarks/learning.py --data ../hm --cache ../captions --content title --users baskets --group id:7
    python benchmarks/learning.py --data ../hm --cache ../captions --model ours=stylist-lvlm --content caption
    python benchmarks/learning.py --data ../hm --cache ../captions --model ours=stylist-lvlm --content title --sections photos
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
import typer
from captioning.models import model_of
from paper.rows import TRAINED_ROWS, TrainedRows
from recommending.learning_tables import cold, curve, forward, guard, words
from recommending.options import RESULTS, Cache, Data, Group, OrderOfDay, Out, Threads, about_same_day
from recommending.photo_tables import both_ways, photo_cold, photo_judged, photo_table
from recommending.purchases import WITHOUT, Found, Learners, Scores, Way, halves, learners
from recommending.representations import Representations
from recommending.shop import Task, read_shop
from running.plain_help import run_plain
from running.results_file import Section, write_report

from vlm4rec_edge import OnnxEncoder, resolve_encoder
from vlm4rec_edge.errors import UsageError, Vlm4RecError
from vlm4rec_edge.evaluation import Scorer, bootstrap_interval, compare
from vlm4rec_edge.evaluation.split import Split
from vlm4rec_edge.learning.judging import GRID
from vlm4rec_edge.mixture import Weights

PHOTO_SECTIONS = ("photos", "photos-halves", "photos-cold")
SECTIONS = ("rivals", "curve", "cold", "forward", "words", "guard", *PHOTO_SECTIONS)
# Asked for alone, these have a page of their own, named by them.
_OWN_PAGES = {"words", *PHOTO_SECTIONS}
_CONTENT = Weights()
_SHUFFLES = 200


@dataclass(frozen=True)
class Row:
    """One way to recommend.

    Attributes:
        name: What it is called.
        weights: For the reported half of the users; None: popularity alone.
        found: What it found for them.
        never_bought: How much of that nobody had bought.
        all_recalls: Recall@10 of all users, those of the other half first.
    """

    name: str
    weights: Weights | None
    found: Found
    never_bought: float
    all_recalls: np.ndarray


def rivals(known: Learners, split: Split, seed: int) -> list[Row]:
    """Return content, popularity, and each way with content and popularity; the weights for one half chosen on the other."""
    both = [split.of(half) for half in halves(len(split), seed)]
    bought = known.factors.buyers > 0

    def row(name: str, scores: Sequence[Scores], weights: Sequence[Weights | None]) -> Row:
        first, second = (one.found(own) for one, own in zip(scores, weights, strict=True))
        never = float(1 - bought[second.top].mean())
        return Row(name, weights[1], second, never, np.concatenate([first.recalls, second.recalls]))

    def crossed(scores: Sequence[Scores], grid: Sequence[Weights]) -> list[Weights]:
        return [other.best(grid) for other in reversed(scores)]

    alone = [Scores.of(known, "", half) for half in both]
    rows = [
        row("content", alone, [_CONTENT] * 2),
        row("popularity", alone, [None] * 2),
        row("content and popularity", alone, crossed(alone, WITHOUT)),
    ]
    for way in known.ways:
        scores = [Scores.of(known, way, half) for half in both]
        rows.append(row(f"{way}, alone", scores, [Weights(1.0)] * 2))
        rows.append(row(f"{way}, content and popularity", scores, crossed(scores, GRID)))
    return rows


def table(name: str, title: str, rows: Sequence[Row], remarks: Sequence[str], seed: int) -> Section:
    """Return rows as a table, each compared with content, and with content and popularity."""
    baselines = {name: next(row for row in rows if row.name == name) for name in ("content", "content and popularity")}
    shown, figures = [], []
    for row in rows:
        mean = bootstrap_interval(row.found.recalls, seed=seed)
        everybody = bootstrap_interval(row.all_recalls, seed=seed)
        beyond = {name: compare(row.found.recalls, other.found.recalls, seed=seed) for name, other in baselines.items()}
        shown.append(
            {
                "recommended by": row.name,
                "Recall@10 (95 %)": f"{mean.mean:.4f} ({mean.low:.4f} to {mean.high:.4f})",
                **{
                    f"beyond {name}": "-" if row is other else f"{gain.mean:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"
                    for (name, gain), other in zip(beyond.items(), baselines.values(), strict=True)
                },
                "of all users": f"{everybody.mean:.4f} ({everybody.low:.4f} to {everybody.high:.4f})",
                "weights: together, often": f"{row.weights.together:g}, {row.weights.often:g}" if row.weights else "-",
                "never bought among the ten": f"{row.never_bought:.0%}",
            }
        )
        gains = {f"beyond {name}": vars(gain) for name, gain in beyond.items()}
        own = {**vars(mean), **gains, "all_users": vars(everybody), "never_bought": row.never_bought}
        figures.append({"way": row.name, **own})
    users = len(rows[0].found.recalls)
    about = (
        f"{users:,} users of the reported half, {len(rows[0].all_recalls):,} in all; constants were chosen with an eye on "
        "those of the other half."
    )
    return Section(name, title, shown, figures, [about, *remarks])


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
    photos: Annotated[
        str,
        typer.Option(help="The row that the sections of photos learn from beside the content: vision-tower or vision."),
    ] = "vision-tower",
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
            asked = {
                name: made.vectors(row)
                for name, row in {"the shop's description": "description", "its caption": "caption"}.items()
                if "words" in wanted and row != content and not made.hindrance(row)
            }
            seen = made.vectors(photos) if set(wanted) & set(PHOTO_SECTIONS) else None
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
    if "words" in wanted:
        found.append(words(split, vectors, asked, seed))
    if "guard" in wanted:
        interactions = shop.baskets if users == "baskets" else shop.customers
        assert interactions is not None
        found.append(guard(vectors, interactions, shop.ids, guard_runs, seed))
    if seen is not None:
        found += _of_photos(wanted, tasks, users, (vectors, seen), seed)
    found = [replace(section, remarks=[*section.remarks, *about_same_day(same_day)]) for section in found]
    name = f"learning-{users}-{content}" + ("" if same_day == "by-id" else f"-{same_day}")
    name = "learning-guard" if wanted == ["guard"] else name
    name += "-" + "-".join(wanted) if set(wanted) <= _OWN_PAGES else ""
    typer.echo(write_report(out, name, f"Learning from purchases: {users}, {content}", found))
    _say(f"{time.monotonic() - started:.0f} s")


def _rivals(task: Task, known: Learners, content: str, seed: int) -> Section:
    suffix = "-no-variants" if task.whole else ""
    remarks = [
        f"Content is the {content}. All rows learned from {len(task.taught.training):,} users without what is held "
        "back; the weights of content, co-purchase and popularity for each half of the users are chosen on the other."
    ]
    title = "Rivals with the same content and popularity" + (", without a user's own variants" if suffix else "")
    return table(f"rivals{suffix}", title, rivals(known, task.split, seed), remarks, seed)


def _of_photos(
    wanted: Sequence[str], tasks: Mapping[str, Task], users: str, vectors: tuple[np.ndarray, np.ndarray], seed: int
) -> Iterator[Section]:
    """Yield what photos add to the content, by the vectors of both."""
    split, (content, photos) = tasks[users].split, vectors
    if "photos" in wanted:
        yield photo_judged(split, content, photos, seed)
    if "photos-halves" in wanted:
        learned = both_ways(split.training, content, photos)
        for task in (tasks[users], tasks.get(f"no-variants-{users}")):
            if task is not None:
                about = ("-no-variants", ", without a user's own variants") if task.whole else ("", "")
                title = f"photos-halves{about[0]}", f"One half of the users{about[1]}"
                yield photo_table(learned, task.split, photos, title, seed)
    if "photos-cold" in wanted:
        yield photo_cold(split, content, photos, seed)


def _trained(scorer: Callable[[Split], Scorer]) -> Way:
    """Return the scores of a row that was trained with torch, [users, items], as a way."""

    def scores(split: Split) -> np.ndarray:
        return np.array(scorer(split)(range(len(split))), np.float32)

    return scores


def _say(line: str) -> None:
    typer.echo(line, err=True)


if __name__ == "__main__":
    run_plain(main)
