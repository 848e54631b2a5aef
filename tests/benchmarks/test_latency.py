"""``benchmarks/latency.py`` measures at any size what it says, and leaves out, and says so, what is not installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "latency.py"
TINY = {
    "--sizes": "120",
    "--items": "120",
    "--option-items": "120",
    "--batch-items": "120",
    "--batch-users": "30",
    "--queries": "12",
    "--batch": "5",
    "--runs": "2",
    "--batch-runs": "1",
    "--processes": "1",
}


def _run(folder: Path, **changed: str) -> subprocess.CompletedProcess[str]:
    settings = {**TINY, **{f"--{name}": value for name, value in changed.items()}}
    arguments = [part for pair in settings.items() for part in pair]
    places = ["--work", str(folder / "work"), "--out", str(folder / "out")]
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments, *places],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        check=False,
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every table was measured once, at a size that takes seconds."""
    folder = tmp_path_factory.mktemp("latency")
    process = _run(folder)
    assert process.returncode == 0, process.stderr
    assert "# Latency of the online half" in process.stdout
    return folder


def test_every_table_is_there_with_its_figures(done: Path) -> None:
    document = json.loads((done / "out" / "latency-online.json").read_text())
    sections = {section["name"]: section for section in document["sections"]}
    assert list(sections) == ["retrieval", "cold", "options", "bundles", "batch"]
    text = (done / "out" / "latency-online.md").read_text()
    for section in sections.values():
        assert f"## {section['title']}" in text
        assert len(section["rows"]) == len(section["figures"]) > 0
        for row in section["rows"]:
            assert "| " + " | ".join(row.values()) + " |" in text
    assert {"cpu", "cores", "versions", "command", "date"} <= set(document["machine"])
    assert sections["batch"]["figures"][0]["users"] == 30
    peaks = {own["process"]: own["peak_mb"] for own in sections["cold"]["figures"]}
    assert 0 < peaks["Python alone"] < peaks["recommend, index"], "each process has its own peak"


def test_a_scan_misses_nothing_and_every_engine_installed_is_measured(done: Path) -> None:
    document = json.loads((done / "out" / "latency-online.json").read_text())
    retrieval = document["sections"][0]
    figures = {own["engine"]: own for own in retrieval["figures"]}
    assert figures["vlm4rec-edge, scan"]["recall"] == 1.0
    for own in figures.values():
        assert own["recall"] is None or own["recall"] > 0.8
        assert len(own["p50_s"]) == len(own["p99_s"]) == 2
        assert all(0 < p50 <= p99 for p50, p99 in zip(own["p50_s"], own["p99_s"], strict=True))
    for package, module, engine in (("usearch", "usearch", "usearch"), ("faiss-cpu", "faiss", "faiss, HNSW")):
        is_left_out = f"{package} is not installed and was left out: pip install {package}" in retrieval["remarks"]
        assert (engine in figures) == (find_spec(module) is not None) == (not is_left_out)


def test_pictures_are_drawn_where_there_is_matplotlib(done: Path) -> None:
    drawn = {path.name for path in (done / "out").iterdir()} - {"latency-online.json", "latency-online.md"}
    expected = {"latency-online-retrieval.png", "latency-online-options.png"}
    assert drawn == (expected if find_spec("matplotlib") else set())


def test_one_table_can_be_asked_for_and_what_was_made_is_used_again(done: Path) -> None:
    made = {path: path.stat().st_mtime_ns for path in (done / "work").rglob("vectors-*")}
    process = _run(done, sections="bundles", name="again")
    assert process.returncode == 0, process.stderr
    assert [section["name"] for section in json.loads((done / "out" / "again.json").read_text())["sections"]] == [
        "bundles"
    ]
    assert made == {path: path.stat().st_mtime_ns for path in made}


def test_an_unknown_table_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    process = _run(tmp_path, sections="cold,speed")
    assert process.returncode == 2
    assert "There is no table 'speed'" in " ".join(process.stderr.replace("│", " ").split())
    assert list(tmp_path.iterdir()) == []


def test_seconds_to_build_are_told_only_of_what_was_built_in_this_run(done: Path) -> None:
    def built(name: str) -> dict[str, float | None]:
        document = json.loads((done / "out" / f"{name}.json").read_text())
        return {own["engine"]: own["built_s"] for own in document["sections"][0]["figures"]}

    process = _run(done, sections="retrieval", name="kept")
    assert process.returncode == 0, process.stderr
    first = {engine for engine, seconds in built("latency-online").items() if seconds is not None}
    assert {"vlm4rec-edge, graph", "hnswlib"} <= first
    assert set(built("kept").values()) == {None}
