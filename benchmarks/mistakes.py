"""Which mistakes of a captioner cost recommendations: its captions as they are, and with each kind of mistake corrected.

Example:
    python benchmarks/mistakes.py --data ../hm --group id:7 --model ours=stylist-lvlm --cache ../captions
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from captioning.models import captions_of, model_of
from recommending.corrected import CAPTION, COLUMNS, FIRST, corrected_texts, said_and_true, shares_right
from recommending.measuring import SEED, measure_all
from recommending.options import (
    QUICK_ITEMS,
    QUICK_USERS,
    RESULTS,
    Cache,
    Data,
    Group,
    OrderOfDay,
    Out,
    Plots,
    Quick,
    Threads,
    about_same_day,
    check_plots,
    result_name,
)
from recommending.report import draw, task_section
from recommending.representations import NAMES, Representations
from recommending.shop import Task, quick_sample, read_shop
from recommending.system import Row, system_of_vectors
from recommending.vectors import text_vectors
from running.plain_help import run_plain
from running.results_file import Section, write_report

from vlm4rec_edge import OnnxEncoder, resolve_encoder
from vlm4rec_edge.errors import UsageError, Vlm4RecError

# Against which other row some rows are compared as well: an attribute corrected has to be seen without the details, and
# captions without a mistake beside the raw features of the photo.
_OTHER_BASELINES = {FIRST: FIRST, NAMES["vision"]: CAPTION}


def main(
    data: Data,
    cache: Cache,
    model_option: Annotated[
        str,
        typer.Option(
            "--model", help="The captioner: NAME=MODEL (registry name, folder) or NAME=TEXT.gguf,MMPROJ.gguf."
        ),
    ] = "ours=stylist-lvlm",
    group: Group = "",
    same_day: OrderOfDay = "by-id",
    quick: Quick = False,
    threads: Threads = 0,
    plots: Plots = True,
    out: Out = RESULTS,
) -> None:
    """Measure what each kind of mistake in captions costs in recommendations.

    A caption's first sentence tells kind, colour, pattern and audience. Each is replaced by what the catalog knows, alone
    and all together, and so are the details after it; what still is missing then, no captioner of this form can give.
    Users and candidates are those of accuracy.py; needs the columns of captions.py (type, colour, appearance, audience,
    description).

    \b
    Examples:
      python benchmarks/mistakes.py --data ../hm --group id:7 --cache ../captions
      python benchmarks/mistakes.py --data ../hm --cache ../captions --model other=../my-export --quick
    """  # noqa: D301 (click reads the control character)
    check_plots(wanted=plots)
    try:
        shop = quick_sample(read_shop(data), QUICK_USERS, QUICK_ITEMS) if quick else read_shop(data)
        if missing := [name for name in COLUMNS if shop.column(name) is None]:
            raise UsageError(f"items.csv has no column {', '.join(missing)}: what is right is not known.")
        tasks = shop.tasks(group, same_day)
        model = model_of(model_option, {"threads": threads or None})
        with model.captioner() as captioner:
            captions = captions_of(captioner, shop.photos, cache / "captions", lambda line: _say(f"captions: {line}"))
        if not any(captions):
            raise UsageError(f"Not one photo of {data} can be captioned; look at the lines above.")
        pairs = said_and_true(shop.rows, captions)
        texts = corrected_texts(shop.rows, captions, pairs)
        with OnnxEncoder(resolve_encoder(), threads=threads or None) as encoder:
            features = Representations(shop, [model], encoder, "", cache, _say)
            systems: list[Row] = [
                system_of_vectors(
                    name,
                    "text" if name.startswith("the shop") else "caption",
                    name,
                    text_vectors(encoder, own, cache / "texts", lambda line, name=name: _say(f"{name}: {line}")),  # type: ignore[misc]
                )
                for name, own in texts.items()
            ]
            lacking = features.hindrance("vision")
            systems += [] if lacking else features.systems(["vision"])
    except Vlm4RecError as error:
        raise SystemExit(f"Error: {error}") from None
    name = result_name("mistakes", same_day, quick=quick)
    sections, drawn = [], []
    for task in tasks:
        _say(f"measuring {len(systems)} rows on {task.title}")
        found = measure_all(systems, task, systems[0], cache / "measured")
        sections.append(task_section(found, systems[0]))
        sections += _other_sections(systems, task, cache)
        if plots:
            drawn.append(draw(found, systems[0], out, name))
    shares = shares_right(captions, pairs)
    remarks = [
        *about_same_day(same_day),
        f"Captions of {model.name}. Items without one have an empty caption, and a truth all the same.",
        "First sentence: what it says, in the words of the training, and nothing after it. Corrected: as the catalog knows "
        "it; the details are what a photo can show of the shop's description. With everything corrected, the captions are "
        "the sentences of the training.",
        "A description is the same for all colours of a product, so corrected details find own variants, as titles do.",
        *([f"Left out: raw visual features, {lacking}."] if lacking else []),
        "Differences are from the caption as it is, or from the row in the title, user by user, with paired bootstrap "
        f"intervals, 2,000 resamples, seed {SEED}; p by a randomisation test, not corrected for the number of rows.",
        *([f"Variants of one product share `{group}`."] if group else []),
        *([f"{shop.sample.removesuffix(': ')}: an easier task, not to be compared."] if shop.sample else []),
    ]
    row = {
        "captions": f"{sum(map(bool, captions)):,}",
        **{f"{of} right": f"{100 * own:.1f} %" for of, own in shares.items()},
    }
    sections.append(Section("right", "What the captions are right about", [row], [shares], remarks))
    report = write_report(out, name, "Which mistakes of the captions cost recommendations", sections, drawn)
    typer.echo(report)


def _other_sections(systems: Sequence[Row], task: Task, cache: Path) -> list[Section]:
    """Return the tables of one task against the other baselines, of which there may be none."""
    sections = []
    for name, beginning in _OTHER_BASELINES.items():
        rows = [row for row in systems if row.name == name or row.name.startswith(beginning)]
        for baseline in [row for row in rows if row.name == name]:
            section = task_section(measure_all(rows, task, baseline, cache / "measured"), baseline)
            place = f"{task.name}-{name.partition(',')[0].replace(' ', '-')}"
            sections.append(replace(section, name=place, title=f"{task.title}: against {name}"))
    return sections


def _say(line: str) -> None:
    typer.echo(line, err=True)


if __name__ == "__main__":
    run_plain(main)
