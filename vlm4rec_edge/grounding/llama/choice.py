"""Which vision encoder encodes the photos of a model on this machine: llama.cpp's own, or ONNX Runtime's."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from vlm4rec_edge.busy import was_busy
from vlm4rec_edge.errors import MissingDependencyError, ModelError, Vlm4RecWarning
from vlm4rec_edge.grounding.llama.memory import available_bytes
from vlm4rec_edge.grounding.vision.graph_file import (
    GraphFile,
    NotCovered,
    check_model_covered,
    is_timed_badly,
    known_graph,
    vision_graph,
)
from vlm4rec_edge.grounding.vision.projector import NotCoveredError, require_building
from vlm4rec_edge.grounding.vision.record import give_up
from vlm4rec_edge.grounding.vision.tower import runtime_of

if TYPE_CHECKING:
    from vlm4rec_edge.grounding.llama.base import Vision, VisionPrecision
    from vlm4rec_edge.models.resolve import LvlmFiles

# It must have been measured to be this much faster to be the default: below that, noise may have decided.
_GAIN = 1.1
# Making the graph of a larger projector takes so long that a notice is shown.
_LARGE_BYTES = 50_000_000
# What a graph takes at most while it is loaded, against its file. Measured with SmolVLM-256M's: 1.1 in fp32, 1.7 in int8,
# 2.2 in bf16 (OpenVINO).
_LOADED: dict[VisionPrecision, float] = {"fp32": 1.75, "int8": 1.75, "bf16": 2.3}
# The share of the memory at hand that it may take unasked.
_MEMORY_SHARE = 2


def choose_graph(
    files: LvlmFiles, *, vision: Vision, precision: VisionPrecision, find_out: bool, on_gpu: bool
) -> GraphFile | None:
    """Return the graph of ONNX Runtime's vision encoder, or None where llama.cpp's own encodes.

    Unasked it is taken where llama.cpp computes on a CPU, a graph can be made of the projector, gives what llama.cpp's own
    tower gives, was measured to be faster on this processor, and takes at most half of the memory at hand. A graph that
    cannot be used is warned of.

    Args:
        files: The model.
        vision: As for ``BaseCaptioner``.
        precision: As there.
        find_out: As there.
        on_gpu: Whether llama.cpp computes on a GPU.

    Raises:
        ModelError: ONNX Runtime's was asked for and cannot be used; or the projector is damaged.
    """
    if vision == "onnx" or precision != "fp32":
        return _asked_for(files, precision)
    if vision == "mtmd" or on_gpu or not _may_be_made(files):
        return None
    known = known_graph(files, precision)
    if find_out and (known is None or is_timed_badly(known)):
        _tell_making(files, precision, again=known is not None)
        known = vision_graph(files, precision)
    if isinstance(known, NotCovered):
        _tell_fallback(files.name, known.reason)
        return None
    return known if known and is_faster(known) and _has_room(known) else None


def may_fall_back(vision: Vision, precision: VisionPrecision) -> bool:
    """Whether llama.cpp's own vision encoder may take the place of a graph: neither that nor other words were asked for."""
    return vision == "auto" and precision == "fp32"


def fall_back(name: str, graph: Path, reason: str, *, out_of_memory: bool) -> None:
    """Have a graph that failed at work not be tried again here, and warn that llama.cpp's own encodes from now on.

    Args:
        name: Of the model.
        graph: Where it lies.
        reason: What happened, as the end of a sentence.
        out_of_memory: Whether memory was short: where there is more than now, it is tried again.
    """
    give_up(graph, reason, available_bytes() if out_of_memory else None)
    _tell_fallback(name, reason)


def is_faster(graph: GraphFile) -> bool:
    """Whether ONNX Runtime's vision encoder was measured to be clearly faster than llama.cpp's own."""
    return graph.agreement.onnx_s * _GAIN < graph.agreement.mtmd_s


def told_of(known: GraphFile | NotCovered | None) -> str:
    """Return in words what runs the vision encoder unasked on a CPU, and why."""
    if known is None:
        return "run by llama.cpp; the next `vlm4rec-edge index` with this model tries ONNX Runtime"
    if isinstance(known, NotCovered):
        return f"run by llama.cpp; ONNX Runtime is not used: {known.reason}"
    agreement = known.agreement
    onnx, mtmd = agreement.onnx_s * 1e3, agreement.mtmd_s * 1e3
    busy = (
        "; measured on a busy machine, and again by the next `vlm4rec-edge index` with this model on a quiet one"
        if was_busy(agreement.load)
        else ""
    )
    if is_faster(known):
        return (
            f"run by ONNX Runtime, which was faster here than llama.cpp when measured ({onnx:.1f} instead of {mtmd:.1f} ms a "
            f"view of a photo) and agrees with it (cosine {agreement.cosine_worst:.4f} at worst); nothing to do{busy}"
        )
    return (
        f"run by llama.cpp, as ONNX Runtime was not clearly faster here when measured ({onnx:.1f} instead of {mtmd:.1f} ms a "
        f"view of a photo); nothing to do{busy}"
    )


def loaded_bytes(graph: GraphFile | None) -> int:
    """Return the memory that a graph takes at most once it is loaded."""
    return int(_LOADED[graph.precision] * graph.bytes) if graph else 0


def _asked_for(files: LvlmFiles, precision: VisionPrecision) -> GraphFile:
    found = known_graph(files, precision)
    if found is None:
        _tell_making(files, precision)
        found = vision_graph(files, precision)
    if isinstance(found, NotCovered):
        asked = "--vision onnx" if precision == "fp32" else f"--vision-precision {precision}"
        raise ModelError(f"{files.name} cannot be used with {asked}: {found.reason}. Leave it out.")
    return found


def _tell_making(files: LvlmFiles, precision: VisionPrecision, *, again: bool = False) -> None:
    if files.projector.stat().st_size >= _LARGE_BYTES:
        times = "again, because the machine was busy when it was measured" if again else "once"
        warnings.warn(
            f"The vision encoder of {files.name} is made ready for {runtime_of(precision)} and compared with llama.cpp's own, "
            f"{times}; this may take minutes.",
            Vlm4RecWarning,
            stacklevel=4,
        )


def _tell_fallback(name: str, reason: str) -> None:
    warnings.warn(
        f"llama.cpp's own vision encoder encodes the photos for {name}, because ONNX Runtime's cannot be used: {reason}.",
        Vlm4RecWarning,
        stacklevel=4,
    )


def _may_be_made(files: LvlmFiles) -> bool:
    try:
        check_model_covered(files)
        require_building()
    except (NotCoveredError, MissingDependencyError):
        return False
    return True


def _has_room(graph: GraphFile) -> bool:
    free = available_bytes()
    return free is None or loaded_bytes(graph) * _MEMORY_SHARE <= free
