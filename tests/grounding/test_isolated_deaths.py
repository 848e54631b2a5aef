"""Whatever kills a captioning process, the run goes on and nothing is lost. All with true signals."""

from __future__ import annotations

import itertools
import os
import signal

import pytest
from isolation import deadly, isolated_captioner, posix
from pictures import answers, encoded, photo_of, swatch

from vlm4rec_edge.errors import ModelError, Vlm4RecWarning
from vlm4rec_edge.grounding.child import process
from vlm4rec_edge.grounding.protocol import CaptionRequest

pytestmark = posix


@pytest.mark.parametrize("name", ["SIGILL", "SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE"])
def test_a_photo_that_kills_is_named_and_left_out_and_its_neighbours_are_captioned(
    name: str, photos: list[CaptionRequest], captions: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    killer = photos[5]
    deadly(
        monkeypatch, photos={killer.photo.sha256: int(signal.Signals[name])}, say="ggml.c:1: GGML_ASSERT(x) failed\n"
    )
    with isolated_captioner() as captioner, pytest.warns(Vlm4RecWarning, match=f"{name}.*one at a time"):
        found, failures = answers(captioner, photos)
    assert found == {key: caption for key, caption in captions.items() if key != killer.key}
    assert failures[killer.key].stage == "grounding"
    assert name in failures[killer.key].reason
    assert "GGML_ASSERT(x) failed" in failures[killer.key].reason


def test_several_photos_that_kill_are_each_named(
    photos: list[CaptionRequest], captions: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    killers = [photos[at] for at in (0, 4, 11)]
    deadly(monkeypatch, photos={killer.photo.sha256: int(signal.SIGSEGV) for killer in killers})
    with isolated_captioner() as captioner, pytest.warns(Vlm4RecWarning):
        found, failures = answers(captioner, photos)
    assert set(failures) == {killer.key for killer in killers}
    assert set(found) == set(captions) - set(failures)


def test_an_exit_of_native_code_is_told_like_a_signal(
    photos: list[CaptionRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    deadly(monkeypatch, photos={photos[0].photo.sha256: 0}, code=7)
    with isolated_captioner() as captioner:
        found, failures = answers(captioner, photos[:1])
    assert found == {}
    assert "exit code 7" in failures[photos[0].key].reason


@pytest.mark.parametrize(("name", "remedy"), [("SIGSEGV", "pull or export"), ("SIGILL", "another processor")])
def test_a_model_that_kills_while_it_loads_is_an_error_with_its_name_the_signal_and_a_remedy(
    name: str, remedy: str, photos: list[CaptionRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    deadly(monkeypatch, load=int(signal.Signals[name]))
    with (
        isolated_captioner() as captioner,
        pytest.raises(ModelError, match=f"stylist-lvlm.*while it loaded.*{name}.*{remedy}"),
    ):
        answers(captioner, photos)


def test_a_model_that_kills_whatever_the_photo_is_an_error_and_no_photo_is_blamed(
    photos: list[CaptionRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    grey = encoded(swatch(128, 128, 128, size=(64, 64)))
    every = {request.photo.sha256: int(signal.SIGSEGV) for request in photos}
    deadly(monkeypatch, photos={**every, "0" * 64: int(signal.SIGSEGV), photo_of(grey).sha256: int(signal.SIGSEGV)})
    with (
        isolated_captioner() as captioner,
        pytest.warns(Vlm4RecWarning),
        pytest.raises(ModelError, match="grey picture"),
    ):
        answers(captioner, photos)


def test_after_a_death_for_lack_of_memory_half_as_many_photos_are_captioned_together(
    photos: list[CaptionRequest], captions: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    deadly(monkeypatch, more_than=[2, int(signal.SIGKILL)])
    kills = itertools.count()
    monkeypatch.setattr(process, "oom_kills", lambda: next(kills))
    monkeypatch.setattr("vlm4rec_edge.grounding.death.oom_kills", lambda: next(kills))
    with (
        isolated_captioner(batch=8) as captioner,
        pytest.warns(Vlm4RecWarning, match="8 photos together; now 4") as said,
    ):
        found, failures = answers(captioner, photos)
        assert captioner.batch == 2
    assert any("4 photos together; now 2" in str(warning.message) for warning in said)
    assert (found, failures) == (captions, {})


def test_native_code_that_finds_no_memory_is_taken_at_its_word(
    photos: list[CaptionRequest], captions: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "terminate called after throwing an instance of 'std::bad_alloc'\n"
    deadly(monkeypatch, more_than=[1, int(signal.SIGABRT)], say=words)
    with isolated_captioner(batch=2) as captioner, pytest.warns(Vlm4RecWarning, match="not enough memory"):
        found, failures = answers(captioner, photos[:3])
    assert failures == {}
    assert found == {photo.key: captions[photo.key] for photo in photos[:3]}


def test_a_model_that_has_no_room_even_for_one_photo_is_an_error(
    photos: list[CaptionRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    deadly(monkeypatch, load=int(signal.SIGABRT), say="std::bad_alloc\n")
    with (
        isolated_captioner(batch=2) as captioner,
        pytest.warns(Vlm4RecWarning),
        pytest.raises(ModelError, match="more memory"),
    ):
        answers(captioner, photos)


def test_kills_from_outside_lose_nothing(photos: list[CaptionRequest], captions: dict[str, str]) -> None:
    killed = 0
    found = {}
    with isolated_captioner() as captioner, pytest.warns(Vlm4RecWarning, match="ended.*SIGKILL"):
        for number, result in enumerate(captioner.caption(photos)):
            found[result[0]] = result[1]
            if number in {1, 6}:
                os.kill(captioner.pid, signal.SIGKILL)
                killed += 1
    assert killed == 2
    assert found == captions


def test_a_photo_of_which_something_outside_always_kills_is_named_in_the_end(
    photos: list[CaptionRequest], captions: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    killer = photos[7]
    deadly(monkeypatch, photos={killer.photo.sha256: int(signal.SIGKILL)})
    with isolated_captioner() as captioner, pytest.warns(Vlm4RecWarning, match="ended.*SIGKILL"):
        found, failures = answers(captioner, photos)
    assert found == {key: caption for key, caption in captions.items() if key != killer.key}
    assert "SIGKILL" in failures[killer.key].reason


def test_what_kills_again_and_again_from_outside_ends_the_run_with_a_sentence(
    photos: list[CaptionRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    every = {request.photo.sha256: int(signal.SIGTERM) for request in photos}
    deadly(monkeypatch, photos={**every, "0" * 64: int(signal.SIGTERM)})
    with (
        isolated_captioner(batch=1) as captioner,
        pytest.warns(Vlm4RecWarning),
        pytest.raises(ModelError, match=r"SIGTERM.*limits"),
    ):
        answers(captioner, photos)


def test_photos_with_the_same_key_are_told_apart(photos: list[CaptionRequest], monkeypatch: pytest.MonkeyPatch) -> None:
    killers = [CaptionRequest("same", photo.photo, photo.question) for photo in photos[:2]]
    deadly(monkeypatch, photos={killer.photo.sha256: int(signal.SIGSEGV) for killer in killers})
    starts = itertools.count()
    start = process.start
    monkeypatch.setattr(process, "start", lambda module: (next(starts), start(module))[1])
    with isolated_captioner(batch=1) as captioner, pytest.warns(Vlm4RecWarning):
        assert len(list(captioner.caption(killers))) == 2
    assert next(starts) == 6  # one for both, two that each of them kills, and one that shows the model to be well


def test_ctrl_c_while_the_model_is_tried_on_a_grey_picture_leaves_no_answer_behind(
    photos: list[CaptionRequest], captions: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    deadly(monkeypatch, photos={photos[0].photo.sha256: int(signal.SIGSEGV)})
    ask = process.Worker.ask

    def interrupted(self: process.Worker, number: int, request: CaptionRequest) -> None:
        ask(self, number, request)
        if request.photo.sha256 == "0" * 64:
            raise KeyboardInterrupt

    with isolated_captioner() as captioner:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(process.Worker, "ask", interrupted)
            answers(captioner, photos[:1])
        assert captioner.pid == 0
        assert answers(captioner, photos[1:2])[0] == {photos[1].key: captions[photos[1].key]}
