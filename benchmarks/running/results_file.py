"""Results of a benchmark as files: a table for people and a JSON document, with what they were measured on."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = (
    *("vlm4rec-edge", "numpy", "hnswlib", "onnxruntime", "llama-cpp-python", "pillow", "usearch", "faiss-cpu"),
    *("xllamacpp", "fastembed", "sentence-transformers", "torch", "transformers"),
)
_BLAS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Section:
    """One table of a report.

    Attributes:
        name: What it is asked for by.
        title: Its heading.
        rows: The table as people read it; all rows have the same columns.
        figures: The same as numbers, with everything a plot or a comparison needs; units in the names.
        remarks: What a reader must know.
    """

    name: str
    title: str
    rows: Sequence[Mapping[str, str]]
    figures: Sequence[Mapping[str, Any]]
    remarks: Sequence[str] = field(default_factory=tuple)


def machine() -> dict[str, str]:
    """Return what the figures depend on: processor, cores, memory, system, versions, date, command."""
    cpu, memory = platform.processor() or platform.machine(), "unknown"
    if sys.platform == "linux":
        models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        cpu = models[0].partition(": ")[2] if models else cpu
        memory = f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    return {
        "cpu": cpu,
        "cores": str(os.cpu_count()),
        "memory": memory,
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "versions": ", ".join(f"{name} {own}" for name in _PACKAGES if (own := _version(name))),
        "threads": ", ".join(f"{name}={os.environ[name]}" for name in _BLAS if name in os.environ) or "all cores",
        "date": datetime.now(UTC).date().isoformat(),
        "command": " ".join(["python", "benchmarks/" + Path(sys.argv[0]).name, *map(_without_folders, sys.argv[1:])]),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _without_folders(argument: str) -> str:
    """Return an argument without the folders of absolute paths: where files lie on one machine helps nobody."""
    return re.sub(r"(^|[=,])/(?:[^/,]+/)*", r"\1", argument)


def write_results(
    folder: Path,
    name: str,
    title: str,
    rows: Sequence[Mapping[str, Any]],
    remarks: Sequence[str],
    *,
    sections: Sequence[str] = (),
    more: Mapping[str, Any] | None = None,
) -> str:
    """Write ``NAME.json`` and ``NAME.md`` of one table and return the Markdown.

    ``sections`` are further parts of the Markdown, ``more`` further parts of the JSON document.
    """
    about = machine()
    document = {"machine": about, "rows": list(rows), "remarks": list(remarks), **(more or {})}
    lines = [f"# {title}", "", *_table(rows), *_list(remarks)]
    lines += [line for section in sections for line in (section, "")]
    return _write(folder, name, document, [*lines, *_about(about)])


def write_report(folder: Path, name: str, title: str, sections: Sequence[Section], plots: Sequence[str] = ()) -> str:
    """Write ``NAME.json`` and ``NAME.md`` of several tables and return the Markdown; ``plots`` are files in ``folder``."""
    about = machine()
    document = {"machine": about, "sections": [asdict(section) for section in sections]}
    lines = [f"# {title}", ""]
    for section in sections:
        lines += [f"## {section.title}", "", *_table(section.rows), *_list(section.remarks)]
        lines += [
            line for plot in plots if plot.startswith(f"{name}-{section.name}") for line in (f"![{plot}]({plot})", "")
        ]
    return _write(folder, name, document, [*lines, *_about(about)])


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    columns = list(rows[0])
    return [
        "| " + " | ".join(columns) + " |",
        "|" + "---|" * len(columns),
        *("| " + " | ".join(str(row[column]) for column in columns) + " |" for row in rows),
        "",
    ]


def _list(remarks: Sequence[str]) -> list[str]:
    return [*(f"- {remark}" for remark in remarks), ""]


def _about(about: Mapping[str, str]) -> list[str]:
    return [f"- {key}: {value}" for key, value in about.items()]


def _write(folder: Path, name: str, document: Any, lines: Sequence[str]) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    text = "\n".join(lines) + "\n"
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
    return text
