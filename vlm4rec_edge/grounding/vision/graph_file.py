"""The graph of a model's vision encoder: found where it lies, or made, checked and kept."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from vlm4rec_edge.atomic import remove
from vlm4rec_edge.busy import is_worth_timing_again
from vlm4rec_edge.checksums import sha256_of
from vlm4rec_edge.errors import MissingDependencyError, UsageError
from vlm4rec_edge.grounding.death import death_of, oom_kills
from vlm4rec_edge.grounding.llama.memory import available_bytes
from vlm4rec_edge.grounding.spawn import start
from vlm4rec_edge.grounding.vision.bfloat16 import require_bfloat16
from vlm4rec_edge.grounding.vision.check import Agreement
from vlm4rec_edge.grounding.vision.graph import BUILDER_VERSION, Precision
from vlm4rec_edge.grounding.vision.projector import NotCoveredError, check_covered, require_building
from vlm4rec_edge.grounding.vision.record import Record, conditions, read_record
from vlm4rec_edge.models.home import cache_home, models_home
from vlm4rec_edge.models.resolve import LvlmFiles

_FOLDER = "vision"
_SHA256_SHOWN = 16
# With so much more memory at hand a graph is tried again that had too little. What is at hand varies by some per cent.
_MORE_MEMORY = 1.25


@dataclass(frozen=True)
class GraphFile:
    """A graph that may be used: it passed its check here. ``weight_bits`` are those of a linear layer's weight."""

    path: Path
    precision: Precision
    builder_version: int
    weight_bits: int
    bytes: int
    agreement: Agreement


@dataclass(frozen=True)
class NotCovered:
    """There is no graph, and llama.cpp's own vision encoder has to do; ``reason`` is the end of a sentence."""

    reason: str


def known_graph(files: LvlmFiles, precision: Precision) -> GraphFile | NotCovered | None:
    """Return what is known of a model's graph without making it; None where that has to be found out.

    Costs the sha256 of the graph, some 0.2 s for that of SmolVLM-256M, and of the projector where no manifest has it.

    Raises:
        ModelError: the projector is damaged.
    """
    try:
        check_model_covered(files)
        return _found(files, precision, _sha256(files))
    except (NotCoveredError, UsageError) as error:
        return NotCovered(_end_of_sentence(error))


def vision_graph(files: LvlmFiles, precision: Precision) -> GraphFile | NotCovered:
    """Return the graph of a model's vision encoder; make and check it where there is none yet.

    A pulled model keeps it in its folder. Of others it lies in ``vision`` of the cache folder; beside the projector only if
    somebody put it there. Its name holds the projector's sha256, the builder's version and the precision. Making takes
    seconds, its check the time in which llama.cpp encodes three or four views (SmolVLM-256M: 20 s on two cores), once for all
    precisions. That no graph can be made, or that it did not pass, is remembered as well, until a package or the processor
    changes; what may have been chance, or a lack of room, is not. A graph that ``is_timed_badly`` is made and timed again.

    Raises:
        ModelError: the projector is damaged.
    """
    known: GraphFile | NotCovered | None = None
    try:
        check_model_covered(files)
        sha256 = _sha256(files)
        known = _found(files, precision, sha256)
        if known and not is_timed_badly(known):
            return known
        require_building()
        if precision == "bf16":
            require_bfloat16()
        made = _made(files, precision, sha256)
        return made if isinstance(made, GraphFile) else _found(files, precision, sha256) or made
    except (NotCoveredError, MissingDependencyError, UsageError) as error:
        return known or NotCovered(_end_of_sentence(error))


def is_timed_badly(known: GraphFile | NotCovered) -> bool:
    """Whether a graph was timed on a busy machine that is quiet now, so that another encoder may be the faster one."""
    return isinstance(known, GraphFile) and is_worth_timing_again(known.agreement.load)


def _end_of_sentence(error: Exception) -> str:
    return str(error).rstrip(".")


