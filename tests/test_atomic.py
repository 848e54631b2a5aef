"""A file or a folder takes its name whole, or what was there is left and nothing beside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vlm4rec_edge.atomic import atomic_path, take_place


def _write(path: Path, text: str, *, as_folder: bool) -> None:
    if as_folder:
        (path / "inner").mkdir(parents=True)
        path = path / "inner" / "file"
    path.write_text(text)


def _texts(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()
    }


@pytest.mark.parametrize("as_folder", [False, True])
@pytest.mark.parametrize("was_there", [False, True])
def test_what_was_written_takes_the_name_and_leaves_nothing_else(
    tmp_path: Path, as_folder: bool, was_there: bool
) -> None:
    if was_there:
        _write(tmp_path / "out", "old", as_folder=as_folder)
    with atomic_path(tmp_path / "out") as part:
        _write(part, "new", as_folder=as_folder)
        found = set(_texts(tmp_path / "out").values()) if as_folder else set(_texts(tmp_path).values())
        assert ("old" in found) == was_there
    assert _texts(tmp_path) == {"out/inner/file" if as_folder else "out": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("as_folder", [False, True])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_error_leaves_what_was_there(tmp_path: Path, as_folder: bool, error: type[BaseException]) -> None:
    _write(tmp_path / "out", "old", as_folder=as_folder)
    before = _texts(tmp_path)
    with pytest.raises(error), atomic_path(tmp_path / "out") as part:
        _write(part, "new", as_folder=as_folder)
        raise error
    assert _texts(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_every_file_is_forced_to_disk_before_it_takes_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forced: list[tuple[int, bool]] = []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: forced.append((os.fstat(descriptor).st_ino, (tmp_path / "out").exists()))
    )
    with atomic_path(tmp_path / "out") as part:
        _write(part, "new", as_folder=True)
        (part / "other").write_text("more")
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert sorted(forced) == sorted((path.stat().st_ino, False) for path in files)
    assert len(files) == 2


def test_what_a_killed_process_of_the_same_number_left_does_no_harm(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), atomic_path(tmp_path / "out") as left:
        raise KeyboardInterrupt
    _write(left, "a part", as_folder=True)
    with atomic_path(tmp_path / "out") as part:
        assert part == left
        part.write_text("new")
    assert _texts(tmp_path) == {"out": "new"}


def test_a_folder_whose_place_cannot_be_taken_is_there_again(tmp_path: Path) -> None:
    _write(tmp_path / "out", "old", as_folder=True)
    with pytest.raises(FileNotFoundError):
        take_place(tmp_path / "missing", tmp_path / "out")
    assert _texts(tmp_path) == {"out/inner/file": "old"}


def test_nothing_is_written_where_the_block_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "out"):
        pass
    assert list(tmp_path.iterdir()) == []
