"""A step is done once, and again when what it is made from changed."""

from __future__ import annotations

from pathlib import Path

import kept
import pytest


@pytest.fixture(autouse=True)
def _empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "KEPT", tmp_path)


def test_a_step_is_done_once_and_again_for_something_else(tmp_path: Path) -> None:
    made: list[Path] = []

    def make(folder: Path) -> None:
        (folder / "result").write_text(str(len(made)))
        made.append(folder)

    first = kept.kept("step", {"flags": "-O2"}, make)
    assert kept.kept("step", {"flags": "-O2"}, make) == first
    assert (first / "result").read_text() == "0"
    second = kept.kept("step", {"flags": "-O3"}, make)
    assert (second / "result").read_text() == "1"
    assert [path.name for path in (tmp_path / "step").iterdir()] == [second.name]


def test_of_a_step_that_fails_nothing_is_kept() -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("")
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        kept.kept("step", {}, fail)
    whole = kept.kept("step", {}, lambda folder: None)
    assert list(whole.iterdir()) == []
