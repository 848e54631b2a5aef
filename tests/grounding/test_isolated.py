"""llama.cpp in a process of its own: whatever kills it, the run goes on and nothing is lost. All with true signals."""

from __future__ import annotations

import itertools
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pictures import QUESTION, answers, drawn, encoded, photo_of, requests_for, swatch

from vlm4rec_edge import IsolatedCaptioner, LlamaCaptioner, resolve_lvlm
from vlm4rec_edge.errors import DeviceError, ModelError, UsageError, Vlm4RecWarning
from vlm4rec_edge.grounding.child import isolated
from vlm4rec_edge.grounding.llama.base import BaseCaptioner
from vlm4rec_edge.grounding.protocol import CaptionRequest

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no signals")
DEADLY_PYTHON = Path(__file__).parents[2] / "benchmarks/breaking/deadly_python.py"
SECONDS = 60


@pytest.fixture(scope="module")
def photos() -> list[CaptionRequest]:
    kinds = itertools.product(("t-shirt", "dress", "coat"), ("black", "red", "white", "yellow"))
    return requests_for({f"{colour} {kind}": drawn(kind, colour) for kind, colour in kinds})


@pytest.fixture(scope="module")
def captions(captioner: LlamaCaptioner, photos: list[CaptionRequest]) -> dict[str, str]:
    """What the model says of them in this process."""
    return answers(captioner, photos)[0]


def _isolated(**settings: object) -> IsolatedCaptioner:
    return IsolatedCaptioner(resolve_lvlm(), **{"batch": 4, **settings})  # type: ignore[arg-type]


def _deadly(patch: pytest.MonkeyPatch, **deadly: object) -> None:
    patch.setenv("VLM4REC_EDGE_PYTHON", shlex.join([sys.executable, str(DEADLY_PYTHON)]))
    patch.setenv("DEADLY", json.dumps(deadly))


def test_a_process_of_its_own_says_what_this_one_says(photos: list[CaptionRequest], captions: dict[str, str]) -> None:
    bad = requests_for({"bad": b"no picture"})
    with _isolated() as captioner:
        found, failures = answers(captioner, [*photos[:5], *bad, *photos[5:]])
        assert (captioner.batch, captioner.engines) == (4, 1)
        assert captioner.kv_bytes > 0
        assert "CPU" in captioner.llama_cpp
        again, _ = answers(captioner, photos[:2])
    assert found == captions
    assert {key: failure.stage for key, failure in failures.items()} == {"bad": "photo"}
    assert again == {photo.key: captions[photo.key] for photo in photos[:2]}


def test_structured_captions_are_the_same_too(photos: list[CaptionRequest]) -> None:
    settings = {"structured": True, "batch": 4, "prompt": QUESTION}
    with LlamaCaptioner(resolve_lvlm(), **settings) as here, _isolated(**settings) as there:  # type: ignore[arg-type]
        assert there.fingerprint == here.fingerprint
        expected = {result.key: result for result in here.caption(photos[:4])}  # type: ignore[union-attr]
        assert {result.key: result for result in there.caption(photos[:4])} == expected  # type: ignore[union-attr]
        assert all(json.loads(result.fields or "") for result in expected.values())  # type: ignore[union-attr]


def test_nothing_to_caption_starts_no_process() -> None:
    with _isolated() as captioner:
        assert list(captioner.caption([])) == []
        assert captioner.pid == 0


