"""Results of a benchmark as files: a table for people and a JSON document, with what they were measured on."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

_PACKAGES = ("vlm4rec-edge", "numpy", "hnswlib", "onnxruntime", "llama-cpp-python")


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
        "versions": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        "date": datetime.now(timezone.utc).date().isoformat(),
        "command": " ".join(["python", "benchmarks/" + Path(sys.argv[0]).name, *map(_without_folders, sys.argv[1:])]),
    }


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
    """Write ``NAME.json`` and ``NAME.md`` and return the Markdown.

    ``sections`` are further parts of the Markdown, ``more`` further parts of the JSON document.
    """
    folder.mkdir(parents=True, exist_ok=True)
    about = machine()
    document = {"machine": about, "rows": list(rows), "remarks": list(remarks), **(more or {})}
    (folder / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    columns = list(rows[0])
    lines = [
        f"# {title}",
        "",
        "| " + " | ".join(columns) + " |",
        "|" + "---|" * len(columns),
        *("| " + " | ".join(str(row[column]) for column in columns) + " |" for row in rows),
        "",
        *(f"- {remark}" for remark in remarks),
        "",
        *(line for section in sections for line in (section, "")),
        *(f"- {key}: {value}" for key, value in about.items()),
    ]
    text = "\n".join(lines) + "\n"
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
    return text
