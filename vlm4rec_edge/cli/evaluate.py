"""The command ``evaluate``: how well an index recommends to the users of a shop.

Its ``--json`` document: ``vlm4rec_edge/documents/evaluation.schema.json``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vlm4rec_edge.cli import lists, options
from vlm4rec_edge.cli.groups import given, grouped
from vlm4rec_edge.cli.output import EXIT_SOME_FAILED, emit_json, note, table, tell_left_out

if TYPE_CHECKING:
    from vlm4rec_edge.evaluation import Evaluation, EvaluationTable


@dataclass(frozen=True)
class ProtocolOptions:
    """The fields of ``EvaluationSettings``."""

    protocol: Annotated[
        Literal["chronological", "last"],
        typer.Option(
            help="Predict the last part of each user's items (chronological), or only the last item (last, for baskets)."
        ),
    ] = "chronological"
    test_share: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="The share of a user's items, from 0 to 1, that is held back with --protocol chronological.",
        ),
    ] = 0.2
    same_day: Annotated[
        Literal["by-id", "random", "left-out"],
        typer.Option(
            help="How to order items of the same date: by-id, or random. left-out leaves the items of the calendar day of the "
            "first item to predict out of the history, because purchases of the same day predict each other too easily."
        ),
    ] = "by-id"
    min_items: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=2,
            help="Test only users with at least N different items. Default: 5; 2 with --protocol last.",
            show_default=False,
        ),
    ] = None
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            metavar="METRIC",
            help="What to measure: recall@10, ndcg@10, hit_rate@10, mrr, coverage@10 or novelty@10, with any number instead "
            "of 10. May be given several times. Default: all of these.",
            show_default=False,
        ),
    ] = None
    group: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="What variants of one product have in common: a column, or id:7, the first 7 characters of the id. The "
            "result has a second table then, without variants of the user's own items.",
            show_default=False,
        ),
    ] = None
    last: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Count only the N newest items of a history.", show_default=False),
    ] = None
    half_life: Annotated[
        float | None,
        typer.Option(
            metavar="DAYS",
            help="The half-life of items in a history: by how many days an item must be older to count half as much (or by "
            "how many units, if the dates are numbers).",
            show_default=False,
        ),
    ] = None
    weighted: Annotated[
        bool, typer.Option("--weighted", help="Weight the items of a history by the column weight.")
    ] = False
    resamples: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="The number of bootstrap resamples of the users, for intervals and tests."
        ),
    ] = 2000
    seed: Annotated[
        int,
        typer.Option(metavar="N", min=0, help="The random seed: the same seed gives the same figures."),
    ] = 0


@grouped
def evaluate(
    index: options.Shipped,
    interactions: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="A CSV, JSONL or Parquet table with the columns user_id, item_id, date and, optionally, weight.",
            show_default=False,
        ),
    ],
    protocol: ProtocolOptions,
    columns: options.InteractionColumnOptions,
    as_json: options.AsJson = False,
) -> None:
    """Measure how well an index predicts what users bought next, compared with popularity and a random ranking.

    Each user's items are sorted by date; the last fifth (at least one) is held back, and the rest is the history. The index
    recommends from the history, out of all items that are not in it, and the metrics measure how much of what was held back is
    among the first. Popularity recommends the items of most users to everybody. Intervals are bootstrap intervals of 95 % over
    users. Differences from the index are paired by user, with p-values of a randomisation test. The index is searched
    exactly at any size; equal scores are put in random order.

    \b
    Example:
      vlm4rec-edge evaluate shop.index --interactions purchases.csv
      vlm4rec-edge evaluate shop.index --interactions baskets.csv --protocol last --group product_code --metric recall@20
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge import evaluation
    from vlm4rec_edge.cli.progress import progress_bar

    asked = given(protocol)
    if protocol.metrics:
        asked["metrics"] = lists.split(protocol.metrics)
    with ExitStack() as bar:

        def on_start(total: int) -> Callable[[int], None]:
            return bar.enter_context(progress_bar("Evaluating", total, shown=not as_json))

        measured = evaluation.evaluate(
            index,
            interactions,
            columns=columns.columns(),
            settings=evaluation.EvaluationSettings(**asked),
            on_start=on_start,
        )
    if as_json:
        emit_json(measured.to_dict())
    else:
        for each in measured.tables:
            _show(each, is_only=len(measured.tables) == 1)
        _tell(measured)
    if measured.failures or measured.unknown_items:
        raise typer.Exit(EXIT_SOME_FAILED)


def _show(measured: EvaluationTable, *, is_only: bool) -> None:
    title = f"{measured.users:,} users" + ("" if is_only else f", their own product variants {measured.own_variants}")
    rows = []
    for metric in measured.systems[0].figures:
        for each in measured.systems:
            figure = each.figures[metric]
            has_interval = len(each.values[metric]) > 1
            row = [metric, each.system, f"{figure.mean:.4f}", f"{figure.low:.4f} to {figure.high:.4f}" * has_interval]
            if (difference := each.differences.get(metric)) is not None:
                row.append(
                    f"{difference.mean:+.4f} ({difference.low:+.4f} to {difference.high:+.4f}), p = {difference.p_value:.4f}"
                )
            rows.append([*row, ""][:5])
    table(title, ["metric", "system", "value", "95 % interval", "difference from the index"], rows)


def _tell(evaluation: Evaluation) -> None:
    """Say what the figures rest on and what was left out."""
    for sentence in evaluation.notes:
        note(sentence)
    or_no_history = ", or none of an earlier day," if evaluation.settings.same_day == "left-out" else ""
    note(
        f"{evaluation.items:,} items ({evaluation.vectors:,} different vectors) are the candidates; "
        f"{evaluation.used:,} interactions; {evaluation.short_users:,} users have fewer than "
        f"{evaluation.settings.least_items} items{or_no_history} and are not tested."
    )
    tell_left_out(evaluation.unknown_items, evaluation.hint, evaluation.failures)
