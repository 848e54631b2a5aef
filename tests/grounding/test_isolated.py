"""llama.cpp in a process of its own says what it says in this one, and leaves nothing behind."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from isolation import is_alive, isolated_captioner
from pictures import QUESTION, answers, encoded, photo_of, requests_for, swatch

from vlm4rec_edge import IsolatedCaptioner, LlamaCaptioner, resolve_lvlm
from vlm4rec_edge.errors import DeviceError, ModelError, UsageError
from vlm4rec_edge.grounding.llama.base import BaseCaptioner
from vlm4rec_edge.grounding.protocol import CaptionRequest

SECONDS = 60


def test_a_process_of_its_own_says_what_this_one_says(photos: list[CaptionRequest], captions: dict[str, str]) -> None:
    bad = requests_for({"bad": b"no picture"})
    with isolated_captioner() as captioner:
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
    with LlamaCaptioner(resolve_lvlm(), **settings) as here, isolated_captioner(**settings) as there:  # type: ignore[arg-type]
        assert there.fingerprint == here.fingerprint
        expected = {result.key: result for result in here.caption(photos[:4])}  # type: ignore[union-attr]
        assert {result.key: result for result in there.caption(photos[:4])} == expected  # type: ignore[union-attr]
        assert all(json.loads(result.fields or "") for result in expected.values())  # type: ignore[union-attr]


def test_nothing_to_caption_starts_no_process() -> None:
    with isolated_captioner() as captioner:
        assert list(captioner.caption([])) == []
        assert captioner.pid == 0


@pytest.mark.usefixtures("new_interpreter")
def test_a_stream_that_is_left_leaves_no_process_behind() -> None:
    photo = photo_of(encoded(swatch(200, 30, 40)))
    with isolated_captioner(max_tokens=6) as captioner:
        results = captioner.caption(CaptionRequest(str(number), photo, QUESTION) for number in itertools.count())
        assert len({next(results).key for _ in range(20)}) == 20  # type: ignore[union-attr]
        child = captioner.pid
        results.close()  # type: ignore[attr-defined]
        assert captioner.pid == 0
        assert not is_alive(child)
        assert answers(captioner, requests_for({"again": swatch(200, 30, 40)}))[0]["again"]


def test_an_endless_stream_is_read_only_a_little_ahead() -> None:
    pulled = 0

    def stream() -> Iterator[CaptionRequest]:
        nonlocal pulled
        photo = photo_of(encoded(swatch(200, 30, 40)))
        for pulled in itertools.count(1):
            yield CaptionRequest(str(pulled), photo, QUESTION)

    with isolated_captioner(max_tokens=6) as captioner:
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

    # With llama.cpp's own vision encoder the child says nothing before its answer.
    with isolated_captioner(max_tokens=6, vision="mtmd") as captioner:
        assert {result[0] for result in captioner.caption(source())} == {"0", "1"}
    assert seen == ["answered"]


def test_an_error_of_the_child_is_raised_here_as_what_it_is(photos: list[CaptionRequest], tmp_path: Path) -> None:
    with isolated_captioner(device="cuda") as captioner, pytest.raises(DeviceError, match="built without CUDA"):
        answers(captioner, photos)
    files = resolve_lvlm()
    cut = tmp_path / files.projector.name
    cut.write_bytes(files.projector.read_bytes())
    broken = resolve_lvlm(files.text, projector=cut)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    with IsolatedCaptioner(broken, batch=1) as captioner, pytest.raises(ModelError, match="is truncated"):
        answers(captioner, photos)


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

    with isolated_captioner() as captioner, pytest.raises(ModelError, match="closed while it was at work"):
        list(captioner.caption(source()))


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
        with pytest.raises(ModelError, match=r"gguf cannot be (used|read).*No such file"):
            answers(captioner, photos)


def test_captions_without_trouble_come_without_a_warning(photos: list[CaptionRequest]) -> None:
    with warnings.catch_warnings(), isolated_captioner() as captioner:
        warnings.simplefilter("error")
        assert len(answers(captioner, photos)[0]) == len(photos)
