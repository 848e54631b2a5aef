"""What represents an item best when a shop recommends to real users, one row beside another.

Example:
    python benchmarks/accuracy.py --data ../hm --group id:7 --model ours=stylist-lvlm --cache ../captions
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import typer
from captioning.models import model_of
from paper.rows import TRAINED_ROWS, TrainedRows, parts
from paper.system import SEEDS
from recommending.measuring import SEED, measure_all
from recommending.options import (
    RESULTS,
    Cache,
    Data,
    OrderOfDay,
    Out,
    Plots,
    Threads,
    about_same_day,
    check_plots,
    result_name,
)
from recommending.report import draw, rows_section, task_section
from recommending.representations import ROWS, Representations
from recommending.shop import Shop, Task, quick_sample, read_shop
from recommending.system import Row
from running.plain_help import run_plain
from running.results_file import write_report

from vlm4rec_edge import OnnxEncoder, resolve_encoder
from vlm4rec_edge.errors import UsageError, Vlm4RecError

ALL_ROWS = (*ROWS, *TRAINED_ROWS)
_SENTENCE = "{colour} {appearance:lower} {type:lower} for {audience}"


def main(
    data: Data,
    cache: Cache,
    rows: Annotated[
        str, typer.Option(help=f"Rows, comma between them: {', '.join(ALL_ROWS)}. Default: all that can be made.")
    ] = "",
    model_options: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="A captioner: NAME=MODEL (registry name, folder) or NAME=TEXT.gguf,MMPROJ.gguf; repeat for more.",
        ),
    ] = None,
    group: Annotated[
        str,
        typer.Option(
            help="What variants of one product share: a column, or id:7, the first 7 characters of the id. Adds tables "
            "without the user's own variants."
        ),
    ] = "",
    sentence: Annotated[str, typer.Option(help="The attributes as a sentence.")] = _SENTENCE,
    same_day: OrderOfDay = "by-id",
    encoder_name: Annotated[str, typer.Option("--encoder", help="The encoder; default: the embedded one.")] = "",
    quick: Annotated[
        bool, typer.Option("--quick", help="Only a sample of users and items and one seed, to try it.")
    ] = False,
    threads: Threads = 0,
    plots: Plots = True,
    out: Out = RESULTS,
) -> None:
    """Measure how well each way to represent an item predicts what users bought next.

    Customers: the last fifth of what each bought is held back (users of 5 items or more). Baskets: the last item is. The
    profile is the mean of the history; all items but the history are candidates. Every row has the same users and
    candidates, and is compared user by user with the first captioner's captions. Some fusions are trained, on the histories
    only, once with each of three seeds. Ctrl-C and the same command go on where it was.

    \b
    Examples:
      python benchmarks/accuracy.py --data ../hm --group id:7 --cache ../captions --rows random,popularity,title
      python benchmarks/accuracy.py --data ../hm --group id:7 --cache ../captions \\
        --model ours=stylist-lvlm --model larger=smolvlm-256m-instruct
      python benchmarks/accuracy.py --data ../films --sentence "{genres} of {year}" --cache ../captions --quick
    """  # noqa: D301 (click reads the control character)
    check_plots(wanted=plots)
    try:
        models = [model_of(option, {"threads": threads or None}) for option in model_options or []]
        if len({model.name for model in models}) < len(models):
            raise UsageError("Two captioners have one name; give each --model a NAME of its own.")
        shop = quick_sample(read_shop(data)) if quick else read_shop(data)
        tasks = shop.tasks(group, same_day)
        encoder = resolve_encoder(encoder_name) if encoder_name else resolve_encoder()
        with OnnxEncoder(encoder, threads=threads or None) as opened:
            seeds = SEEDS[:1] if quick else SEEDS
            made = Representations(shop, models, opened, sentence, cache, _say)
            trained = TrainedRows(made, cache / "trained", threads, seeds)
            wanted, left_out = _wanted(rows, made, trained)
            systems = _systems(wanted, made, trained)
    except Vlm4RecError as error:
        raise SystemExit(f"Error: {error}") from None
    baseline = next((system for system in systems if system.kind == "caption"), None)
    sections, drawn = [], []
    name = result_name("accuracy", same_day, quick=quick)
    for task in tasks:
        _say(f"measuring {len(systems)} rows on {task.title}")
        found = measure_all(systems, task, baseline, cache / "measured")
        sections.append(task_section(found, baseline))
        if plots:
            drawn.append(draw(found, baseline, out, name))
    left_out += _unused(shop, tasks)
    about_attributes = sentence if "attributes" in wanted else ""
    remarks = [*about_same_day(same_day), *_remarks(shop, baseline, encoder.name, about_attributes, group, left_out)]
    remarks += _of_training(tasks) if any(system.seeds for system in systems) else []
    report = write_report(out, name, "What represents an item best", [*sections, rows_section(systems, remarks)], drawn)
    typer.echo(report)


def _wanted(rows: str, made: Representations, trained: TrainedRows) -> tuple[list[str], list[str]]:
    """Return the rows to make and, where all are wanted, why some are left out.

    Raises:
        UsageError: a row that was asked for is not known or cannot be made.
    """
    asked = [row.strip() for row in rows.split(",") if row.strip()]
    if unknown := [row for row in asked if row not in ALL_ROWS]:
        raise UsageError(f"There is no row {', '.join(unknown)}; the rows are {', '.join(ALL_ROWS)}.")
    hindrances = {row: (made if row in ROWS else trained).hindrance(row) for row in asked or ALL_ROWS}
    left_out = [f"{row}: {reason}" for row, reason in hindrances.items() if reason]
    if asked and left_out:
        row, _, reason = left_out[0].partition(": ")
        raise UsageError(f"The row {row} cannot be made: {reason}.")
    for line in left_out:
        _say(f"left out, {line}")
    return [row for row, reason in hindrances.items() if not reason], left_out


def _systems(wanted: Sequence[str], made: Representations, trained: TrainedRows) -> list[Row]:
    """Return the systems of these rows, the trained ones last."""
    own, learned = ([row for row in wanted if row in known] for known in (ROWS, TRAINED_ROWS))
    made.prepare([*own, *(part for row in learned for part in parts(row) if part)])
    return [*made.systems(own), *trained.systems(learned)]


def _unused(shop: Shop, tasks: Sequence[Task]) -> list[str]:
    unknown = {item_id for task in tasks for item_id in task.split.unknown_items}
    counts = {"rows of interactions that cannot be read": shop.unusable, "ids that items.csv has not": len(unknown)}
    return [f"{count:,} {what}" for what, count in counts.items() if count]


def _remarks(
    shop: Shop, baseline: Row | None, encoder: str, sentence: str, group: str, left_out: Sequence[str]
) -> list[str]:
    against = (
        f"Differences are from the row {baseline.name}, user by user, with paired bootstrap intervals; p by a "
        "randomisation test, not corrected for the number of rows."
        if baseline
        else "No differences: they are taken from the first row of captions, and there is none."
    )
    return [
        f"All {len(shop.rows):,} items are candidates in every row, but for the user's own history. Customers: users of 5 "
        "different items or more, the last fifth of each held back (sorted by date, then id). Baskets: the last item.",
        "Profile: mean of the unit vectors of the history; exact cosine; items of equal score in random order. Means over "
        f"users with 95 % bootstrap intervals over users, 2,000 resamples, seed {SEED}.",
        against,
        f"Texts are encoded by {encoder}. An item without text or readable photo has a zero vector; the table counts them.",
        "Random projection: Gaussian, seed 0, the same for all rows that need it. Concatenation needs none.",
        *([f"Attributes as a sentence: `{sentence}`."] if sentence else []),
        *([f"Variants of one product share `{group}`."] if group else []),
        *([f"{shop.sample.removesuffix(': ')}: an easier task, not to be compared."] if shop.sample else []),
        *(f"Left out: {line}." for line in left_out),
    ]


def _of_training(tasks: Sequence[Task]) -> list[str]:
    counts = []
    for task in tasks:
        taught = np.isin(task.split.test.items, task.taught.history.items)
        counts.append(f"{task.title.rpartition(': ')[2]}: {taught.mean():.0%}")
    return [
        "Trained rows learn from the histories of a table's users only, with and without variants from the same ones: an item "
        "of a history is predicted from the others (InfoNCE); SMORE learns pairs of a user and an item (BPR and a contrast). "
        "Every seed keeps the last history item of half of the users who have three or more apart to say when to stop; no "
        "test item is ever seen. A user's value is the mean over the seeds.",
        f"Test items that are in anybody's history, of all test items: {'; '.join(counts)}. What SMORE knows of the others "
        "by their users is nothing.",
    ]


def _say(line: str) -> None:
    typer.echo(line, err=True)


if __name__ == "__main__":
    run_plain(main)
