"""Clients of a server, each with a connection of its own, that ask one after the other; run as a process of its own.

It is sent ``HttpTask`` as JSON and says the milliseconds of each answer, and how long all of them took.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class HttpTask:
    """What is asked: ``requests`` (path, and body or None) in turns, by so many clients, so many times in all."""

    port: int
    clients: int
    count: int
    requests: list[tuple[str, str | None]]


def _written(path: str, body: str | None) -> bytes:
    method, content = ("GET", b"") if body is None else ("POST", body.encode())
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    return head.encode() + b"\r\n" + content


async def _client(port: int, turns: Iterator[bytes], seconds: list[float], refused: list[int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
    for request in turns:
        started = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next(int(line[16:]) for line in lines if line.startswith(b"content-length: "))
        await reader.readexactly(length)
        seconds.append(time.perf_counter() - started)
        status = int(lines[0].split()[1])
        if status != 200:
            refused.append(status)
    writer.close()


async def _run(task: dict[str, object]) -> dict[str, object]:
    asked = HttpTask(**task)  # type: ignore[arg-type]  # as it was written
    requests = [_written(path, body) for path, body in asked.requests]
    turns = (requests[number % len(requests)] for number in range(asked.count))  # shared: who is free takes the next
    seconds: list[float] = []
    refused: list[int] = []
    started = time.perf_counter()
    await asyncio.gather(*(_client(asked.port, turns, seconds, refused) for _ in range(asked.clients)))
    return {"ms": [1e3 * one for one in seconds], "seconds": time.perf_counter() - started, "refused": refused}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_run(json.loads(sys.stdin.read())))))
