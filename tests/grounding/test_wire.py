"""Messages arrive as they were sent, or not at all."""

from __future__ import annotations

import io

import pytest

from vlm4rec_edge.grounding.child import wire


def test_messages_and_their_bytes_arrive_in_order_whatever_is_in_them() -> None:
    stream = io.BytesIO()
    messages = [({"a": "line\nbreak \ud800 é 商"}, b"\n{}\n"), ({}, b""), ({"n": [1, None]}, bytes(range(256)) * 999)]
    for message, content in messages:
        wire.send(stream, message, content)
    stream.seek(0)
    assert [wire.receive(stream) for _ in messages] == messages
    assert wire.receive(stream) is None


def test_a_message_that_was_cut_anywhere_is_none() -> None:
    stream = io.BytesIO()
    wire.send(stream, {"event": "caption", "id": 3}, b"content")
    whole = stream.getvalue()
    for length in range(len(whole)):
        assert wire.receive(io.BytesIO(whole[:length])) is None
    assert wire.receive(io.BytesIO(whole)) is not None


@pytest.mark.parametrize(
    "line", [b"no json\n", b"[]\n", b"{}\n", b'{"bytes": "x"}\n', b'{"bytes": -1}\nabc', b"\xff\n"]
)
def test_what_is_no_message_is_none(line: bytes) -> None:
    assert wire.receive(io.BytesIO(line)) is None
