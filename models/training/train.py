"""Make stylist-lvlm, the embedded vision-language model, from a folder of product photos."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlm4rec_edge.errors import UsageError

if TYPE_CHECKING:
    from speaking import Speaker


def train(
    catalog: Annotated[
        Path, typer.Argument(help="Folder with items.csv and its photos.", exists=True, file_okay=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, journals and curves; run again to go on.")],
    see_epochs: Annotated[
        float, typer.Option(min=0, help="Passes over the photos in which the tower learns to see.")
    ] = 30.0,
    speak_epochs: Annotated[float, typer.Option(min=0, help="Passes in which the text model learns to speak.")] = 2.0,
    further: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a finished model (F16) to teach further instead of one from nothing.", exists=True
        ),
    ] = None,
    keep_tower: Annotated[
        bool, typer.Option("--keep-tower", help="With --further: the tower learns nothing more.")
    ] = False,
    drawings: Annotated[int, typer.Option(min=1, help="Drawings of our own to learn from, of each of 33 kinds.")] = 220,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order and views.")] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda; default: cuda where it is.")] = "",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: all cores.")] = 0,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the tower: it learns to see in less time; needs a C++ compiler.")
    ] = False,
) -> None:
    """Train a small SmolVLM on a catalog of clothes, from random weights to a checkpoint for lvlm_to_gguf.py.

    The vision tower learns to see first (attribute heads, EfficientNet-Lite0's features and what they tell of all but
    colour, the shop's words; on photos, on drawings, and on drawn people in the photos' clothes), then the text model
    learns to say what the tower sees. Checkpoints are written every few minutes; Ctrl-C and the same command go on from
    there. Columns of items.csv: id, image, type, appearance, colour, audience, department, section, garment_group,
    description. 2,000 products are held out.

    With --further a finished model learns more: it is shown the same photos, goes on to say first what it says of them now,
    and learns the words of the drawings; there is no seeing first, and no teacher.

    \b
    Example:
      pip install -e '.[cpu,export,train]'
      python models/training/train.py ../catalog --out stylist-run
      python models/training/train.py ../catalog --out more-run --further models/training/stylist-lvlm-f16 --speak-epochs 1
    """  # noqa: D301 - the backspace is for click, which keeps the lines after it
    import torch
    from curves import draw_curves
    from looking import learn_to_see
    from speaking import learn_to_speak, speak_further
    from world import build_pictures, build_world

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    _check_device(device)
    torch.set_num_threads(threads or os.cpu_count() or 1)
    out.mkdir(parents=True, exist_ok=True)
    if further:
        shown = build_pictures(catalog, out / "cache", drawings)
        print(f"{len(shown.train)} photos and drawings a pass, {len(shown.held_out)} photos held out, on {device}.")
        settings: dict[str, Any] = {"epochs": speak_epochs, "seed": seed, "device": device}
        _save(speak_further(shown, further, out, tower=not keep_tower, **settings), out)
        return
    world = build_world(catalog, out / "cache", drawings)
    print(f"{len(world.train)} photos and drawings to learn from, {len(world.held_out)} photos held out, on {device}.")
    lessons = learn_to_see(world, out, epochs=see_epochs, seed=seed, device=device, compiled=compiled)
    if speak_epochs == 0:
        draw_curves(out)
        print(f"Wrote {out / 'looking.pt'}; the same command with --speak-epochs goes on from there.")
        return
    _save(learn_to_speak(world, lessons, out, epochs=speak_epochs, seed=seed, device=device), out)


def _save(speaker: Speaker, out: Path) -> None:
    from curves import draw_curves

    speaker.save(out / "checkpoint")
    draw_curves(out)
    print(f"Wrote {out / 'checkpoint'}; next: python export/lvlm_to_gguf.py {out / 'checkpoint'} --out MODEL")


def _check_device(name: str) -> None:
    import torch

    if name.partition(":")[0] not in ("cpu", "cuda"):
        raise UsageError(f"--device {name}: training runs on cpu or cuda.")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"--device {name}: {error}") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"--device {name}: torch finds no such GPU here; leave --device out to take what there is.")


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(train)
    try:
        app()
    except UsageError as error:
        print(f"Error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
