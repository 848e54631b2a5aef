"""A program that makes a vision encoder's graph and checks it against mtmd; ``graph_file.vision_graph`` runs it.

It has a process of its own: building takes three times the graph in memory, and both llama.cpp and ONNX Runtime (or
OpenVINO) compute here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, cast

from vlm4rec_edge.atomic import atomic_path, remove
from vlm4rec_edge.busy import load_of_a_core
from vlm4rec_edge.cores import usable_cores
from vlm4rec_edge.errors import VisionEncoderError, Vlm4RecError
from vlm4rec_edge.grounding.death import tells_of_memory
from vlm4rec_edge.grounding.vision.check import CheckFailedError, Reference, compare
from vlm4rec_edge.grounding.vision.graph import BUILDER_VERSION, Precision, build_graph
from vlm4rec_edge.grounding.vision.graph_file import references_name
from vlm4rec_edge.grounding.vision.overflow import weight_bits
from vlm4rec_edge.grounding.vision.projector import NotCoveredError, read_projector
from vlm4rec_edge.grounding.vision.record import Record, conditions
from vlm4rec_edge.grounding.vision.references import references_of
from vlm4rec_edge.models.manifest import describe_file
from vlm4rec_edge.models.resolve import LvlmFiles, resolve_lvlm


def main() -> None:
    """Run the program. Its arguments are the text model, the projector and its sha256, the precision, the graph's place."""
    text, projector, sha256, precision, place = sys.argv[1:]
    graph = Path(place)
    said: dict[str, Any] = {"reason": ""}
    load = load_of_a_core()  # before it is this program's own
    try:
        files = resolve_lvlm(text, projector=Path(projector))
        kept = graph.with_name(references_name(sha256))
        references = partial(references_of, files, kept, sha256=sha256, threads=usable_cores(), load=load)
        make_graph(files, sha256, cast("Precision", precision), graph, references, load=load)
    except (Vlm4RecError, OSError, MemoryError) as error:
        said = {"reason": _reason(error) or "there is too little memory"}
    sys.stdout.write(json.dumps(said) + "\n")


def make_graph(
    files: LvlmFiles,
    sha256: str,
    precision: Precision,
    graph: Path,
    references: Callable[[], Sequence[Reference]],
    *,
    load: float | None = None,
) -> Record:
    """Make the graph of a projector and check it; write it and its record, or the record alone where it fails.

    The graph is in its place, whole, only once it has passed. It also fails where none can be made of this projector, or the
    packages here cannot compute it; not for lack of memory or disk, which may be there next time.

    Args:
        files: The model.
        sha256: Of its projector.
        precision: Of the graph.
        graph: Where it goes.
        references: Returns what mtmd makes of the reference pictures; called once the graph is built.
        load: Of the machine, which is noted.

    Raises:
        ModelError: llama.cpp cannot use the pair of files; or there is too little memory.
        MissingDependencyError: a package is not installed.
        OSError: the place cannot be written.
    """
    threads = usable_cores()
    with ThreadPoolExecutor(1) as own_thread:
        bits = own_thread.submit(weight_bits).result() if precision == "int8" else 32
    agreement, reason = None, ""
    try:
        with atomic_path(graph) as part:
            part.write_bytes(build_graph(read_projector(files.projector), precision, weight_bits=bits))
            agreement = compare(part, references(), precision=precision, threads=threads, load=load)
            agreement.check(precision)
    except (CheckFailedError, NotCoveredError, VisionEncoderError) as error:
        reason = _reason(error)
        if tells_of_memory(reason):
            raise
        remove(graph)
    record = Record(
        precision=precision,
        builder_version=BUILDER_VERSION,
        projector_sha256=sha256,
        weight_bits=bits,
        graph=None if reason else describe_file(graph),
        agreement=agreement,
        reason=reason,
        conditions=conditions(precision),
    )
    record.write(graph)
    return record


def _reason(error: Exception) -> str:
    """Return what happened, as the end of a sentence."""
    return error.reason if isinstance(error, VisionEncoderError) else str(error).rstrip(".")
