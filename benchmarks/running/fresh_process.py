"""Work in a process of its own: a command and what it cost from start to end, or a task and what its process found out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

PROGRAM = Path(sys.executable).with_name("vlm4rec-edge")
# A process that does nothing but start another one and wait: on Linux the peak memory of a child is at least what its
# parent had when it was started, which is much in a process that has just measured something else.
_WATCH = """
import json, resource, subprocess, sys, time
started = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, text=True)
seconds = time.perf_counter() - started
print(json.dumps([done.returncode, seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, done.stdout]))
"""
# The same imports are found as from a file that lies in the folder of the benchmarks.
_PART = """
import runpy, sys
sys.path[0] = sys.argv.pop(1)
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


class Ran(NamedTuple):
    """Seconds from start to end, peak memory in MB (mapped files included), and the standard output."""

    seconds: float
    peak_mb: float
    said: str


def run_process(command: Sequence[str]) -> Ran:
    """Run a command to its end and measure it."""
    done = subprocess.run([sys.executable, "-c", _WATCH, *command], stdout=subprocess.PIPE, check=True)
    code, seconds, peak, said = json.loads(done.stdout)
    if code:
        raise SystemExit(f"{' '.join(command[:3])} ended with code {code}.")
    return Ran(seconds, peak / (1024 if sys.platform == "linux" else 1024**2), said)


def memory_of(process: int | str = "self") -> dict[str, float]:
    """Return the memory of a process in MB, on Linux; nothing if it has ended.

    ``RssAnon`` is its own now, ``VmHWM`` the most there ever was, mapped files included.
    """
    status = Path(f"/proc/{process}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return {name: int(fields[name].split()[0]) / 1024 for name in ("RssAnon", "VmHWM") if name in fields}


def part_command(part: str, *arguments: str) -> list[str]:
    """Return the command that runs a part of the benchmarks, a module such as ``breaking.child``, as a program."""
    return [sys.executable, "-c", _PART, str(Path(__file__).resolve().parents[1]), part, *arguments]


def ask_process(part: str, task: Any) -> Any:
    """Do a task in a fresh process.

    Args:
        part: Module that reads the task as JSON from its input and says what came of it, as JSON, in its last line.
        task: A dataclass.

    Raises:
        RuntimeError: it failed; the message holds the last line of what it said.
    """
    done = subprocess.run(
        part_command(part), input=json.dumps(asdict(task)), capture_output=True, text=True, check=False
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        raise RuntimeError((done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"])[-1])
    return json.loads(lines[-1])
