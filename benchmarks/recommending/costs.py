"""What a model or stored vectors cost: a fresh process does a fixed work and tells its time and its greatest memory.

Run by ``savings.py`` as a script, with the work as JSON on its input and the cost as JSON on its output.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

_RUNS = 3
# Put in before the clock starts: the first photo or text pays for what is set up once.
_WARM_UP = 3


@dataclass(frozen=True)
class Cost:
    """Things a second (the median of the runs, the slowest and the fastest), and the process's peak memory in bytes.

    ``peak`` is 0 where the system does not tell it; it counts mapped files.
    """

    pace: float
    slowest: float
    fastest: float
    peak: int


def cost_of(work: Mapping[str, Any]) -> Cost:
    """Do ``work`` in a process of its own.

    Raises:
        RuntimeError: it failed.
    """
    command = [sys.executable, __file__]
    done = subprocess.run(command, input=json.dumps(work), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"measuring {work['kind']} failed: {done.stderr.strip()}")
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def lvlm_work(files: Any, photos: Sequence[Path], threads: int, vision: str) -> dict[str, Any]:
    """Return the work of captioning photos with a pair of files, in batches; ``vision`` is the vision encoder's precision."""
    from dataclasses import asdict

    return {
        "kind": "lvlm",
        "text": str(files.text),
        "projector": str(files.projector),
        "settings": asdict(files.settings),
        "photos": [str(photo) for photo in photos],
        "threads": threads,
        "vision": vision,
    }


def encoder_work(files: Any, texts: Sequence[str], threads: int) -> dict[str, Any]:
    """Return the work of encoding texts."""
    place = files.folder if files.manifest else files.model
    return {"kind": "encoder", "place": str(place), "texts": list(texts), "threads": threads}


def search_work(folder: Path, form: str, search: str, questions: Path, count: int) -> dict[str, Any]:
    """Return the work of asking for the ``count`` rows nearest to each row of a file of vectors, one after another."""
    return {
        "kind": "search",
        "folder": str(folder),
        "form": form,
        "search": search,
        "questions": str(questions),
        "count": count,
    }


def _lvlm(work: Mapping[str, Any]) -> tuple[int, Callable[[int], None]]:
    from dataclasses import replace

    from vlm4rec_edge import LlamaCaptioner, resolve_lvlm
    from vlm4rec_edge.catalog.photo import read_photo_file
    from vlm4rec_edge.grounding.protocol import CaptionRequest
    from vlm4rec_edge.models.manifest import LvlmSettings

    files = replace(
        resolve_lvlm(work["text"], projector=Path(work["projector"])), settings=LvlmSettings(**work["settings"])
    )
    captioner = LlamaCaptioner(files, threads=work["threads"] or None, vision_precision=work["vision"])
    requests = [CaptionRequest(path, read_photo_file(Path(path)), captioner.prompt.text) for path in work["photos"]]

    def go(count: int) -> None:
        for _ in captioner.caption(requests[:count]):
            pass

    return len(requests), go


def _encoder(work: Mapping[str, Any]) -> tuple[int, Callable[[int], None]]:
    from vlm4rec_edge import OnnxEncoder, resolve_encoder

    encoder = OnnxEncoder(resolve_encoder(work["place"]), threads=work["threads"] or None)
    return len(work["texts"]), lambda count: void(encoder.encode(work["texts"][:count]))


def _search(work: Mapping[str, Any]) -> tuple[int, Callable[[int], None]]:
    import numpy as np
    from stored import open_stored

    questions = np.load(work["questions"])
    opened = open_stored(Path(work["folder"]), work["form"], work["search"], questions.shape[1])

    def go(count: int) -> None:
        for question in questions[:count]:
            opened.index.top(question, work["count"])

    return len(questions), go


def void(_: object) -> None:
    """Do nothing with a result."""


def _peak() -> int:
    status = Path("/proc/self/status")  # ru_maxrss would count what the parent held when this process was started
    if not status.is_file():
        return 0
    return 1024 * int(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()[1])


def _main() -> None:
    work = json.load(sys.stdin)
    count, go = {"lvlm": _lvlm, "encoder": _encoder, "search": _search}[work["kind"]](work)
    go(min(_WARM_UP, count))
    paces = []
    for _ in range(_RUNS):
        began = time.perf_counter()
        go(count)
        paces.append(count / (time.perf_counter() - began))
    print(json.dumps({"pace": median(paces), "slowest": min(paces), "fastest": max(paces), "peak": _peak()}))


if __name__ == "__main__":
    _main()
