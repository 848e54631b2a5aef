"""What is printed fits where it goes: a terminal, a pipe, a narrow character set, or nowhere."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest
from made_store import EncodingWriter, GivenVectors, random_vectors, write_store
from pictures import swatches
from program import PROGRAM, on_a_terminal, program

from vlm4rec_edge.cli.output import printable, table
from vlm4rec_edge.items import Item
from vlm4rec_edge.store.grounded import GroundedItem

TITLES = ["Crêpe dress", "商品 🧥", "Red\x1b[31m coat\n\ttwo", "x" * 400]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with titles that are hard to print."""
    folder = tmp_path_factory.mktemp("output") / "store"
    with EncodingWriter(folder, grounding=None, encoder=GivenVectors(random_vectors(5)), encoded_text="title") as store:
        store.put(
            [
                GroundedItem(Item(f"i{row}", Path("none.png"), title), "", None, "", "", str(row))
                for row, title in enumerate(["first", *TITLES])
            ]
        )
    return folder


def _raw(arguments: list[object], **settings: object) -> subprocess.CompletedProcess[bytes]:
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **settings}
    return subprocess.run([str(PROGRAM), *map(str, arguments)], check=False, timeout=60, **streams)  # type: ignore[call-overload, no-any-return]


def test_text_of_others_cannot_steer_a_terminal(index: Path) -> None:
    shown = program("similar", index, "i0").out
    assert "\x1b" not in shown
    assert len(shown.splitlines()) == 1 + len(TITLES)
    assert printable("a\x1b]0;b\x07\u202ec\ud800") == "a ]0;b  c "


def test_where_there_is_no_terminal_a_line_has_a_bound(index: Path) -> None:
    assert max(map(len, program("similar", index, "i0").out.splitlines())) <= 160


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_narrow_character_set_is_no_reason_to_fail(index: Path, encoding: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    shown = _raw(["similar", index, "i0", "-k", "4"], env=environment)
    assert (shown.returncode, shown.stderr) == (0, b"")
    assert shown.stdout.count(b"\n") == 1 + len(TITLES)
    document = _raw(["similar", index, "i0", "--json"], env=environment)
    found = json.loads(document.stdout.decode(encoding))
    assert {hit["title"] for hit in found["recommendations"]} == set(TITLES)


def test_bytes_that_are_no_text_come_back_as_valid_json(index: Path) -> None:
    done = _raw(["recommend", index, "--history", b"i0,caf\xe9".decode("utf-8", "surrogateescape"), "--json"])
    assert (done.returncode, done.stderr) == (3, b"")
    assert json.loads(done.stdout)["unknown"] == ["caf\udce9"]


@pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX is needed")
@pytest.mark.parametrize(
    ("arguments", "closed"),
    [
        ("similar {} i0", "<&-"),
        ("similar {} i0", ">&-"),
        ("similar {} nobody --json", ">&-"),
        ("similar {} nobody", "2>&-"),
        ("info {} --json", ">&- 2>&- <&-"),
    ],
)
def test_closed_streams_are_no_reason_to_fail(index: Path, closed: str, arguments: str) -> None:
    command = f"'{PROGRAM}' {arguments.format(index)} {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=False, timeout=60)
    assert done.returncode == ("nobody" in arguments)
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="a pipe of POSIX is needed")
def test_a_reader_that_goes_away_is_no_reason_to_complain(index: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    for arguments in (["similar", index, "i0"], ["similar", index, "i0", "--json"]):
        done = _raw(arguments, stdout=write)
        assert (done.returncode, done.stderr) == (0, b"")
    os.close(write)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk to write to")
def test_a_full_disk_is_a_sentence(index: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = _raw(["similar", index, "i0", "--json"], stdout=full)
    assert done.returncode == 1
    assert b"No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no limit to the size of files")
def test_with_json_a_file_that_cannot_be_written_is_a_document(index: Path, tmp_path: Path) -> None:
    (tmp_path / "histories.csv").write_text("user_id,item_id\nann,i0\n", encoding="utf-8")
    asked = ["recommend", index, "--histories", tmp_path / "histories.csv", "--out", tmp_path / "answers.csv", "--json"]
    command = shlex.join([str(PROGRAM), *map(str, asked)])
    done = subprocess.run(["bash", "-c", f"ulimit -f 0; {command}"], capture_output=True, check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["kind"] == "OSError"
    assert b"Traceback" not in done.stderr


def test_a_table_gives_its_last_column_the_room_that_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    table("Title", ["a", "what it is"], [["1", "short"], ["22", "y" * 500]])
    title, header, first, second = capsys.readouterr().out.splitlines()
    assert (title, header) == ("Title", "a   what it is")
    assert first == "1   short"
    assert second.startswith("22  yyy")
    assert second.endswith("...")
    assert len(second) == 160


@pytest.mark.skipif(os.name == "nt", reason="a terminal of POSIX is needed")
def test_a_terminal_sees_progress_with_rate_and_time_left_and_a_pipe_does_not(tmp_path: Path) -> None:
    photos = swatches(tmp_path / "photos", 40)[0].parent
    command = ["index", str(photos), "--out", str(tmp_path / "x.index"), "--max-tokens", "2"]
    at_once = "from vlm4rec_edge.cli import progress; progress._QUIET_SECONDS = 0.0"
    shown = on_a_terminal(*command, first=at_once, environment={**os.environ, "TERM": "xterm", "COLUMNS": "120"})
    assert shown.returncode == 0, shown.stdout
    text = shown.stdout.decode()
    assert "Indexing" in text
    assert "40/40" in text
    assert "/s" in text
    assert "left" in text
    assert "40 items; 40 captioned" in text
    piped = program(*command, "--prompt", "What is it?", "--remake")
    assert (piped.code, piped.err) == (0, "")


def test_only_who_asks_for_json_gets_an_error_as_json(tmp_path: Path) -> None:
    for words, is_json in ((["red", "--json"], True), (["--", "--json"], False)):
        done = program("search", tmp_path / "nowhere", *words)
        assert done.code == 1
        assert bool(done.out) == is_json
        assert done.err.startswith("Error: There is no index")


def test_an_unknown_id_that_is_no_text_is_named_so_that_it_can_be_printed(tmp_path: Path) -> None:
    folder = write_store(tmp_path / "s", random_vectors(2))
    done = _raw(["similar", folder, b"caf\xe9".decode("utf-8", "surrogateescape")])
    assert done.returncode == 1
    assert b"holds no item 'caf\\udce9'" in done.stderr
