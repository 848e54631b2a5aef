"""On an NVIDIA GPU: photos a second, memory of the GPU and the captions of both vision encoders, in less than ten minutes.

It was not run yet. Needs onnxruntime-gpu (".[gpu]") and a llama-cpp-python that was compiled with CUDA; the README tells how.

Example:
    python benchmarks/cuda.py --photos my-photos
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from running.results_file import write_report

from vlm4rec_edge.errors import Vlm4RecError
from vlm4rec_edge.grounding.llama.native import use_gpu
from vlm4rec_edge.quiet import load

RESULTS = Path(__file__).with_name("results")
# llama.cpp's tower on the CPU is what the words are compared with, and what the embedded model's speed is.
_WAYS = ("mtmd", "cuda-mtmd", "cuda-fp32")


def main(
    photos: Annotated[
        Path | None, typer.Option(help="Folder of photos; default: drawings.", exists=True, file_okay=False)
    ] = None,
    photo_count: Annotated[int, typer.Option(min=1, help="Photos for the embedded model.")] = 500,
    large_model: Annotated[
        Path | None, typer.Option(help="A larger model, such as one of smolvlm_shape.py --edge 2048.", exists=True)
    ] = None,
    large_photos: Annotated[int, typer.Option(min=1, help="Photos for it, of 1,024 pixels, on the GPU alone.")] = 32,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the median counts.")] = 3,
    work: Annotated[Path, typer.Option(help="Folder for made photos; kept, and used again.")] = Path("latency-work"),
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = RESULTS,
) -> None:
    """Measure on the GPU."""
    _check()
    from timing import vision

    work.mkdir(parents=True, exist_ok=True)
    small = vision.photos_in(work, photos, photo_count + 1)
    embedded = vision.Setting("stylist-lvlm", "stylist-lvlm", small, 32)
    measured = [vision.speed([embedded], _WAYS, rounds=rounds), vision.words(embedded, _WAYS[1:])]
    if large_model:
        pictures = vision.photos_of_side(work, photos, large_photos, 1024)
        large = vision.Setting(large_model.name, large_model, pictures, 32)
        section = vision.speed([large], _WAYS[1:], rounds=rounds)
        measured.append(replace(section, name="speed-large", title=f"{section.title}, a larger model"))
    typer.echo(write_report(out, "cuda", "Vision towers on CUDA", measured))


def _check() -> None:
    """Refuse a machine on which nothing of it can be measured, with what is missing."""
    if shutil.which("nvidia-smi") is None:
        raise SystemExit("There is no nvidia-smi here: this measures NVIDIA GPUs.")
    try:
        use_gpu("cuda")
    except Vlm4RecError as error:
        raise SystemExit(str(error)) from None
    if "CUDAExecutionProvider" not in load("onnxruntime").get_available_providers():
        raise SystemExit("This ONNX Runtime has no CUDA: pip uninstall -y onnxruntime && pip install onnxruntime-gpu")


if __name__ == "__main__":
    typer.run(main)
