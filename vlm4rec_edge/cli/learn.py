"""The command ``learn``: better recommendations from a shop's own purchases, if they are.

Its ``--json`` documents: ``learning.schema.json`` and, with ``--forget``, ``forgotten.schema.json`` in
``vlm4rec_edge/documents``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlm4rec_edge.cli import options
from vlm4rec_edge.cli.groups import grouped
from vlm4rec_edge.cli.output import EXIT_SOME_FAILED, emit_json, note, printable, table, tell_left_out
from vlm4rec_edge.errors import UsageError

if TYPE_CHECKING:
    from vlm4rec_edge.learning.report import LearnReport

_MOSTLY = 0.5


@grouped
def learn(
    index: options.Index,
    columns: options.InteractionColumnOptions,
    interactions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="What customers bought: CSV, JSONL or Parquet with the columns user_id, item_id and date, as for evaluate.",
            show_default=False,
        ),
    ] = None,
    new_items: Annotated[
        str,
        typer.Option(
            metavar="COLUMN",
            help="A column of the catalog that marks items too new to have been bought (anything but empty, 0, no and false): "
            "they do not count as unpopular.",
            show_default=False,
        ),
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Evaluate only, and change nothing.")] = False,
    forget: Annotated[bool, typer.Option("--forget", help="Recommend by titles and captions alone again.")] = False,
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, help="The random seed: the same seed gives the same figures.")
    ] = 0,
    as_json: options.AsJson = False,
) -> None:
    """Learn from purchases which items are bought together, and recommend by it if that is better.

    It is judged first: the last item of each user is held back, predicted from what was learned from all other purchases, and
    compared with titles and captions alone. What is significantly better is switched on, and serves every command; new
    items are placed by their texts. Otherwise the index stays as it is. Purchases are read here and not stored: give
    all of them, old and new, each time. It needs scipy: pip install "vlm4rec-edge[learn]".

    \b
    Example:
      vlm4rec-edge learn shop.index --interactions purchases.csv
      vlm4rec-edge learn shop.index --interactions purchases.csv --dry-run
      vlm4rec-edge learn shop.index --forget
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.cli.progress import progress_bar
    from vlm4rec_edge.index_folder import IndexFolder

    if forget == (interactions is not None):
        raise UsageError("Give either --interactions FILE to learn from, or --forget.")
    if forget and (dry_run or new_items):
        raise UsageError("Give --forget without --dry-run and --new-items: it changes the index, and learns nothing.")
    with IndexFolder(index) as folder, ExitStack() as bar:
        if forget:
            _tell_forgotten(index, folder.forget_learned(), as_json=as_json)
            return

        def shown(title: str) -> Callable[[int], Callable[[int], None]]:
            def begin(total: int) -> Callable[[int], None]:
                bar.close()  # the one before it, if there was one
                return bar.enter_context(progress_bar(title, total, shown=not as_json))

            return begin

        assert interactions is not None
        report = folder.learn(
            interactions,
            columns=columns.columns(),
            new_items=new_items,
            dry_run=dry_run,
            seed=seed,
            on_start=shown("Judging"),
            on_texts=shown("Encoding titles and captions"),
        )
    if as_json:
        emit_json(report.to_dict())
    else:
        _show(report, dry_run=dry_run)
    if report.failures or report.unknown_items:
        raise typer.Exit(EXIT_SOME_FAILED)


def _tell_forgotten(index: Path, forgotten: bool, *, as_json: bool) -> None:
    if as_json:
        emit_json({"index": str(index), "forgotten": forgotten})
    else:
        note(
            f"{printable(str(index))} recommends by titles and captions alone again."
            if forgotten
            else "Nothing had been learned."
        )


def _show(report: LearnReport, *, dry_run: bool) -> None:
    rows = [
        [
            system.name,
            f"{system.recall.mean:.4f} ({system.recall.low:.4f} to {system.recall.high:.4f})",
            f"{system.ndcg.mean:.4f} ({system.ndcg.low:.4f} to {system.ndcg.high:.4f})",
            "" if system.weights is None else f"{system.weights.together:g}, {system.weights.often:g}",
        ]
        for system in report.systems
    ]
    columns = ["recommended by", "Recall@10 (95 %)", "NDCG@10 (95 %)", "weights: bought together, often bought"]
    table(f"{report.users:,} users, the last item of each held back", columns, rows)
    marked = f" {report.items_new:,} are marked as new." if report.items_new else ""
    note(f"{report.items_bought:,} items were bought.{marked}{_age(report)}")
    if report.same_day > _MOSTLY:
        note(
            f"{report.same_day:.0%} of the items held back were bought on the day of another one of the same user: the "
            "figures measure how well a basket is completed, not what is bought next time."
        )
    if report.note:
        note(report.note)
    note(report.reason)
    if report.judged_texts:
        is_other = report.encoded_text != report.encoded_before
        outcome = f"{report.encoded_text} is better" if is_other else f"{report.encoded_before} stays"
        note(f"Other shares of title and caption were evaluated as well ({', '.join(report.judged_texts)}): {outcome}.")
    if report.photos:
        outcome = (
            "they help significantly" if report.uses_photos else "they do not help significantly, and are left out"
        )
        note(f"Learning from photo vectors, which {report.photos:,} items have, was evaluated as well: {outcome}.")
    if dry_run:
        note("Nothing was changed (--dry-run).")
    elif report.stored:
        note(
            f"From now on {printable(report.index)} recommends by it. Scores are on another scale than before: choose a new "
            "--min-score."
        )
    tell_left_out(report.unknown_items, report.hint, report.failures)


def _age(report: LearnReport) -> str:
    if report.age_days is None:
        return ""
    age = f"{report.age_days:,} days ago" if report.age_days >= 0 else "which is in the future: check the dates"
    return f" The newest purchase is of {report.newest}, {age}."
