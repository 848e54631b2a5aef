"""What is written beside a graph: what it was made of, how near to mtmd's tower it came, and where that was tried."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from vlm4rec_edge.atomic import atomic_path
from vlm4rec_edge.grounding.llama.library import processor
from vlm4rec_edge.grounding.vision.check import Agreement
from vlm4rec_edge.grounding.vision.graph import Precision
from vlm4rec_edge.models.manifest import ModelFile

_FORMAT = 2
_ONNX_RUNTIMES = ("onnxruntime", "onnxruntime-gpu")


@dataclass(frozen=True)
class Record:
    """What came of making a graph.

    Attributes:
        precision, builder_version: Of the graph.
        projector_sha256: Of the GGUF file that it was made from.
        weight_bits: Bits of a weight of a linear layer.
        graph: Name, size and sha256 of the graph; None where it did not pass.
        agreement: With mtmd's tower; None where the two could not be compared.
        reason: Why the graph is not used, as the end of a sentence; empty where it is. It did not pass, or it passed and
            failed at work.
        conditions: What else the result depends on; see ``conditions``.
        failed_bytes: The memory that was at hand where the reason is a lack of it; else None.
    """

    precision: Precision
    builder_version: int
    projector_sha256: str
    weight_bits: int
    graph: ModelFile | None
    agreement: Agreement | None
    reason: str
    conditions: dict[str, str]
    failed_bytes: int | None = None

    def write(self, graph: Path) -> None:
        """Write it beside the place of its graph.

        Raises:
            OSError: it cannot be written.
        """
        _write(graph, {"format": _FORMAT, **asdict(self)})


def record_path(graph: Path) -> Path:
    """Return where the record of a graph lies."""
    return graph.with_suffix(".json")


def read_record(graph: Path) -> Record | None:
    """Return the record beside a graph's place; None where there is none, or one that holds no longer or cannot be read.

    It holds for the packages and the processor that it was made with: on another processor 8-bit products may overflow.
    """
    with suppress(OSError, ValueError, KeyError, TypeError):
        content: dict[str, Any] = json.loads(record_path(graph).read_text(encoding="utf-8"))
        if content.pop("format") == _FORMAT and content["conditions"] == conditions(content["precision"]):
            file, agreement = content.pop("graph"), content.pop("agreement")
            return Record(
                graph=ModelFile(**file) if file else None,
                agreement=_agreement(agreement) if agreement else None,
                **content,
            )
    return None


def _agreement(content: dict[str, Any]) -> Agreement:
    if not all(type(value) in (int, float) for name, value in content.items() if (name, value) != ("load", None)):
        raise TypeError("not all of it is numbers")
    return Agreement(**content)


def give_up(graph: Path, reason: str, free_bytes: int | None) -> None:
    """Note beside a graph that it failed at work, so that it is not tried again; ``reason`` is the end of a sentence.

    Where that cannot be written, the next run tries it again.

    Args:
        graph: Where it lies.
        reason: As in ``Record``.
        free_bytes: The memory at hand where it is the lack of it.
    """
    with suppress(OSError, ValueError, TypeError):
        content = json.loads(record_path(graph).read_text(encoding="utf-8"))
        _write(graph, {**content, "reason": reason, "failed_bytes": free_bytes})


def _write(graph: Path, content: dict[str, Any]) -> None:
    with atomic_path(record_path(graph)) as part:
        part.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def conditions(precision: Precision) -> dict[str, str]:
    """Return the versions of the packages that compute, and a short sha256 of what the system reports of the processor."""
    return machine() | _versions(*(("openvino",) if precision == "bf16" else _ONNX_RUNTIMES))


def machine() -> dict[str, str]:
    """Return those of ``conditions`` that mtmd depends on as well."""
    return {"processor": hashlib.sha256(processor().encode()).hexdigest()[:16], **_versions("llama-cpp-python")}


def _versions(*packages: str) -> dict[str, str]:
    found = {}
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
