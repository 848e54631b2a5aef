"""A program that makes a vision encoder's graph and checks it against mtmd; ``graph_file.vision_graph`` runs it.

It has a process of its own: building takes three times the graph in memory, and both llama.cpp and ONNX Runtime (or
OpenVINO) compute here.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

from vlm4rec_edge.atomic import atomic_path, remove
from vlm4rec_edge.cores import usable_cores
from vlm4rec_edge.errors import Vlm4RecError
from vlm4rec_edge.grounding.vision.check import CheckFailedError, ask_mtmd, compare, reference_pictures
from vlm4rec_edge.grounding.vision.graph import BUILDER_VERSION, Precision, build_graph
from vlm4rec_edge.grounding.vision.overflow import weight_bits
from vlm4rec_edge.grounding.vision.projector import read_projector
from vlm4rec_edge.grounding.vision.record import Record, conditions
from vlm4rec_edge.models.manifest import describe_file
from vlm4rec_edge.models.resolve import LvlmFiles, resolve_lvlm


def main() -> None:
    """Run the program. Its arguments are the text model, the projector and its sha256, the precision, the graph's place."""
    text, projector, sha256, precision, graph = sys.argv[1:]
    said: dict[str, Any] = {"reason": ""}
    try:
        files = resolve_lvlm(text, projector=Path(projector))
        make_graph(files, sha256, cast("Precision", precision), Path(graph))
    except (Vlm4RecError, OSError, MemoryError) as error:
        said = {"reason": str(error) or "there is too little memory"}
    sys.stdout.write(json.dumps(said) + "\n")


def make_graph(files: LvlmFiles, sha256: str, precision: Precision, graph: Path) -> Record:
    """Make the graph of a projector and check it; write it and its record, or the record alone where it fails.

    The graph is in its place, whole, only once it has passed.

    Raises:
        NotCoveredError: no graph can be made of this projector.
        ModelError: llama.cpp cannot use the pair of files.
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
            references = ask_mtmd(files, reference_pictures(), threads=threads)
            agreement = compare(part, references, precision=precision, threads=threads)
            agreement.check(precision)
    except CheckFailedError as error:
        reason = str(error)
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
