"""What the vision tower costs: llama.cpp's own and ONNX Runtime's in our engine, beside the handler and the server, in turns.

Example:
    python benchmarks/vision.py --photos my-photos --photo-count 8 --rounds 3
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import typer
from running.results_file import write_report

import vlm4rec_edge  # noqa: F401 (turns off the telemetry of what is imported later)

RESULTS = Path(__file__).with_name("results")
_SIDE = 1024
_SECTIONS = ("speed", "words", "alone", "index", "roofline")


def main(
    sections: Annotated[str, typer.Option(help="speed, words, alone, index, roofline, with commas between.")] = (
        "speed,words,alone,index,roofline"
    ),
    ways: Annotated[str, typer.Option(help="What is measured, commas between.")] = "mtmd,fp32,int8,bf16,handler,server",
    photos: Annotated[
        Path | None, typer.Option(help="Folder of photos; default: drawings.", exists=True, file_okay=False)
    ] = None,
    photo_count: Annotated[int, typer.Option(min=0, help="Photos for the large model; 0 leaves it out.")] = 8,
    small_count: Annotated[int, typer.Option(min=0, help="Photos for the embedded model; 0 leaves it out.")] = 200,
    words_count: Annotated[int, typer.Option(min=1, help="Photos whose captions are compared.")] = 500,
    words_model: Annotated[
        str, typer.Option(help="Name or folder of the model whose captions are compared.")
    ] = "stylist-lvlm",
    index_count: Annotated[int, typer.Option(min=1, help="Photos that the whole of index is measured with.")] = 640,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the median counts.")] = 3,
    batch: Annotated[int, typer.Option(min=1, help="Photos at work together, with the large model.")] = 8,
    small_batch: Annotated[int, typer.Option(min=1, help="The same, with the embedded model.")] = 16,
    large_model: Annotated[
        Path | None, typer.Option(help="The large model; default: SmolVLM-256M's shape, made in --work.", exists=True)
    ] = None,
    work: Annotated[Path, typer.Option(help="Folder for made models and photos; kept, and used again.")] = Path(
        "latency-work"
    ),
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = RESULTS,
    name: Annotated[str, typer.Option(help="Name of the result files.")] = "vision",
) -> None:
    r"""Measure on a quiet machine. Linux and macOS.

    \b
    Examples:
      python benchmarks/vision.py --photo-count 8 --rounds 3
      python benchmarks/vision.py --sections words --photos my-photos --words-count 500
    """
    from timing import vision

    from vlm4rec_edge.grounding.vision.graph import PRECISIONS

    chosen = [part.strip() for part in ways.split(",") if part.strip()]
    wanted = [part.strip() for part in sections.split(",")]
    if unknown := [way for way in chosen if way not in vision.WAYS] + [
        part for part in wanted if part not in _SECTIONS
    ]:
        raise typer.BadParameter(
            f"There is no {unknown[0]!r}; ways are {', '.join(vision.WAYS)}; sections {', '.join(_SECTIONS)}."
        )
    work.mkdir(parents=True, exist_ok=True)
    embedded = "stylist-lvlm"
    measured = []
    typer.echo(f"{time.strftime('%H:%M:%S')} load {os.getloadavg()[0]:.1f} ...", err=True)
    if "speed" in wanted:
        settings = []
        if photo_count:
            model = large_model or vision.large_model(work)
            label = f"{model.name}, photos of {_SIDE} pixels"
            settings.append(
                vision.Setting(label, model, vision.photos_of_side(work, photos, photo_count, _SIDE), batch)
            )
        if small_count:
            own = vision.photos_in(work, photos, small_count + 1)
            settings.append(vision.Setting(embedded, embedded, own, small_batch))
        measured.append(vision.speed(settings, chosen, rounds=rounds))
    if "words" in wanted:
        label = Path(words_model).name
        setting = vision.Setting(label, words_model, vision.photos_in(work, photos, words_count), small_batch)
        ours = [way for way in chosen if way != "mtmd" and vision.WAYS[way].engine == vision.OURS]
        measured.append(vision.words(setting, ours))
    if "alone" in wanted:
        own = vision.photos_in(work, photos, small_count + 1)
        measured.append(vision.alone(vision.Setting(embedded, embedded, own, 1), chosen, rounds=rounds))
    if "index" in wanted:
        own = vision.photos_in(work, photos, index_count + 1)
        ways_of_index = [way for way in chosen if vision.WAYS[way].engine != vision.SERVER]
        setting = vision.Setting(embedded, embedded, own, small_batch)
        measured.append(vision.whole_index(setting, ways_of_index, rounds=rounds))
    if "roofline" in wanted:
        from timing.vision_roofline import roofline

        precisions = [way for way in chosen if way in PRECISIONS and not vision.lack_of(vision.WAYS[way])]
        for model in ([large_model or vision.large_model(work)] if photo_count else []) + [embedded] * bool(
            small_count
        ):
            measured.append(roofline(model, precisions, rounds=rounds))
    typer.echo(write_report(out, name, "Vision towers", measured))


if __name__ == "__main__":
    typer.run(main)
