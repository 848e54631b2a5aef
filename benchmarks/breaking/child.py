"""The process that ``faults.py`` kills: one run of ``index``, or one repair of a damaged index.

Not meant to be typed; its one argument is a JSON object, the fields of ``Task``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from running.fresh_process import part_command
from running.stand_ins import MadeVectors, RecordedCaptioner, use_small_limits

from vlm4rec_edge.errors import Vlm4RecError
from vlm4rec_edge.index_folder import IndexFolder, build_index
from vlm4rec_edge.store.check import VerifyReport

BEGIN = "begin"


@dataclass(frozen=True)
class Task:
    """What a child does. ``encoder`` is the version of ``MadeVectors``; ``file_bytes`` bounds every file it writes."""

    do: Literal["index", "repair", "engine"]
    catalog: str
    out: str
    recording: str
    log: str
    prompt: str = "Describe this."
    encoder: int = 1
    seconds_a_caption: float = 0.0
    file_bytes: int = 0

    def command(self) -> list[str]:
        """Return the command line that does this task."""
        return part_command(__name__, json.dumps(asdict(self)))


def _index(task: Task) -> dict[str, Any]:
    with MadeVectors(version=task.encoder) as encoder:
        captioner = RecordedCaptioner(
            Path(task.recording), Path(task.log), seconds=task.seconds_a_caption, prompt=task.prompt
        )
        report = build_index(
            task.catalog, task.out, captioner=captioner, encoder=encoder, remake=True, prune_anyway=True
        )
        captioner.close()
    return {"items": report.items, "captioned": report.progress.captioned, "removed": report.removed}


def _repair(task: Task) -> dict[str, Any]:
    before = IndexFolder(task.out).verify()
    with MadeVectors(version=task.encoder) as encoder, IndexFolder(task.out) as index:
        index.repair(encoder=encoder)
    report = _index(task)
    return {"before": _findings(before), "after": _findings(IndexFolder(task.out).verify()), **report}


def _findings(report: VerifyReport) -> list[str]:
    return [f"{finding.file}: {finding.problem}" for finding in report.findings]


def _engine(task: Task) -> None:
    """The real program with the real models; only noting, for each caption, that it was made."""
    from vlm4rec_edge.cli import main
    from vlm4rec_edge.grounding.child.isolated import IsolatedCaptioner
    from vlm4rec_edge.grounding.protocol import CaptionRequest

    make = IsolatedCaptioner.caption
    log = Path(task.log).open("a", encoding="utf-8")  # noqa: SIM115 (open until the process is killed)

    def noted(captioner: IsolatedCaptioner, requests: Iterable[CaptionRequest]) -> Iterator[Any]:
        results = make(captioner, requests)
        try:
            for result in results:
                if isinstance(result, tuple):
                    log.write(result[0] + "\n")
                    log.flush()
                    os.fsync(log.fileno())
                yield result
        finally:
            results.close()  # type: ignore[attr-defined]

    IsolatedCaptioner.caption = noted  # type: ignore[method-assign]
    sys.argv = ["vlm4rec-edge", "index", task.catalog, "--out", task.out]
    main()


def _run(task: Task) -> None:
    print(BEGIN, flush=True)
    use_small_limits()
    if task.do == "engine":
        _engine(task)
        return
    if task.file_bytes:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (task.file_bytes, task.file_bytes))
    try:
        print(json.dumps(_repair(task) if task.do == "repair" else _index(task)))
    except Vlm4RecError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    _run(Task(**json.loads(sys.argv[1])))
