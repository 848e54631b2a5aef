"""Whether the installed llama.cpp computes right on this processor, found out once and remembered.

llama.cpp keeps weights in the form that a processor multiplies fastest, in buffers of their own ("AMX", "CPU_REPACK"). That
of AMX ends the process at its first product where GCC 12 compiled it, and reads beyond its weights where a matrix is
multiplied with several at once (``packaging/llama.cpp.cmake`` says why, and fixes both); a library that was compiled for
another processor ends it at any product. So small products are tried in a process that may die of it
(``vlm4rec_edge.grounding.llama.probe``), and what was found is written down, for this library on this processor, in
``llama-cpp.json`` of the cache folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from vlm4rec_edge.atomic import atomic_path
from vlm4rec_edge.errors import ModelError
from vlm4rec_edge.grounding.death import death_of, oom_kills
from vlm4rec_edge.grounding.spawn import interpreter, start
from vlm4rec_edge.models.home import cache_home

PLAIN = "plain"
_FILE_NAME = "llama-cpp.json"
# Raised when the probe tries something else.
_VERSION = 2
# The process that tries may end by accident once.
_TRIES = 2
_found: dict[str, LlamaCheck] = {}


@dataclass(frozen=True)
class LlamaCheck:
    """What the installed llama.cpp computes on this processor.

    ``works``: a plain product is right. ``extra_buffers``: so is one through each of its own buffers. ``reason``: what went
    wrong, as the end of a sentence; empty where nothing did.
    """

    works: bool
    extra_buffers: bool
    reason: str = ""


def check_llama() -> LlamaCheck:
    """Return what is known of the installed llama.cpp on this processor; find it out if nothing is (a second or less).

    Raises:
        UsageError: no interpreter can be started.
        ModelError: it cannot be found out, because the process that tries is ended by something else.
    """
    key = _key()
    if key not in _found:
        path = cache_home() / _FILE_NAME
        remembered = _read(path)
        with suppress(KeyError, TypeError):
            _found[key] = LlamaCheck(**remembered[key])
            return _found[key]
        _found[key] = _try()
        _write(path, {**remembered, key: asdict(_found[key])})
    return _found[key]


def _try(tries: int = _TRIES) -> LlamaCheck:
    kills = oom_kills()
    process, words = start("vlm4rec_edge.grounding.llama.probe")
    assert process.stdin and process.stdout
    with process.stdin, process.stdout:
        lines = process.stdout.read().decode("utf-8", "replace").splitlines()
    death = death_of(process, words.lines, oom_kills_before=kills)
    results: dict[str, bool | None] = {PLAIN: None}
    for line in lines:
        if line.startswith("{"):  # what llama.cpp may print is none of it
            said = json.loads(line)
            results[said["buffer"]] = said["right"]  # None as long as it is being tried
    wrong = next((buffer for buffer, right in results.items() if right is not True), None)
    if wrong is None:
        return LlamaCheck(works=True, extra_buffers=True)
    if results[wrong] is None and not death.is_fault:  # an accident, which must not be remembered
        if tries > 1:
            return _try(tries - 1)
        raise ModelError(
            f"It cannot be checked whether llama.cpp computes correctly here: the process that tries it ended ({death}); "
            "run the same command again."
        )
    how = f"ends the process ({death})" if results[wrong] is None else "computes wrong results"
    works = results[PLAIN] is True
    return LlamaCheck(works, extra_buffers=False, reason=f"its buffer {wrong} {how}" if works else f"it {how}")


def _key() -> str:
    """Return what distinguishes one library on one processor from another."""
    package = find_spec("llama_cpp")
    own = Path(package.origin).parent / "lib" if package and package.origin else Path()
    folder = Path(os.environ.get("LLAMA_CPP_LIB_PATH") or own)  # the variable is llama-cpp-python's
    files = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(folder.glob("*"))]
    # NumPy asks the processor itself: in an emulator the system still reports the real one.
    features = np.show_config(mode="dicts")["SIMD Extensions"]
    told = [_VERSION, str(folder), files, features, processor(), interpreter()]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def processor() -> str:
    """Return name and features of the processor, as far as the system reports them."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(
            dict.fromkeys(line for line in lines if line.startswith(("model name", "flags", "Features", "CPU")))
        )
    return platform.processor()


def _read(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            return content
    return {}


def _write(path: Path, content: dict[str, Any]) -> None:
    with suppress(OSError):  # where nothing can be written, each process finds it out for itself
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as part:
            part.write_text(json.dumps(content, indent=1), encoding="utf-8")