@posix
@pytest.mark.parametrize("name", ["SIGILL", "SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE"])
def test_a_photo_that_kills_is_named_and_left_out_and_its_neighbours_are_captioned(
    name: str, photos: list[CaptionRequest], captions: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    killer = photos[5]
    _deadly(
        monkeypatch, photos={killer.photo.sha256: int(signal.Signals[name])}, say="ggml.c:1: GGML_ASSERT(x) failed\n"
    )
    with _isolated() as captioner, pytest.warns(Vlm4RecWarning, match=f"{name}.*one at a time"):
        found, failures = answers(captioner, photos)
    assert found == {key: caption for key, caption in captions.items() if key != killer.key}
    assert failures[killer.key].stage == "grounding"
    assert name in failures[killer.key].reason
    assert "GGML_ASSERT(x) failed" in failures[killer.key].reason


@posix
def test_several_photos_that_kill_are_each_named(
    photos: list[CaptionRequest], captions: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    killers = [photos[at] for at in (0, 4, 11)]
    _deadly(monkeypatch, photos={killer.photo.sha256: int(signal.SIGSEGV) for killer in killers})
    with _isolated() as captioner, pytest.warns(Vlm4RecWarning):
        found, failures = answers(captioner, photos)
    assert set(failures) == {killer.key for killer in killers}
    assert set(found) == set(captions) - set(failures)


@posix
def test_an_exit_of_native_code_is_told_like_a_signal(
    photos: list[CaptionRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    _deadly(monkeypatch, photos={photos[0].photo.sha256: 0}, code=7)
    with _isolated() as captioner:
        found, failures = answers(captioner, photos[:1])
    assert found == {}
    assert "exit code 7" in failures[photos[0].key].reason


@posix
@pytest.mark.parametrize(("name", "remedy"), [("SIGSEGV", "pull or export"), ("SIGILL", "another processor")])
def test_a_model_that_kills_while_it_loads_is_an_error_with_its_name_the_signal_and_a_remedy(
    name: str, remedy: str, photos: list[CaptionRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    _deadly(monkeypatch, load=int(signal.Signals[name]))
    with _isolated() as captioner, pytest.raises(ModelError, match=f"stylist-lvlm.*while it loaded.*{name}.*{remedy}"):
        answers(captioner, photos)


@posix
def test_a_model_that_kills_whatever_the_photo_is_an_error_and_no_photo_is_blamed(
    photos: list[CaptionRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    grey = encoded(swatch(128, 128, 128, size=(64, 64)))
    every = {request.photo.sha256: int(signal.SIGSEGV) for request in photos}
    _deadly(monkeypatch, photos={**every, "0" * 64: int(signal.SIGSEGV), photo_of(grey).sha256: int(signal.SIGSEGV)})
    with _isolated() as captioner, pytest.warns(Vlm4RecWarning), pytest.raises(ModelError, match="grey picture"):
        answers(captioner, photos)


@posix
def test_after_a_death_for_lack_of_memory_half_as_many_photos_are_captioned_together(
    photos: list[CaptionRequest], captions: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _deadly(monkeypatch, more_than=[2, int(signal.SIGKILL)])
    kills = itertools.count()
    monkeypatch.setattr(isolated, "oom_kills", lambda: next(kills))
    monkeypatch.setattr("vlm4rec_edge.grounding.death.oom_kills", lambda: next(kills))
    with _isolated(batch=8) as captioner, pytest.warns(Vlm4RecWarning, match="8 photos together; now 4") as said:
        found, failures = answers(captioner, photos)
        assert captioner.batch == 2
    assert any("4 photos together; now 2" in str(warning.message) for warning in said)
    assert (found, failures) == (captions, {})


@posix
def test_native_code_that_finds_no_memory_is_taken_at_its_word(
    photos: list[CaptionRequest], captions: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "terminate called after throwing an instance of 'std::bad_alloc'\n"
    _deadly(monkeypatch, more_than=[1, int(signal.SIGABRT)], say=words)
    with _isolated(batch=2) as captioner, pytest.warns(Vlm4RecWarning, match="not enough memory"):
        found, failures = answers(captioner, photos[:3])
    assert failures == {}
    assert found == {photo.key: captions[photo.key] for photo in photos[:3]}


@posix
def test_a_model_that_has_no_room_even_for_one_photo_is_an_error(
    photos: list[CaptionRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    _deadly(monkeypatch, load=int(signal.SIGABRT), say="std::bad_alloc\n")
    with _isolated(batch=2) as captioner, pytest.warns(Vlm4RecWarning), pytest.raises(ModelError, match="more memory"):
        answers(captioner, photos)


@posix
def test_kills_from_outside_lose_nothing(photos: list[CaptionRequest], captions: dict[str, str]) -> None:
    killed = 0
    found = {}
    with _isolated() as captioner, pytest.warns(Vlm4RecWarning, match="ended.*SIGKILL"):
        for number, result in enumerate(captioner.caption(photos)):
            found[result[0]] = result[1]
            if number in {1, 6}:
                os.kill(captioner.pid, signal.SIGKILL)
                killed += 1
    assert killed == 2
    assert found == captions


@posix
def test_a_photo_of_which_something_outside_always_kills_is_named_in_the_end(
    photos: list[CaptionRequest], captions: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    killer = photos[7]
    _deadly(monkeypatch, photos={killer.photo.sha256: int(signal.SIGKILL)})
    with _isolated() as captioner, pytest.warns(Vlm4RecWarning, match="ended.*SIGKILL"):
        found, failures = answers(captioner, photos)
    assert found == {key: caption for key, caption in captions.items() if key != killer.key}
    assert "SIGKILL" in failures[killer.key].reason


@posix
def test_what_kills_again_and_again_from_outside_ends_the_run_with_a_sentence(
    photos: list[CaptionRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    every = {request.photo.sha256: int(signal.SIGTERM) for request in photos}
    _deadly(monkeypatch, photos={**every, "0" * 64: int(signal.SIGTERM)})
    with (
        _isolated(batch=1) as captioner,
        pytest.warns(Vlm4RecWarning),
        pytest.raises(ModelError, match=r"SIGTERM.*limits"),
    ):
        answers(captioner, photos)


def test_a_stream_that_is_left_leaves_no_process_behind() -> None:
    photo = photo_of(encoded(swatch(200, 30, 40)))
    with _isolated(max_tokens=6) as captioner:
        results = captioner.caption(CaptionRequest(str(number), photo, QUESTION) for number in itertools.count())
        assert len({next(results).key for _ in range(20)}) == 20  # type: ignore[union-attr]
        child = captioner.pid
        results.close()  # type: ignore[attr-defined]
        assert captioner.pid == 0
        assert not _is_alive(child)
        assert answers(captioner, requests_for({"again": swatch(200, 30, 40)}))[0]["again"]


def test_an_endless_stream_is_read_only_a_little_ahead() -> None:
    pulled = 0

    def stream() -> Iterator[CaptionRequest]:
        nonlocal pulled
        photo = photo_of(encoded(swatch(200, 30, 40)))
        for pulled in itertools.count(1):
            yield CaptionRequest(str(pulled), photo, QUESTION)

    with _isolated(max_tokens=6) as captioner:
        results = captioner.caption(stream())
        assert len({next(results)[0] for _ in range(20)}) == 20
        results.close()  # type: ignore[attr-defined]
    assert pulled < 20 + 6 * 4


def test_finished_captions_come_while_the_source_is_slow() -> None:
    """A run that walks over a hundred thousand known items must not hold back the captions of the few new ones."""
    photo = photo_of(encoded(swatch(200, 30, 40)))
    seen: list[str] = []

    def source() -> Iterator[CaptionRequest]:
        yield CaptionRequest("0", photo, QUESTION)
        until = time.monotonic() + SECONDS
        child = captioner._worker
        assert child is not None
        while not child._from.peek():  # type: ignore[attr-defined]  # its answer is there though nothing more was sent
            assert time.monotonic() < until
            time.sleep(0.01)
        seen.append("answered")
        yield CaptionRequest("1", photo, QUESTION)

    with _isolated(max_tokens=6) as captioner:
        assert {result[0] for result in captioner.caption(source())} == {"0", "1"}
    assert seen == ["answered"]


def test_an_error_of_the_child_is_raised_here_as_what_it_is(photos: list[CaptionRequest], tmp_path: Path) -> None:
    with _isolated(device="cuda") as captioner, pytest.raises(DeviceError, match="built without CUDA"):
        answers(captioner, photos)
    files = resolve_lvlm()
    cut = tmp_path / files.projector.name
    cut.write_bytes(files.projector.read_bytes())
    broken = resolve_lvlm(files.text, projector=cut)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    with IsolatedCaptioner(broken, batch=1) as captioner, pytest.raises(ModelError, match="is truncated"):
        answers(captioner, photos)


def test_an_interpreter_that_is_not_there_is_a_sentence(
    photos: list[CaptionRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLM4REC_EDGE_PYTHON", "/nowhere/python3")
    with _isolated() as captioner, pytest.raises(UsageError, match="/nowhere/python3 cannot be started"):
        answers(captioner, photos)
    monkeypatch.setenv("VLM4REC_EDGE_PYTHON", "python3 'half")
    with _isolated() as captioner, pytest.raises(UsageError, match="no command line"):
        answers(captioner, photos)


@posix
@pytest.mark.parametrize("command", ["true", "cat", f"{sys.executable} -c 'import nothing_of_the_kind'"])
def test_what_is_no_python_is_named_and_no_model_is_blamed(
    command: str, photos: list[CaptionRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLM4REC_EDGE_PYTHON", command)
    words = rf"^{command.split(maxsplit=1)[0]} .*cannot run .*exit code.*VLM4REC_EDGE_PYTHON"
    with _isolated() as captioner, pytest.raises(UsageError, match=words):
        answers(captioner, photos)


@posix
def test_what_a_wrapper_prints_before_python_starts_is_skipped(
    photos: list[CaptionRequest], captions: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(f'#!/bin/sh\necho "Welcome"\nexec {shlex.quote(sys.executable)} "$@"\n')
    wrapper.chmod(0o700)
    monkeypatch.setenv("VLM4REC_EDGE_PYTHON", str(wrapper))
    with _isolated() as captioner:
        assert answers(captioner, photos[:1])[0] == {photos[0].key: captions[photos[0].key]}


@posix
def test_a_child_that_lives_and_says_what_is_no_message_is_ended(
    photos: list[CaptionRequest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mad = tmp_path / "mad.py"
    mad.write_text("import time\nprint('vlm4rec-edge has started\\n\\nmad', flush=True)\ntime.sleep(600)\n")
    monkeypatch.setenv("VLM4REC_EDGE_PYTHON", shlex.join([sys.executable, str(mad)]))
    monkeypatch.setattr("vlm4rec_edge.grounding.death._SECONDS_TO_END", 0.1)
    with _isolated() as captioner, pytest.raises(ModelError, match="what it says cannot be read"):
        answers(captioner, photos)


def test_a_program_that_is_no_interpreter_is_not_started_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with _isolated() as captioner, pytest.raises(UsageError, match="VLM4REC_EDGE_PYTHON"):
        captioner.load()


def test_nothing_is_imported_from_the_current_folder(
    photos: list[CaptionRequest], captions: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("numpy", "json", "llama_cpp", "vlm4rec_edge"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'planted')!r}, 'w').close()")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    with _isolated() as captioner:
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
    with _isolated() as captioner:
        assert answers(captioner, photos[:1])[0] == {photos[0].key: captions[photos[0].key]}


@pytest.mark.parametrize("kind", [LlamaCaptioner, IsolatedCaptioner])
def test_a_second_stream_beside_the_first_is_refused_and_the_first_goes_on(
    kind: type[BaseCaptioner], photos: list[CaptionRequest], captions: dict[str, str]
) -> None:
    with kind(resolve_lvlm(), batch=4) as captioner:
        results = captioner.caption(photos)
        found = dict([next(results)[:2]])
        with pytest.raises(UsageError, match="one stream of photos at a time"):
            next(captioner.caption(photos[:1]))
        found.update(result[:2] for result in results)
        assert found == captions
        assert len(answers(captioner, photos[:1])[0]) == 1


@pytest.mark.parametrize("kind", [LlamaCaptioner, IsolatedCaptioner])
def test_a_captioner_closed_while_it_is_at_work_says_so_and_can_be_used_again(
    kind: type[BaseCaptioner], photos: list[CaptionRequest], captions: dict[str, str]
) -> None:
    with kind(resolve_lvlm(), batch=4) as captioner:
        results = captioner.caption(photos)
        next(results)
        captioner.close()
        with pytest.raises(ModelError, match="closed while it was at work"):
            next(results)
        assert answers(captioner, photos)[0] == captions


def test_a_captioner_closed_by_its_own_source_says_so(photos: list[CaptionRequest]) -> None:
    def source() -> Iterator[CaptionRequest]:
        yield from photos[:3]
        captioner.close()
        yield photos[3]

    with _isolated() as captioner, pytest.raises(ModelError, match="closed while it was at work"):
        list(captioner.caption(source()))


@posix
def test_photos_with_the_same_key_are_told_apart(photos: list[CaptionRequest], monkeypatch: pytest.MonkeyPatch) -> None:
    killers = [CaptionRequest("same", photo.photo, photo.question) for photo in photos[:2]]
    _deadly(monkeypatch, photos={killer.photo.sha256: int(signal.SIGSEGV) for killer in killers})
    starts = itertools.count()
    start = isolated.start
    monkeypatch.setattr(isolated, "start", lambda module: (next(starts), start(module))[1])
    with _isolated(batch=1) as captioner, pytest.warns(Vlm4RecWarning):
        assert len(list(captioner.caption(killers))) == 2
    assert next(starts) == 6  # one for both, two that each of them kills, and one that shows the model to be well


@posix
def test_ctrl_c_while_the_model_is_tried_on_a_grey_picture_leaves_no_answer_behind(
    photos: list[CaptionRequest], captions: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _deadly(monkeypatch, photos={photos[0].photo.sha256: int(signal.SIGSEGV)})
    ask = isolated._Worker.ask

    def interrupted(self: isolated._Worker, number: int, request: CaptionRequest) -> None:
        ask(self, number, request)
        if request.photo.sha256 == "0" * 64:
            raise KeyboardInterrupt

    with _isolated() as captioner:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(isolated._Worker, "ask", interrupted)
            answers(captioner, photos[:1])
        assert captioner.pid == 0
        assert answers(captioner, photos[1:2])[0] == {photos[1].key: captions[photos[1].key]}


def test_a_model_is_found_after_the_current_folder_changed(
    photos: list[CaptionRequest], captions: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(resolve_lvlm().folder, tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    with IsolatedCaptioner(resolve_lvlm("./model"), batch=1) as captioner:
        monkeypatch.chdir("/")
        assert answers(captioner, photos[:1])[0] == {photos[0].key: captions[photos[0].key]}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_model_in_a_folder_whose_name_is_no_unicode_is_loaded(
    photos: list[CaptionRequest], captions: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / os.fsdecode(b"\xff model")
    shutil.copytree(resolve_lvlm().folder, folder)
    with IsolatedCaptioner(resolve_lvlm(folder), batch=1) as captioner:
        assert answers(captioner, photos[:1])[0] == {photos[0].key: captions[photos[0].key]}


def test_a_model_that_is_gone_is_a_sentence(photos: list[CaptionRequest], tmp_path: Path) -> None:
    shutil.copytree(resolve_lvlm().folder, tmp_path / "model")
    with IsolatedCaptioner(resolve_lvlm(tmp_path / "model"), batch=1) as captioner:
        shutil.rmtree(tmp_path / "model")
        with pytest.raises(ModelError, match="gguf cannot be used: No such file"):
            answers(captioner, photos)


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
    while _is_alive(child):
        assert time.monotonic() < until, "the child lives on"
        time.sleep(0.02)


def _is_alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


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


def test_captions_without_trouble_come_without_a_warning(photos: list[CaptionRequest]) -> None:
    with warnings.catch_warnings(), _isolated() as captioner:
        warnings.simplefilter("error")
        assert len(answers(captioner, photos)[0]) == len(photos)
