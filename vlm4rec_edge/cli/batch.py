"""``recommend --histories``: all users of a shop, from one table to another.

Its ``--json`` document (a field may be added, none is renamed or removed): ``{"index", "method", "histories", "out",
"users", "answered", "recommendations", "without_answer": [{"reason", "users"}], "unanswered": [user],
"users_with_unknown", "unknown": [id], "failed", "failures": [{"where", "stage", "reason"}], "seconds"}``; lists of users,
ids and rows hold the first 100.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from vlm4rec_edge.cli.output import emit_json, note, printable
from vlm4rec_edge.cli.progress import progress_bar

if TYPE_CHECKING:
    from vlm4rec_edge.recommend.profile import ProfileSettings
    from vlm4rec_edge.recommend.recommender import Recommender
    from vlm4rec_edge.recommend.selection import Selection

EXIT_SOME_FAILED = 3
_SHOWN = 5


def recommend_to_all(
    shop: Recommender,
    histories: Path,
    out: Path,
    k: int,
    *,
    settings: ProfileSettings,
    selection: Selection,
    popularity: str | None,
    as_json: bool,
) -> None:
    """Recommend to every user of a table, say what was done, and exit with the code that fits."""
    from vlm4rec_edge.batch.run import recommend_table

    started = time.monotonic()
    with ExitStack() as bar:

        def on_start(total: int) -> Callable[[int], None]:
            return bar.enter_context(progress_bar("Recommending", total, shown=not as_json))

        report = recommend_table(
            shop,
            histories,
            out,
            k,
            settings=settings,
            selection=selection,
            popularity=popularity,
            on_start=on_start,
        )
    seconds = time.monotonic() - started
    if as_json:
        document: dict[str, Any] = {
            "index": str(shop.store.folder),
            "method": shop.method,
            "histories": str(histories),
            "out": str(out),
            **asdict(report),
            "without_answer": [
                {"reason": reason, "users": users} for reason, users in report.without_answer.most_common()
            ],
            "unknown": list(report.unknown),
            "seconds": round(seconds, 3),
        }
        emit_json(document)
    else:
        typer.echo(
            printable(f"{out}: {report.recommendations:,} recommendations for {report.answered:,} of {report.users:,} ")
            + f"users in {seconds:.1f} s."
        )
        for reason, users in report.without_answer.most_common():
            note(f"{users:,} users got nothing: {reason}")
        if report.users_with_unknown:
            some = ", ".join(list(report.unknown)[:_SHOWN])
            note(
                f"{report.users_with_unknown:,} histories hold items that are not in the index, and left out: {some} ..."
            )
        for failure in report.failures[:_SHOWN]:
            note(f"Left out: {failure.reason}")
        if report.failed > _SHOWN:
            note(f"Left out: {report.failed - _SHOWN:,} more rows.")
    if report.failed or report.users_with_unknown or report.without_answer:
        raise typer.Exit(EXIT_SOME_FAILED)
