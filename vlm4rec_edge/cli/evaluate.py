"""The command ``evaluate``: how well an index recommends to the users of a shop.

Its ``--json`` document (a field may be added, none is renamed or removed): ``{"index", "interactions": {"file", "used",
"failures": [{"where", "stage", "reason"}]}, "protocol": {"name", "test_share", "same_day", "min_items", "group",
"last", "half_life", "weighted", "seed", "resamples"}, "items", "vectors", "unknown_items": [id], "short_users",
"seconds", "tables": [{"own_variants", "users", "systems": [{"system", "figures": {metric: {"mean", "low", "high"}},
"differences": {metric: {"mean", "low", "high", "p_value"}}}]}]}``; ``own_variants`` is ``kept`` or ``removed``;
``test_share``, ``group``, ``last`` and ``half_life`` may be null.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlm4rec_edge.cli import options
from vlm4rec_edge.cli.output import emit_json, note, printable, table

if TYPE_CHECKING:
    from vlm4rec_edge.evaluation import Evaluation, Interactions, Split

EXIT_SOME_FAILED = 3
_LISTED = 5


class Protocol(StrEnum):
    """What of each user is held back."""

    chronological = "chronological"
    last = "last"


class SameDay(StrEnum):
    """What becomes of items of one date; see ``evaluation.chronological_split``."""

    by_id = "by-id"
    random = "random"
    left_out = "left-out"


def evaluate(
    index: options.Index,
    interactions: Annotated[
        Path,
        typer.Option(
            help="CSV, JSONL or Parquet with the columns user_id, item_id, date and, if there is one, weight.",
            show_default=False,
        ),
    ],
    protocol: Annotated[
        Protocol, typer.Option(help="Foretell the last part of each user's items, or the last item only (baskets).")
    ] = Protocol.chronological,
    test_share: Annotated[float, typer.Option(help="The part held back, with --protocol chronological.")] = 0.2,
    same_day: Annotated[
        SameDay,
        typer.Option(
            help="Items of one date come in the order of their ids, or in random order; or those of the date of the first "
            "item to foretell are left out of the history: what else was bought on that trip tells much."
        ),
    ] = SameDay.by_id,
    min_items: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Least different items of a tested user. Default: 5; 2 with --protocol last.",
            show_default=False,
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="recall@10, ndcg@10, hit_rate@10, mrr, coverage@10, novelty@10, with any number in place of 10; may be "
            "given several times. Default: all of these.",
            show_default=False,
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            help="What variants of one product share: a column, or id:7, the first 7 characters of the id. Adds a table "
            "without the user's own variants.",
            show_default=False,
        ),
    ] = None,
    last: Annotated[
        int | None, typer.Option(min=1, help="Only the newest so many items of a history count.", show_default=False)
    ] = None,
    half_life: Annotated[
        float | None,
        typer.Option(
            help="An item of a history counts half as much as one so many days newer (or in the unit of the dates, where "
            "they are numbers).",
            show_default=False,
        ),
    ] = None,
    weighted: Annotated[bool, typer.Option("--weighted", help="The column weight counts.")] = False,
    resamples: Annotated[int, typer.Option(min=1, help="Draws of the intervals and tests.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    as_json: options.AsJson = False,
) -> None:
    """Measure how well an index foretells what users took next, beside popularity and chance.

    Each user's items are sorted by date; the last fifth (at least one) is held back, the rest is the history. The index
    recommends from the history, out of all items but the history, and the figures say how much of what was held back is
    among the first. Popularity recommends to everybody what most users have. Intervals are 95 %, over users (bootstrap);
    the difference from the index is taken user by user, its p-value by a randomisation test. The index is searched
    exactly, whatever its size; equal scores are put in random order.

    \b
    Example:
      vlm4rec-edge evaluate shop.index --interactions purchases.csv
      vlm4rec-edge evaluate shop.index --interactions baskets.csv --protocol last --group product_code --metric recall@20
    """  # noqa: D301 (click reads the control character)
    import numpy as np

    from vlm4rec_edge import evaluation
    from vlm4rec_edge.cli.progress import progress_bar
    from vlm4rec_edge.columns import group_codes
    from vlm4rec_edge.index import EXACT_LIMIT
    from vlm4rec_edge.recommend.profile import ProfileSettings
    from vlm4rec_edge.recommend.source import open_source

    started = time.monotonic()
    settings = ProfileSettings(last=last, half_life=half_life)
    metrics = [name.strip() for value in metric or evaluation.DEFAULT_METRICS for name in value.split(",")]
    for name in metrics:
        evaluation.parse_metric(name)  # before any long work
    source, _ = open_source(index, exact_limit=EXACT_LIMIT)
    with closing(source):
        items = source.table()
        read, failures = evaluation.read_interactions(interactions)
        split = _split(read, items.ids, protocol, test_share, same_day, min_items)
        splits = {"kept": split}
        if group is not None:
            splits["removed"] = evaluation.without_variants(split, group_codes(items, group))
        vectors = source.vectors_at(np.arange(source.rows))
        tables = []
        for own_variants, users in splits.items():
            systems = {
                "index": evaluation.profile_scorer(users, vectors, items.rows, settings=settings, weighted=weighted),
                "popularity": evaluation.popularity_scorer(users),
                "random": evaluation.random_scorer(users, seed),
            }
            with progress_bar("Evaluating", len(users) * len(systems), shown=not as_json) as advance:
                evaluations = evaluation.evaluate(
                    systems, users, metrics=metrics, resamples=resamples, seed=seed, on_progress=advance
                )
            tables.append((own_variants, len(users), evaluations))
        document: dict[str, Any] = {
            "index": str(index),
            "interactions": {
                "file": str(interactions),
                "used": len(read),
                "failures": [asdict(failure) for failure in failures],
            },
            "protocol": {
                "name": protocol.value,
                "test_share": test_share if protocol is Protocol.chronological else None,
                "same_day": same_day.value,
                "min_items": min_items or _DEFAULT_MIN_ITEMS[protocol],
                "group": group,
                "last": last,
                "half_life": half_life,
                "weighted": weighted,
                "seed": seed,
                "resamples": resamples,
            },
            "items": len(items.ids),
            "vectors": len(np.unique(items.rows)),
            "unknown_items": list(split.unknown_items),
            "short_users": split.short_users,
            "seconds": round(time.monotonic() - started, 3),
            "tables": [
                {"own_variants": own_variants, "users": count, "systems": [_as_json(each) for each in evaluations]}
                for own_variants, count, evaluations in tables
            ],
        }
    if as_json:
        emit_json(document)
    else:
        for own_variants, count, evaluations in tables:
            _show(own_variants, count, evaluations, is_only=len(tables) == 1)
        _tell(document)
    if failures or split.unknown_items:
        raise typer.Exit(EXIT_SOME_FAILED)


_DEFAULT_MIN_ITEMS = {Protocol.chronological: 5, Protocol.last: 2}


def _split(
    interactions: Interactions,
    ids: Sequence[str],
    protocol: Protocol,
    test_share: float,
    same_day: SameDay,
    min_items: int | None,
) -> Split:
    from vlm4rec_edge import evaluation

    least = min_items or _DEFAULT_MIN_ITEMS[protocol]
    if protocol is Protocol.last:
        return evaluation.leave_last_out(interactions, ids, min_items=least, same_day=same_day.value)
    return evaluation.chronological_split(
        interactions, ids, test_share=test_share, min_items=least, same_day=same_day.value
    )


def _as_json(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "system": evaluation.system,
        "figures": {metric: asdict(figure) for metric, figure in evaluation.figures.items()},
        "differences": {metric: asdict(difference) for metric, difference in evaluation.differences.items()},
    }


def _show(own_variants: str, users: int, evaluations: Sequence[Evaluation], *, is_only: bool) -> None:
    title = f"{users:,} users" + ("" if is_only else f", their own product variants {own_variants}")
    rows = []
    for metric in evaluations[0].figures:
        for each in evaluations:
            figure = each.figures[metric]
            has_interval = len(each.values[metric]) > 1
            row = [metric, each.system, f"{figure.mean:.4f}", f"{figure.low:.4f} to {figure.high:.4f}" * has_interval]
            if (difference := each.differences.get(metric)) is not None:
                row.append(
                    f"{difference.mean:+.4f} ({difference.low:+.4f} to {difference.high:+.4f}), p = {difference.p_value:.4f}"
                )
            rows.append([*row, ""][:5])
    table(title, ["metric", "system", "value", "95 % interval", "difference from the index"], rows)


def _tell(document: dict[str, Any]) -> None:
    """Say what the figures rest on and what was left out."""
    left_out = document["protocol"]["same_day"] == SameDay.left_out.value
    or_no_history = ", or none of an earlier day," if left_out else ""
    note(
        f"{document['items']:,} items ({document['vectors']:,} different vectors) are the candidates; "
        f"{document['interactions']['used']:,} interactions; {document['short_users']:,} users have fewer than "
        f"{document['protocol']['min_items']} items{or_no_history} and are not tested."
    )
    unknown, failures = document["unknown_items"], document["interactions"]["failures"]
    if unknown:
        more = f" and {len(unknown) - _LISTED:,} more" if len(unknown) > _LISTED else ""
        note(f"Not in the index, and left out: {printable(', '.join(unknown[:_LISTED]))}{more}.")
    for failure in failures[:_LISTED]:
        note(f"Left out: {failure['reason']}")
    if len(failures) > _LISTED:
        note(f"Left out: {len(failures) - _LISTED:,} more rows; --json lists all.")
