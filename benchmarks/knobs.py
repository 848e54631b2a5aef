"""What the settings do: how a history becomes a profile, and how a photo becomes a caption.

Example:
    python benchmarks/knobs.py --data ../hm --group id:7 --model ours=stylist-lvlm --cache ../captions
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from captioning.models import Model, captions_of, model_of
from recommending.caption_knobs import OWN, Captions, captions_with_knobs
from recommending.knobs_report import captions_section, draw_knobs, knobs_section, lengths_section
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
from recommending.profiles import DEFAULT, profile_systems, system_of_vectors
from recommending.shop import Shop, Task, quick_sample, read_shop
from recommending.system import System
from recommending.vectors import text_vectors
from running.plain_help import run_plain
from running.results_file import Section, write_report

from vlm4rec_edge import OnnxEncoder, evaluation, resolve_encoder
from vlm4rec_edge.errors import UsageError, Vlm4RecError

_ABOUT_PROFILES = (
    "Profiles are the package's own (last, half_life, interests, merge). Half-lives are in the unit of the dates, days "
    "where they are dates; a newer item counts twice one that is a half-life older. In baskets all dates lie close "
    "together, so that there is little to be new or old; items of one date stand in the order of their ids.",
    "Interests: the history is split into at most so many groups (spherical k-means). quota gives each its share of the "
    "ten places, best takes the items nearest to any of them.",
)
_ABOUT_CAPTIONS = (
    "Captions: whatever a row does not name is as the model's manifest says. The paper's question is the package's "
    "default for models without one of their own; structured captions become a sentence before they are encoded. The "
    f"profile of a history is the {DEFAULT}.",
)


def main(
    data: Data,
    cache: Cache,
    model_option: Annotated[
        str,
        typer.Option("--model", help="A captioner as in accuracy.py, NAME=MODEL; without one, no row has captions."),
    ] = "",
    columns: Annotated[str, typer.Option(help="Columns of items.csv that represent an item as well.")] = "title",
    caption_knobs: Annotated[
        bool, typer.Option(help="Try what changes a caption: captions of all photos for each setting.")
    ] = True,
    group: Group = "",
    same_day: OrderOfDay = "by-id",
    quick: Quick = False,
    threads: Threads = 0,
    plots: Plots = True,
    out: Out = RESULTS,
) -> None:
    """Measure what the settings of profiles and captions do to recommendations.

    Profiles: the last n items, recency by half-life, one mean or several interests. Captions: the question, the longest
    caption, the size of the photo. Users by history length. Each setting is compared with its default, user by user;
    users, candidates and masks are those of accuracy.py. Profiles are written to knobs.md, captions to knobs-captions.md,
    each with its JSON; --no-caption-knobs leaves the latter as it is. Ctrl-C and the same command go on where it was.

    \b
    Examples:
      python benchmarks/knobs.py --data ../hm --group id:7 --cache ../captions \\
        --model ours=stylist-lvlm --columns title,description
      python benchmarks/knobs.py --data ../films --cache ../captions
    """  # noqa: D301 (click reads the control character)
    check_plots(wanted=plots)
    try:
        shop = quick_sample(read_shop(data), QUICK_USERS, QUICK_ITEMS) if quick else read_shop(data)
        tasks = shop.tasks(group, same_day)
        model = model_of(model_option, {"threads": threads or None}) if model_option else None
        texts = _texts(shop, model, columns, cache)
        captions: list[Captions] = []
        if model and caption_knobs:
            captions = captions_with_knobs(shop, model, cache / "captions", _say)
        with OnnxEncoder(resolve_encoder(), threads=threads or None) as encoder:
            represented = {name: _vectors(encoder, own, cache, name) for name, own in texts.items()}
            said = [
                system_of_vectors(one.name, "caption", one.name, _vectors(encoder, one.texts, cache, one.name))
                for one in captions
            ]
    except Vlm4RecError as error:
        raise SystemExit(f"Error: {error}") from None
    about = [*about_same_day(same_day), *_remarks(shop, group)]
    measured, drawn_in = cache / "measured", out if plots else None
    name = result_name("knobs", same_day, quick=quick)
    sections, drawn = _of_profiles(represented, tasks, measured, drawn_in, name)
    sections[-1] = replace(sections[-1], remarks=[*sections[-1].remarks, *_ABOUT_PROFILES, *about])
    typer.echo(write_report(out, name, "What each knob does", sections, drawn))
    if captions:
        name = result_name("knobs-captions", same_day, quick=quick)
        sections, drawn = _of_captions(said, tasks, measured, drawn_in, name)
        sections.append(captions_section(captions, [*_ABOUT_CAPTIONS, *about]))
        typer.echo(write_report(out, name, "What each knob does: from a photo to a caption", sections, drawn))


def _texts(shop: Shop, model: Model | None, columns: str, cache: Path) -> dict[str, list[str]]:
    """Return what represents each item: the captions first, then the columns."""
    found: dict[str, list[str]] = {}
    if model:
        with model.captioner() as captioner:
            found["caption"] = captions_of(
                captioner, shop.photos, cache / "captions", lambda line: _say(f"{OWN}: {line}")
            )
    for column in [name.strip() for name in columns.split(",") if name.strip()]:
        values = shop.column(column)
        if values is None:
            raise UsageError(f"items.csv has no column {column}; give --columns with columns it has.")
        found[column] = values
    if not found:
        raise UsageError("Nothing represents an item; give --model or --columns.")
    return found


def _vectors(encoder: OnnxEncoder, texts: Sequence[str], cache: Path, name: str) -> np.ndarray:
    return text_vectors(encoder, texts, cache / "texts", lambda line: _say(f"{name}, vectors: {line}"))


def _rows(represented: dict[str, np.ndarray]) -> list[System]:
    """Return what is compared at each length of a history."""
    popularity = System("popularity", "control", "what most users have", "popularity", evaluation.popularity_scorer)
    own = [system_of_vectors(name, "text", name, vectors) for name, vectors in represented.items()]
    return [popularity, *own]


def _of_profiles(
    represented: dict[str, np.ndarray], tasks: Sequence[Task], folder: Path, drawn_in: Path | None, name: str
) -> tuple[list[Section], list[str]]:
    """Return the tables of profiles and of history lengths, and the pictures drawn, in none where ``drawn_in`` is None."""
    profiles = [profile_systems(own, vectors) for own, vectors in represented.items()]
    rows = _rows(represented)
    sections: list[Section] = []
    drawn: list[str] = []
    for task in tasks:
        _say(f"measuring {sum(map(len, profiles))} rows of profiles on {task.title}")
        measured = [one for some in profiles for one in measure_all(some, task, some[0], folder)]
        section = f"profiles-{task.name}"
        sections.append(knobs_section(section, f"From a history to a profile: {task.title}", measured, DEFAULT))
        lengths = lengths_section(rows, task, folder)
        sections += [lengths] if lengths else []
        if drawn_in:
            drawn.append(draw_knobs(measured, drawn_in, f"{name}-{section}"))
    return sections, drawn


def _of_captions(
    said: Sequence[System], tasks: Sequence[Task], folder: Path, drawn_in: Path | None, name: str
) -> tuple[list[Section], list[str]]:
    """Return the tables of captions, and the pictures drawn, as ``_of_profiles``."""
    sections: list[Section] = []
    drawn: list[str] = []
    for task in tasks:
        _say(f"measuring {len(said)} rows of captions on {task.title}")
        measured = measure_all(said, task, said[0], folder)
        sections.append(knobs_section(task.name, f"From a photo to a caption: {task.title}", measured, OWN))
        if drawn_in:
            drawn.append(draw_knobs(measured, drawn_in, f"{name}-{task.name}"))
    return sections, drawn


def _remarks(shop: Shop, group: str) -> list[str]:
    return [
        "Differences from the default are taken user by user, with 95 % bootstrap intervals over users, 2,000 resamples, seed "
        f"{SEED}; p by a randomisation test, not corrected: of twenty rows that do nothing one is below 0.05.",
        *([f"Variants of one product share `{group}`."] if group else []),
        *([f"{shop.sample.removesuffix(': ')}: an easier task, not to be compared."] if shop.sample else []),
    ]


def _say(line: str) -> None:
    typer.echo(line, err=True)


if __name__ == "__main__":
    run_plain(main)
