"""Does captioning many photos need more and more memory, here or in the process that captions?

Example:
    python benchmarks/memory.py --photos ../shop --count 10000
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, NamedTuple

import typer
from running.results_file import write_results
from timing.photos import photos_in

from vlm4rec_edge import Failure, IsolatedCaptioner, resolve_lvlm
from vlm4rec_edge.catalog.photo import read_photo_file
from vlm4rec_edge.errors import Vlm4RecError
from vlm4rec_edge.grounding.protocol import CaptionRequest
from vlm4rec_edge.items import Item
from vlm4rec_edge.models.resolve import DEFAULT_LVLM

RESULTS = Path(__file__).with_name("results")
_MEGABYTE = 1e6


class Held(NamedTuple):
    """What this process and the one that captions held when so many photos were done."""

    photos: int
    resident_bytes: int
    captioning_bytes: int
    seconds: float


def main(
    photos: Annotated[Path | None, typer.Option(help="Folder of photos; default: drawings of this project.")] = None,
    different: Annotated[int, typer.Option(min=1, help="Photos taken of it, again and again.")] = 500,
    count: Annotated[int, typer.Option(min=2, help="Captions made.")] = 10_000,
    first: Annotated[int, typer.Option(min=1, help="From so many captions on, memory counts as growth.")] = 200,
    every: Annotated[int, typer.Option(min=1, help="Captions between two looks at the memory.")] = 1000,
    model: Annotated[str, typer.Option(help="A name of `models list`, or a folder.")] = DEFAULT_LVLM,
    structured: Annotated[bool, typer.Option("--structured", help="Hold captions to a form.")] = False,
    batch: Annotated[int, typer.Option(min=0, help="Photos captioned together; 0: auto.")] = 0,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: all cores.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = RESULTS,
) -> None:
    r"""Caption photos, every one again, and record the resident memory of both processes. Linux.

    \b
    Examples:
      python benchmarks/memory.py
      python benchmarks/memory.py --photos ../shop --count 10000
    """
    if sys.platform != "linux":
        raise SystemExit("Error: the resident memory is read from /proc, which only Linux has.")
    if first >= count:
        raise SystemExit(f"Error: --first {first} leaves nothing of {count} captions to grow in.")
    looks = sorted({first, *range(every, count, every), count} - set(range(first)))
    try:
        with (
            TemporaryDirectory() as work,
            IsolatedCaptioner(
                resolve_lvlm(model), structured=structured, batch=batch or None, threads=threads or None
            ) as captioner,
        ):
            held, failed = _caption(captioner, photos_in(Path(work), photos, different), count, looks)
            slots = captioner.batch
    except Vlm4RecError as error:
        raise SystemExit(f"Error: {error}") from None
    figures = [
        {
            **one._asdict(),
            "grown_bytes": one.resident_bytes - held[0].resident_bytes,
            "captioning_grown_bytes": one.captioning_bytes - held[0].captioning_bytes,
            "first": first,
        }
        for one in held
    ]
    rows = [
        {
            "photos captioned": f"{own['photos']:,}",
            "captioning process, MB": f"{own['captioning_bytes'] / _MEGABYTE:.1f}",
            f"more than after {first:,}, MB": f"{own['captioning_grown_bytes'] / _MEGABYTE:+.1f}",
            "this process, MB": f"{own['resident_bytes'] / _MEGABYTE:.1f}",
            f"more than after {first:,} here, MB": f"{own['grown_bytes'] / _MEGABYTE:+.1f}",
            "seconds": f"{own['seconds']:.0f}",
        }
        for own in figures
    ]
    form = "structured captions" if structured else "free captions"
    remarks = [
        f"{model}, {form}, {slots} photos decoded together; {different:,} photos again and again, none looked up in a cache.",
        f"Captions that failed: {failed:,}.",
    ]
    typer.echo(write_results(out, "memory", "Memory of a long run", rows, remarks, more={"figures": figures}))


def _caption(
    captioner: IsolatedCaptioner, photos: Sequence[Path], count: int, looks: Sequence[int]
) -> tuple[list[Held], int]:
    """Return what was held after so many captions, for each of ``looks``, and how many captions failed."""
    held, failed, started = [], 0, time.monotonic()
    for done, result in enumerate(captioner.caption(_requests(captioner, photos, count)), start=1):
        failed += isinstance(result, Failure)
        if done in looks:
            held.append(Held(done, _resident_bytes("self"), _resident_bytes(captioner.pid), time.monotonic() - started))
    return held, failed


def _requests(captioner: IsolatedCaptioner, photos: Sequence[Path], count: int) -> Iterator[CaptionRequest]:
    for number, path in enumerate(islice(cycle(photos), count)):
        yield CaptionRequest(str(number), read_photo_file(path), captioner.question(Item(str(number), path)))


def _resident_bytes(process: int | str) -> int:
    """Return the resident memory now, the mapped weights included (proc(5), statm: the second number, in pages)."""
    return int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    typer.run(main)
