"""``recommend --histories``: all users of a shop, from one table to another.

Its ``--json`` document: ``vlm4rec_edge/documents/batch.schema.json``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from vlm4rec_edge.cli.output import EXIT_SOME_FAILED, emit_json, file_to_write, note, printable
from vlm4rec_edge.cli.progress import progress_bar
from vlm4rec_edge.errors import UsageError

if TYPE_CHECKING:
    from vlm4rec_edge.recommend.recommender import Recommender

_SHOWN = 5


def recommend_to_all(
    shop: Recommender, histories: Path, out: Path, k: int, how: Mapping[str, Any], *, as_json: bool
) -> None:
    """Recommend to every user of a table, ``how`` as ``recommend_table`` takes it, and exit with the code that fits."""
    from vlm4rec_edge.batch.run import recommend_table

    to_stdout = str(out) == "-"
    if to_stdout and as_json:
        raise UsageError("--out - and --json would both write to standard output; give one of them.")
    with ExitStack() as bar:
        written = bar.enter_context(file_to_write(out, ".csv"))

        def on_start(total: int) -> Callable[[int], None]:
            return bar.enter_context(progress_bar("Recommending", total, shown=not as_json))

        report = recommend_table(shop, histories, written, k, **how, on_start=on_start)
    if as_json:
        emit_json(report.to_dict())
    else:
        typer.echo(
            printable(f"{out}: {report.recommendations:,} recommendations for {report.answered:,} of {report.users:,} ")
            + f"users in {report.seconds:.1f} s.",
            err=to_stdout,
        )
        for sentence in report.notes:
            note(sentence)
        for reason, users in report.without_answer.most_common():
            note(f"{users:,} users got no recommendations: {reason}")
        if report.users_with_unknown:
            unknown = list(report.unknown)
            some = ", ".join(unknown[:_SHOWN]) + (" ..." if len(unknown) > _SHOWN else "")
            note(
                f"{report.users_with_unknown:,} histories contain items that are not in the index and were left out: {some}. "
                f"{shop.about_unknown(unknown)}"
            )
        for failure in report.failures[:_SHOWN]:
            note(f"Left out: {failure.reason}")
        if report.failed > _SHOWN:
            note(f"Left out: {report.failed - _SHOWN:,} more rows.")
    if not report.is_complete:
        raise typer.Exit(EXIT_SOME_FAILED)
