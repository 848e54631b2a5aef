"""A captioning process is a new interpreter: which one, what it imports, and that it ends with the one that started it."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from isolation import is_alive, isolated_captioner, posix
from pictures import answers, drawn

from vlm4rec_edge.errors import ModelError, UsageError
from vlm4rec_edge.grounding.protocol import CaptionRequest

SECONDS = 60
pytestmark = pytest.mark.usefixtures("new_interpreter")


def test_an_interpreter_that_is_not_there_is_a_sentence(
    photos: list[CaptionRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLM4REC_EDGE_PYTHON", "/nowhere/python3")
    with isolated_captioner() as captioner, pytest.raises(UsageError, match="/nowhere/python3 cannot be started"):
        answers(captioner, photos)
    monkeypatch.setenv("VLM4REC_EDGE_PYTHON", "python3 'half")
    with isolated_captioner() as captioner, pytest.raises(UsageError, match="not a command line"):
        answers(captioner, photos)


@posix
@pytest.mark.parametrize("command", ["true", "cat", f"{sys.executable} -c 'import nothing_of_the_kind'"])
def test_what_is_no_python_is_named_and_no_model_is_blamed(
    command: str, photos: list[CaptionRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLM4REC_EDGE_PYTHON", command)
    words = rf"^{command.split(maxsplit=1)[0]} .*cannot run .*exit code.*VLM4REC_EDGE_PYTHON"
    with isolated_captioner() as captioner, pytest.raises(UsageError, match=words):
        answers(captioner, photos)


@posix
def test_what_a_wrapper_prints_before_python_starts_is_skipped(
    photos: list[CaptionRequest], captions: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(f'#!/bin/sh\necho "Welcome"\nexec {shlex.quote(sys.executable)} "$@"\n')
    wrapper.chmod(0o700)
    monkeypatch.setenv("VLM4REC_EDGE_PYTHON", str(wrapper))
    with isolated_captioner() as captioner:
        assert answers(captioner, photos[:1])[0] == {photos[0].key: captions[photos[0].key]}


@posix
def test_a_child_that_lives_and_says_what_is_no_message_is_ended(
    photos: list[CaptionRequest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mad = tmp_path / "mad.py"
    mad.write_text("import time\nprint('vlm4rec-edge has started\\n\\nmad', flush=True)\ntime.sleep(600)\n")
    monkeypatch.setenv("VLM4REC_EDGE_PYTHON", shlex.join([sys.executable, str(mad)]))
    monkeypatch.setattr("vlm4rec_edge.grounding.death._SECONDS_TO_END", 0.1)
    with isolated_captioner() as captioner, pytest.raises(ModelError, match="its output cannot be read"):
        answers(captioner, photos)


def test_a_program_that_is_no_interpreter_is_not_started_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with isolated_captioner() as captioner, pytest.raises(UsageError, match="VLM4REC_EDGE_PYTHON"):
        captioner.load()


def test_nothing_is_imported_from_the_current_folder(
    photos: list[CaptionRequest], captions: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("numpy", "json", "llama_cpp", "vlm4rec_edge"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'planted')!r}, 'w').close()")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    with isolated_captioner() as captioner:
        assert answers(captioner, photos[:1])[0] == {photos[0].key: captions[photos[0].key]}
    assert not (tmp_path / "planted").exists()


def test_the_child_runs_the_very_package_that_this_process_runs(
    photos: list[CaptionRequest], captions: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python started in a checkout takes that of the current folder, and not the one that is installed."""
    other = tmp_path / "vlm4rec_edge"
    other.mkdir()
    (other / "__init__.py").write_text("raise SystemExit('the other one')")
    # What is no text there, Python overlooks.
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), tmp_path, *sys.path])
    with isolated_captioner() as captioner:
        assert answers(captioner, photos[:1])[0] == {photos[0].key: captions[photos[0].key]}


@posix
def test_the_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    code = """
import sys
sys.path[:] = sys.argv[1:]
from pictures import encoded, photo_of, swatch, QUESTION
from vlm4rec_edge import IsolatedCaptioner, resolve_lvlm
from vlm4rec_edge.grounding.protocol import CaptionRequest
import itertools
captioner = IsolatedCaptioner(resolve_lvlm(), batch=2)
photo = photo_of(encoded(swatch(200, 30, 40)))
results = captioner.caption(CaptionRequest(str(number), photo, QUESTION) for number in itertools.count())
next(results)
print(captioner.pid, flush=True)
for _ in results:
    pass
"""
    parent = subprocess.Popen([sys.executable, "-c", code, *sys.path], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + SECONDS
    while is_alive(child):
        assert time.monotonic() < until, "the child lives on"
        time.sleep(0.02)


def test_a_script_without_a_main_guard_can_index(tmp_path: Path) -> None:
    """A fork or a spawn would run the script once more in the child."""
    (tmp_path / "photos").mkdir()
    drawn("dress", "red").save(tmp_path / "photos" / "dress.png")
    script = tmp_path / "script.py"
    script.write_text("import vlm4rec_edge\nprint(vlm4rec_edge.build_index('photos', 'x.index').items)\n")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert (done.stdout, done.stderr) == ("1\n", "")
