"""``doctor`` says what is there, what is wrong and which command repairs it; exit code 1 if photos cannot be indexed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from program import program, watched

from vlm4rec_edge import doctor, resolve_encoder, resolve_lvlm
from vlm4rec_edge.doctor import Diagnosis, Finding, examine


@pytest.fixture(scope="module")
def whole() -> Diagnosis:
    """What is found on this machine."""
    return examine()


def _found(diagnosis: Diagnosis, topic: str) -> Finding:
    return next(finding for finding in diagnosis.findings if finding.topic == topic)


def test_a_whole_installation_can_make_an_index(whole: Diagnosis) -> None:
    assert whole.ok
    assert "2 of 2" in _found(whole, "a caption").says
    assert _found(whole, "a vector").ok
    assert "ms a view" in _found(whole, "vision encoder of stylist-lvlm").says
    assert whole.facts["vision"][0]["agreement"]["cosine_worst"] > 0.99
    assert resolve_lvlm().manifest.files["text"].sha256[:12] in _found(whole, "model stylist-lvlm").says  # type: ignore[union-attr]
    assert whole.facts["machine"]["cores"] == len(os.sched_getaffinity(0))
    assert whole.facts["versions"]["numpy"] in _found(whole, "vlm4rec-edge").says


def test_people_get_one_screen_and_programs_a_document() -> None:
    said, document = program("doctor"), program("doctor", "--json")
    assert (said.code, document.code) == (0, 0)
    assert len(said.out.splitlines()) <= 24
    assert said.out.endswith("Photos can be indexed here.\n")
    topics = [finding["topic"] for finding in document.json["findings"]]
    assert all(f"ok     {topic}" in said.out for topic in topics)
    assert document.json["ok"] is True
    assert document.json["onnx_providers"]
    assert document.json["telemetry"] == {"onnxruntime": False, "huggingface_hub": False}
    assert document.json["machine"]["features"]


@pytest.mark.parametrize("package", ["llama_cpp", "onnxruntime", "tokenizers", "PIL"])
def test_what_is_missing_for_an_index_is_named_with_the_command_and_ends_with_1(package: str) -> None:
    done = watched("doctor", without=package)
    assert done.code == 1
    assert done.out.count("FAILS") == 1  # what only rests on it does not repeat it
    assert "ok     recommending" in done.out
    assert "vlm4rec-edge[cpu]" in done.out
    assert "Photos cannot be indexed here." in done.out


def test_a_damaged_model_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = resolve_encoder()
    folder = Path(shutil.copytree(encoder.folder, tmp_path / "all-minilm-l6-v2"))
    with (folder / "model.onnx").open("r+b") as stream:
        stream.truncate(1000)
    monkeypatch.setattr(
        doctor, "installed", lambda: {"all-minilm-l6-v2": folder, "stylist-lvlm": resolve_lvlm().folder}
    )
    diagnosis = examine()
    assert not diagnosis.ok
    assert "is damaged" in _found(diagnosis, "model all-minilm-l6-v2").says
    assert _found(diagnosis, "model stylist-lvlm").ok


def test_an_absent_model_is_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "installed", dict)
    diagnosis = examine()
    assert not diagnosis.ok
    assert _found(diagnosis, "model stylist-lvlm").remedy == "pip install vlm4rec-edge-stylist-lvlm"


def test_two_onnx_runtimes_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_version", lambda name: "1.0")
    finding = next(iter(_notes(doctor._packages({}))))
    assert "overwrite each other" in finding.says


def _notes(findings: Iterator[Finding]) -> Iterator[Finding]:
    return (finding for finding in findings if not finding.ok)


def test_an_interpreter_that_cannot_be_started_is_told_without_another_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLM4REC_EDGE_PYTHON", "/nowhere/python3")
    (finding,) = doctor._llama({})
    assert "VLM4REC_EDGE_PYTHON" in finding.says
    assert (finding.ok, finding.essential, finding.remedy) == (False, True, "")


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("VLM4REC_EDGE_HOME", str(tmp_path / "file"))
    (finding,) = doctor._cache({})
    assert not finding.ok
    assert "VLM4REC_EDGE_HOME" in finding.remedy


def test_onnx_runtime_imported_first_by_another_package_is_told(tmp_path: Path) -> None:
    code = "import onnxruntime; from vlm4rec_edge.doctor import examine; print(*examine().facts['telemetry'].items())"
    env = {name: value for name, value in os.environ.items() if not name.endswith("TELEMETRY")}
    env["HOME"] = str(tmp_path)  # for what it writes there
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert "('onnxruntime', True)" in done.stdout
