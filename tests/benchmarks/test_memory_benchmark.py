"""``benchmarks/memory.py`` captions every photo anew and looks at the memory when it says it does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "memory.py"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--out", str(folder), "--threads", "1", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )


@pytest.mark.usefixtures("new_interpreter")  # whose memory is its own
def test_memory_is_noted_after_the_first_at_every_step_and_at_the_end(tmp_path: Path) -> None:
    done = _run(tmp_path, "--different", "3", "--count", "9", "--first", "3", "--every", "2")
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "memory.json").read_text())
    figures = document["figures"]
    assert [own["photos"] for own in figures] == [3, 4, 6, 8, 9]
    assert figures[0]["grown_bytes"] == 0
    for own in figures:
        assert own["resident_bytes"] == figures[0]["resident_bytes"] + own["grown_bytes"]
        assert own["captioning_bytes"] == figures[0]["captioning_bytes"] + own["captioning_grown_bytes"]
        assert own["captioning_bytes"] > own["resident_bytes"] > 10e6, "Python, and there also a model"
    seconds = [own["seconds"] for own in figures]
    assert seconds == sorted(seconds)
    assert "Captions that failed: 0." in document["remarks"]
    assert all(f"| {row['photos captioned']} |" in done.stdout for row in document["rows"])


def test_a_run_too_short_to_grow_is_refused(tmp_path: Path) -> None:
    done = _run(tmp_path, "--count", "5", "--first", "5")
    assert done.returncode == 1
    assert "Error: --first 5 leaves nothing of 5 captions to grow in." in done.stderr
    assert not list(tmp_path.iterdir())
