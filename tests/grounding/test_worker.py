"""The captioning process ends when nobody waits for it, and says when its memory ends."""

from __future__ import annotations

import io

import pytest
from isolation import deadly

from vlm4rec_edge import IsolatedCaptioner, resolve_lvlm
from vlm4rec_edge.grounding import spawn
from vlm4rec_edge.grounding.child import wire, worker

SECONDS = 30


def test_it_ends_with_its_parent_even_while_the_model_is_being_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    deadly(monkeypatch, load=0)  # no signal: it only waits, for twice as long
    process, _ = spawn.start("vlm4rec_edge.grounding.child.worker")
    assert process.stdin and process.stdout
    with process.stdin, process.stdout:
        wire.send(process.stdin, {"do": "load", **IsolatedCaptioner(resolve_lvlm())._described()})
        process.stdin.close()
        assert process.wait(timeout=SECONDS) == 0


def test_lack_of_memory_while_photos_arrive_is_raised_where_they_are_captioned(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(wire, "receive", full)
    with pytest.raises(MemoryError):
        next(worker._Photos(io.BytesIO()).requests())
