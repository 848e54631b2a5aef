"""Ctrl-C ends a run with code 130, keeps what is finished, and the same command goes on there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pictures import swatches
from program import program

from vlm4rec_edge import Recommender
from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.store.reader import StoreReader

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="Windows has no signals to send to another process"),
    pytest.mark.usefixtures("new_interpreter"),  # a forked process is in no group of the terminal
]

# Far more than are captioned in the time that the first of them take to be stored.
PHOTOS = 1500
SECONDS = 120
# A child of a background shell inherits that Ctrl-C is ignored, so it is set back first.
_HEARS_CTRL_C = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from vlm4rec_edge.cli import main
main()
"""

# Ctrl-C is pressed when a module begins to be imported.
_PRESSED_WHILE_IMPORTING = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from vlm4rec_edge.cli import main
class Pressing:
    def find_spec(self, name, *_):
        if name == module:
            signal.raise_signal(signal.SIGINT)
module = sys.argv.pop(1)
sys.meta_path.insert(0, Pressing())
main()
"""


def _stored(index: Path) -> int:
    try:
        with StoreReader(index) as store:
            return store.count()
    except StoreError:
        return 0


def _interrupted(command: list[str], index: Path, stored: int) -> tuple[int, str, str]:
    """Run a command, send Ctrl-C when so many items are stored, and return its code and what it said.

    As a terminal does it, to the whole group of processes: the one that captions hears it as well.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", _HEARS_CTRL_C, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        until = time.monotonic() + SECONDS
        while _stored(index) < stored:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until, "nothing was stored"
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
        process.communicate()
    assert "Traceback" not in err
    return process.returncode, out, err


def test_ctrl_c_keeps_finished_work_and_the_same_command_goes_on(tmp_path: Path) -> None:
    photos = swatches(tmp_path / "photos", PHOTOS)
    index = tmp_path / "x.index"
    command = ["index", str(tmp_path / "photos"), "--out", str(index), "--max-tokens", "2"]
    code, out, err = _interrupted(command, index, 1)
    assert code == 130
    assert "Run the same command again to go on" in err
    kept = _stored(index)
    assert 1 <= kept < PHOTOS
    assert f"{kept} items" in out
    with Recommender.open(index) as shop:
        assert shop.similar("0000", k=3)

    for photo in photos[kept + 20 :]:  # the rest would only take time
        photo.unlink()
    again = program(*command, "--json")
    assert again.code == 0
    assert (again.json["items"], again.json["reused"], again.json["captioned"]) == (kept + 20, kept, 20)


@pytest.mark.parametrize(
    "module", ["vlm4rec_edge.cli.app", "typer", "vlm4rec_edge.cli.offline", "vlm4rec_edge.index_folder", "numpy"]
)
def test_ctrl_c_while_the_program_is_imported_prints_no_traceback(tmp_path: Path, module: str) -> None:
    command = [
        sys.executable,
        "-c",
        _PRESSED_WHILE_IMPORTING,
        module,
        "index",
        str(tmp_path),
        "--out",
        str(tmp_path / "x"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Stopped.\n")