def check_model_covered(files: LvlmFiles) -> None:
    """Look at the projector, and at what the manifest asks of llama.cpp.

    Raises:
        NotCoveredError: no graph sees photos as llama.cpp does with this model.
        ModelError: the projector is damaged.
    """
    check_covered(files.projector)
    if files.settings.image_min_tokens or files.settings.image_max_tokens:
        raise NotCoveredError("its manifest bounds the tokens of a photo (image_min_tokens, image_max_tokens)")


def graph_name(sha256: str, precision: Precision) -> str:
    """Return the name of a graph's file."""
    return f"vision-{sha256[:_SHA256_SHOWN]}-v{BUILDER_VERSION}-{precision}.onnx"


def references_name(sha256: str) -> str:
    """Return the name of the file of what mtmd made of the reference pictures."""
    return f"vision-{sha256[:_SHA256_SHOWN]}-mtmd.npz"


def _sha256(files: LvlmFiles) -> str:
    return files.manifest.files["projector"].sha256 if files.manifest else sha256_of(files.projector)


def _found(files: LvlmFiles, precision: Precision, sha256: str) -> GraphFile | NotCovered | None:
    for folder in dict.fromkeys((_own_folder(files), files.projector.parent)):
        graph = folder / graph_name(sha256, precision)
        record = read_record(graph)
        if record is None or record.projector_sha256 != sha256:
            continue
        found = _checked(graph, record)
        if record.reason and (record.graph is None or (found and not _has_room_now(record))):
            return NotCovered(record.reason)
        if found:
            return found
    return None


def _has_room_now(record: Record) -> bool:
    """Whether a graph failed for want of memory, and there is more now."""
    free = available_bytes()
    return record.failed_bytes is not None and (free is None or free > _MORE_MEMORY * record.failed_bytes)


def _checked(graph: Path, record: Record) -> GraphFile | None:
    """Return a graph if it is the one that its record describes."""
    file, agreement = record.graph, record.agreement
    if file is None or agreement is None or not graph.is_file():
        return None
    if graph.stat().st_size != file.size or sha256_of(graph) != file.sha256:
        return None
    return GraphFile(graph, record.precision, record.builder_version, record.weight_bits, file.size, agreement)


def _own_folder(files: LvlmFiles) -> Path:
    """Return the folder to write to: a pulled model's own, else one in the cache. A folder of the user's is left alone."""
    folder = files.projector.parent
    pulled = folder.resolve().is_relative_to(models_home().resolve())
    return folder if pulled and os.access(folder, os.W_OK) else cache_home() / _FOLDER


@contextmanager
def _ending(process: Popen[bytes]) -> Iterator[None]:
    """Kill the process where it is not waited for to its end, as after Ctrl-C."""
    try:
        yield
    except BaseException:
        process.kill()
        process.wait()
        raise


def _made(files: LvlmFiles, precision: Precision, sha256: str) -> GraphFile | NotCovered:
    folder = _own_folder(files)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return NotCovered(f"its graph cannot be kept in {folder} ({error.strerror or error})")
    graph = folder / graph_name(sha256, precision)
    kills = oom_kills()
    arguments = (files.text, files.projector, sha256, precision, graph)
    process, words = start("vlm4rec_edge.grounding.vision.making", *map(str, arguments))
    assert process.stdin and process.stdout
    with process.stdin, process.stdout, _ending(process):
        lines = [line for line in process.stdout.read().decode("utf-8", "replace").splitlines() if line.startswith("{")]
    death = death_of(process, words.lines, oom_kills_before=kills)
    if not lines:
        for part in folder.glob(f"vision-*.{process.pid}.part"):  # what it had written so far
            remove(part)
        reason = f"its graph could not be made: the process that made it ended ({death})"
        if death.is_fault:  # anything else may have been chance
            with suppress(OSError):
                Record(precision, BUILDER_VERSION, sha256, 0, None, None, reason, conditions(precision)).write(graph)
        return NotCovered(reason)
    if reason := json.loads(lines[-1])["reason"]:
        return NotCovered(f"its graph could not be made: {reason}")
    return _found(files, precision, sha256) or NotCovered(f"its graph in {graph} was changed while it was made")
