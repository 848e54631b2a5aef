"""The benchmark of shards on a small catalog: its steps run, and its page says what was measured and what was not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_COMMAND = Path(__file__).parents[2] / "benchmarks" / "cluster.py"


@pytest.mark.skipif(sys.platform != "linux", reason="it reads the memory of processes from /proc")
def test_plan_run_merge_and_ask_are_measured(tmp_path: Path) -> None:
    command = [sys.executable, str(_COMMAND), "--rounds", "0", "--items", "60", "--rows", "40"]
    done = subprocess.run(
        [*command, "--work", str(tmp_path / "work"), "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
    )
    assert done.returncode == 0, done.stderr
    sections = {one["name"]: one for one in json.loads((tmp_path / "cluster.json").read_text())["sections"]}
    assert list(sections) == ["shard", "large", "arithmetic"]
    steps = {one["step"]: one for one in sections["large"]["figures"] if "step" in one}
    assert list(steps) == [
        *("plan", "run", "run again", "status", "merge", "recommend, cold"),
        *("merge into a table", "recommend from the table, cold"),
    ]
    assert all(one["seconds"] > 0 and one["peak_mb"] > 0 for one in steps.values())
    page = (tmp_path / "cluster.md").read_text(encoding="utf-8")
    assert "stand-ins" in page
    assert "**Arithmetic, not a measurement**" in page
