"""Somebody who does what a page says, from its top to its end, in one folder."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from program import typed

sys.path.append(str(Path(__file__).parent / "serve"))

from running_server import Server, running

SHELLS = {"bash", "sh"}
# What stands below a block that is not run, for everybody to see.
_NOT_RUN = re.compile(r"\n\*Not run by our tests: (.+?)\*$", re.MULTILINE)
_BLOCK = re.compile(r"^```(\w*)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_ADDRESS = "http://127.0.0.1:8000/"


class Block(NamedTuple):
    """A block of a page: its language, the file that it is, its text, and why it is not run, if it is not."""

    language: str
    file: str
    text: str
    not_run: str


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        below = _NOT_RUN.match(text[match.end() :].removeprefix("\n"))
        found.append(Block(match[1], match[2] or "", match[3], below[1] if below else ""))
    return found


class Reader:
    """Who follows a page; what is typed must succeed and say something."""

    def __init__(self, folder: Path, leaves: ExitStack) -> None:
        self.folder, self._leaves = folder, leaves
        self._server: Server | None = None

    def follow(self, block: Block) -> str:
        """Do what a block says; return what it printed."""
        if block.file:
            (self.folder / block.file).write_text(block.text, encoding="utf-8")
            return ""
        if block.language in SHELLS:
            return "".join(self.type(line) for line in filter(None, map(str.strip, block.text.splitlines())))
        assert block.language == "python", f"A block of {block.language or 'no language'}: run it, or say why not."
        return self._ran(["python", "-c", block.text], silent=True)

    def type(self, line: str) -> str:
        """Type one line, and return what it prints."""
        command = shlex.split(line)
        if command[:2] == ["vlm4rec-edge", "serve"]:  # goes on until the reader has come to the end of the page
            words = [word for word in command[2:] if word != "--open"]
            where = [self.folder / word if number == 0 else word for number, word in enumerate(words)]
            self._server = self._leaves.enter_context(running(*where))
            return self._server.address
        if command[0] == "curl":
            assert self._server is not None, "nothing is served yet"
            asked = [word.replace(_ADDRESS, self._server.address) for word in command]
            done = subprocess.run([*asked, "--silent", "--fail"], capture_output=True, encoding="utf-8", check=False)
            assert done.returncode == 0, f"{line}\n{done.stderr}"
            return json.dumps(json.loads(done.stdout))
        return self._ran(command, silent=command[0] == "python")

    def _ran(self, command: list[str], *, silent: bool) -> str:
        done = typed(command, self.folder)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        assert silent or (done.stdout + done.stderr).strip(), f"{command} says nothing"
        return done.stdout


@contextmanager
def reading(folder: Path) -> Iterator[Reader]:
    """A reader in a folder, whose servers end with the page."""
    with ExitStack() as leaves:
        yield Reader(folder, leaves)


def shown_in(shown: str, printed: str) -> bool:
    """Say whether the lines that a page shows are among those that were printed, whatever their figures."""
    lines = {_without_figures(line) for line in printed.splitlines()}
    return all(_without_figures(line) in lines for line in shown.splitlines() if line.strip() not in ("", "..."))


def _without_figures(line: str) -> str:
    return " ".join(re.sub(r"[\d.,]*\d", "0", line).split())
