"""A llama.cpp that was compiled wrongly, or for another processor, is found out before it ends a process."""

from __future__ import annotations

import shlex
import signal
import sys
from pathlib import Path

import pytest
from isolation import DEADLY_PYTHON, deadly, posix
from pictures import answers, drawn, requests_for

from vlm4rec_edge import IsolatedCaptioner, LlamaCaptioner, resolve_lvlm
from vlm4rec_edge.errors import MissingDependencyError, ModelError, Vlm4RecWarning
from vlm4rec_edge.grounding.llama import library, native
from vlm4rec_edge.grounding.llama.library import LlamaCheck, check_llama
from vlm4rec_edge.grounding.llama.native import compile_here

RIGHT = {"buffer": "plain", "right": True}
pytestmark = posix


@pytest.fixture(autouse=True)
def _nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLM4REC_EDGE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(library, "_found", {})


def _probe_says(patch: pytest.MonkeyPatch, *lines: dict[str, object], dies_of: str = "") -> None:
    deadly(patch, probe=lines, **({"signal": int(signal.Signals[dies_of])} if dies_of else {}))


def test_the_installed_llama_cpp_computes_right_through_every_buffer() -> None:
    assert check_llama() == LlamaCheck(works=True, extra_buffers=True)


def test_what_was_found_is_remembered_for_this_library_and_found_out_anew_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_llama()
    monkeypatch.setattr(library, "_found", {})
    monkeypatch.setattr(library, "_try", lambda: pytest.fail("tried again"))
    assert check_llama().works
    other = tmp_path / "lib"
    other.mkdir()
    (other / "libggml-cpu.so").write_bytes(b"another library")
    monkeypatch.setenv("LLAMA_CPP_LIB_PATH", str(other))
    monkeypatch.setattr(library, "_try", lambda: LlamaCheck(works=False, extra_buffers=False, reason="new"))
    assert check_llama().reason == "new"


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x": 1}', None])
def test_a_damaged_memory_or_a_place_that_cannot_be_written_costs_a_probe_and_nothing_else(
    content: str | None, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    if content is None:
        home.write_text("no folder")
    else:
        home.mkdir()
        (home / "llama-cpp.json").write_text(content)
    assert check_llama().works


def test_a_memory_that_cannot_be_replaced_leaves_no_file_behind(tmp_path: Path) -> None:
    memory = tmp_path / "home" / "llama-cpp.json"
    memory.mkdir(parents=True)
    assert check_llama().works
    assert list(memory.parent.iterdir()) == [memory]


def test_a_probe_that_something_else_ends_is_made_again_and_its_end_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _probe_says(monkeypatch, RIGHT, dies_of="SIGKILL")
    assert check_llama().works  # all it had to say it said
    monkeypatch.setattr(library, "_found", {})
    (tmp_path / "home" / "llama-cpp.json").unlink()
    _probe_says(monkeypatch, {"buffer": "plain", "right": None}, dies_of="SIGKILL")
    with pytest.raises(ModelError, match=r"cannot be checked.*SIGKILL: killed from outside.*again"):
        check_llama()
    assert not (tmp_path / "home" / "llama-cpp.json").exists()
    start = library.start

    def kinder(module: str) -> object:
        started = start(module)
        _probe_says(monkeypatch, RIGHT)
        return started

    monkeypatch.setattr(library, "start", kinder)
    assert check_llama() == LlamaCheck(works=True, extra_buffers=True)


@pytest.mark.usefixtures("new_interpreter")
def test_a_library_that_cannot_be_loaded_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_CPP_LIB_PATH", str(tmp_path))
    with (
        IsolatedCaptioner(resolve_lvlm(), batch=1) as captioner,
        pytest.raises(MissingDependencyError, match="installed, but its library cannot be loaded"),
    ):
        captioner.load()


@pytest.mark.parametrize("filters", ["error", "ignore"])
def test_a_warning_of_the_child_arrives_whatever_the_filters_of_the_environment(
    filters: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _probe_says(monkeypatch, RIGHT, {"buffer": "AMX", "right": False})
    monkeypatch.setenv("PYTHONWARNINGS", filters)  # read when an interpreter starts
    monkeypatch.setenv("VLM4REC_EDGE_PYTHON", shlex.join([sys.executable, str(DEADLY_PYTHON)]))
    with (
        pytest.warns(Vlm4RecWarning, match="buffer AMX computes wrong"),
        IsolatedCaptioner(resolve_lvlm(), batch=1) as captioner,
    ):
        captioner.load()


def test_a_buffer_that_ends_the_process_is_not_used_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    _probe_says(monkeypatch, RIGHT, {"buffer": "AMX", "right": None}, dies_of="SIGILL")
    photos = requests_for({"a": drawn("dress", "red")})
    words = r"buffer AMX ends the process \(SIGILL.*pip install"
    with pytest.warns(Vlm4RecWarning, match=words), LlamaCaptioner(resolve_lvlm(), batch=1) as captioner:
        here = answers(captioner, photos)
    assert check_llama() == LlamaCheck(works=True, extra_buffers=False, reason=check_llama().reason)
    with (
        pytest.warns(Vlm4RecWarning, match="buffer AMX ends the process"),
        IsolatedCaptioner(resolve_lvlm(), batch=1) as isolated,
    ):
        assert answers(isolated, photos) == here


def test_a_buffer_that_computes_wrong_results_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    _probe_says(monkeypatch, RIGHT, {"buffer": "AMX", "right": False}, {"buffer": "CPU_REPACK", "right": True})
    assert check_llama() == LlamaCheck(True, False, "its buffer AMX computes wrong results")


def test_a_library_for_another_processor_is_an_error_that_says_how_to_get_the_right_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _probe_says(monkeypatch, dies_of="SIGILL")
    words = r"cannot compute on this processor.*SIGILL.*pip install"
    with IsolatedCaptioner(resolve_lvlm(), batch=1) as captioner, pytest.raises(ModelError, match=words):
        answers(captioner, requests_for({"a": drawn("dress", "red")}))


def test_the_command_that_compiles_takes_no_ready_wheel_and_bears_spaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "__file__", str(tmp_path / "with space/vlm4rec_edge/grounding/llama/native.py"))
    variable, *command = shlex.split(compile_here().partition(": ")[2])
    assert shlex.split(variable.partition("=")[2]) == [
        f"-DCMAKE_PROJECT_llama.cpp_INCLUDE={tmp_path}/with space/packaging/llama.cpp.cmake"
    ]
    assert command[-3:] == ["--no-binary", "llama-cpp-python", "llama-cpp-python==0.3.36"]
