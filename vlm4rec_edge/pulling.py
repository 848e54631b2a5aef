"""Bring a model onto this machine, ready to work: its files and, where there can be one, the graph of its vision encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlm4rec_edge.errors import MissingDependencyError
from vlm4rec_edge.grounding.llama.native import require_captioning
from vlm4rec_edge.grounding.vision.graph_file import GraphFile, NotCovered, known_graph, vision_graph
from vlm4rec_edge.grounding.vision.projector import NotCoveredError, check_covered, require_building
from vlm4rec_edge.models.home import models_home
from vlm4rec_edge.models.hub import pull
from vlm4rec_edge.models.manifest import read_manifest
from vlm4rec_edge.models.resolve import resolve_lvlm


@dataclass(frozen=True)
class PulledModel:
    """A model that is whole on this machine.

    Attributes:
        name, folder: What it is called, and where it lies.
        graph: Of its vision encoder in ONNX Runtime, or why it has none although its family could. None where none was asked
            for: a text encoder, an embedded model (its graph is made when it is first used), a family without one, or
            packages that are missing.
    """

    name: str
    folder: Path
    graph: GraphFile | NotCovered | None

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``models pull --json``."""
        graph = str(self.graph.path) if isinstance(self.graph, GraphFile) else None
        return {"name": self.name, "folder": str(self.folder), "graph": graph}


def pull_model(
    name: str, *, offline: bool = False, progress: bool = True, note: Callable[[str], None] | None = None
) -> PulledModel:
    """Fetch what is missing of a model, check every file, and make the graph of its vision encoder beside them.

    Args:
        name: Of the registry.
        offline: Whether the network is forbidden.
        progress: Whether to show a bar while files are fetched.
        note: Called with a sentence before the graph is made, which may take minutes.

    Raises:
        ModelError, MissingDependencyError: as ``vlm4rec_edge.models.hub.pull``.
    """
    folder = pull(name, offline=offline, progress=progress)
    return PulledModel(folder.name, folder, _graph(folder, note))


def _graph(folder: Path, note: Callable[[str], None] | None) -> GraphFile | NotCovered | None:
    if folder.parent != models_home() or read_manifest(folder).kind != "lvlm":
        return None
    files = resolve_lvlm(folder)
    try:
        require_captioning()
        require_building()
        check_covered(files.projector)
    except (MissingDependencyError, NotCoveredError):
        return None
    known = known_graph(files, "fp32")
    if known is not None:
        return known
    if note:
        note("Making the ONNX graph of its vision encoder, and comparing it with llama.cpp's own encoder.")
    return vision_graph(files, "fp32")
