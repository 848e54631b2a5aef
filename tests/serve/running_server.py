"""The real program, serving in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

PROGRAM = Path(sys.executable).with_name("vlm4rec-edge")


class Answered(NamedTuple):
    """A status, headers and a body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The document in the body."""
        return json.loads(self.body)


class Server:
    """A server that runs.

    Attributes:
        process: Its process.
        address: Where it is, with a slash at the end.
        told: The document that it printed.
    """

    def __init__(self, process: subprocess.Popen[str], told: Any) -> None:
        self.process, self.told, self.address = process, told, told["address"]

    def ask(self, path: str, body: Any = None, **headers: str) -> Answered:
        """Ask it, with a JSON body where one is given."""
        data = None if body is None else json.dumps(body).encode()
        sent = {**({"Content-Type": "application/json"} if body is not None else {}), **headers}
        request = urllib.request.Request(self.address + path, data, sent)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answered(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Answered(error.code, error.headers, error.read())

    def stop(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """End it as a user does; return its exit code and what it said on stderr."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


@contextmanager
def running(*arguments: object, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Serve on a free port."""
    command = [sys.executable, str(PROGRAM), "serve", *map(str, arguments), "--port", "0", "--json"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, **(environment or {})},
    )
    try:
        assert process.stdout
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line)
            if line == "}\n":
                break
        assert lines, process.communicate()[1]
        yield Server(process, json.loads("".join(lines)))
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
