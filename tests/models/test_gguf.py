"""A GGUF file is judged before llama.cpp sees it, and nothing in it can make the judge fall."""

from __future__ import annotations

import random
import struct
import time
from pathlib import Path

import pytest
from made_models import PROJECTOR_GGUF, TEXT_GGUF, gguf_bytes

from vlm4rec_edge.errors import ModelError
from vlm4rec_edge.models.gguf import check_projector, check_text_model, read_header

KEYS = struct.pack("<IQQ", 3, 0, 1)  # version, no tensors, one key


def _file(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "made.gguf"
    path.write_bytes(content)
    return path


def _key(name: bytes = b"k") -> bytes:
    return struct.pack("<Q", len(name)) + name


def test_the_header_tells_what_the_file_is(tmp_path: Path) -> None:
    header = check_text_model(_file(tmp_path, TEXT_GGUF))
    assert (header.version, header.tensors, header.architecture, header.context_length) == (
        3,
        1,
        "llama",
        2048,
    )
    assert not header.is_projector
    assert check_projector(_file(tmp_path, PROJECTOR_GGUF)).is_projector


def test_a_text_model_and_a_projector_are_not_taken_for_each_other(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is a projector.*swapped"):
        check_text_model(_file(tmp_path, PROJECTOR_GGUF))
    with pytest.raises(ModelError, match=r"is a text model.*swapped"):
        check_projector(_file(tmp_path, TEXT_GGUF))


def test_an_adapter_and_a_sound_projector_are_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds a GGUF adapter"):
        check_text_model(_file(tmp_path, gguf_bytes("llama", **{"general.type": "adapter"})))
    with pytest.raises(ModelError, match="for sound"):
        check_projector(_file(tmp_path, gguf_bytes("clip", **{"clip.has_vision_encoder": False})))


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    for length in range(len(TEXT_GGUF)):
        with pytest.raises(ModelError):
            read_header(_file(tmp_path, TEXT_GGUF[:length]))


def test_a_missing_last_byte_of_the_weights_is_called_truncated(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"truncated .1 bytes are missing"):
        read_header(_file(tmp_path, TEXT_GGUF[:-1]))


def test_random_damage_gives_a_model_error_or_a_header_and_nothing_else(tmp_path: Path) -> None:
    chance = random.Random(7)
    refused = 0
    for _ in range(600):
        content = bytearray(TEXT_GGUF)
        for _ in range(chance.randint(1, 6)):
            place = chance.randrange(4, 260)
            width = chance.choice((1, 1, 4, 8))
            content[place : place + width] = chance.choice((chance.randbytes(width), b"\xff" * width, bytes(width)))
        started = time.monotonic()
        try:
            read_header(_file(tmp_path, bytes(content)))
        except ModelError:
            refused += 1
        assert time.monotonic() - started < 2
    assert refused > 300


HUGE = struct.pack("<Q", 2**63)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GG",
        b"PK\x03\x04 not a GGUF file",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        b"GGUF" + struct.pack("<IQQ", 1, 0, 0),
        b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
        b"GGUF" + struct.pack("<IQQ", 3, 2**40, 0),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 2**40),
        b"GGUF" + KEYS + HUGE,
        b"GGUF" + KEYS + _key() + struct.pack("<I", 8) + HUGE,
        b"GGUF" + KEYS + _key() + struct.pack("<II", 9, 8) + HUGE,
        b"GGUF" + KEYS + _key() + struct.pack("<II", 9, 4) + HUGE,
        b"GGUF" + KEYS + _key() + struct.pack("<IIQ", 9, 9, 1),
        b"GGUF" + KEYS + _key() + struct.pack("<I", 99),
        b"GGUF" + KEYS + _key(b"general.alignment") + struct.pack("<II", 4, 3),
        b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + _key() + struct.pack("<I", 2**31),
        b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + _key() + struct.pack("<IQQIQ", 2, 2**62, 2**62, 0, 0),
        b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + _key() + struct.pack("<IQIQ", 1, 31, 8, 0),
        b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + _key() + struct.pack("<IQIQ", 1, 1, 12345, 2**63),
    ],
)
def test_hostile_headers_are_refused_at_once(tmp_path: Path, content: bytes) -> None:
    started = time.monotonic()
    with pytest.raises(ModelError):
        read_header(_file(tmp_path, content))
    assert time.monotonic() - started < 1


def test_a_claim_of_many_strings_costs_no_more_than_the_file(tmp_path: Path) -> None:
    content = b"GGUF" + KEYS + _key() + struct.pack("<IIQ", 9, 8, 2**62) + bytes(8 * 1000)
    with pytest.raises(ModelError, match="truncated"):
        read_header(_file(tmp_path, content))


def test_a_missing_file_and_a_folder_are_sentences(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.gguf", tmp_path):
        with pytest.raises(ModelError, match="cannot be read"):
            read_header(path)


def test_a_file_of_the_right_kind_without_weights_is_refused(tmp_path: Path) -> None:
    architecture = struct.pack("<I", 8) + _key(b"llama")
    content = b"GGUF" + KEYS + _key(b"general.architecture") + architecture
    with pytest.raises(ModelError, match="no tensors"):
        check_text_model(_file(tmp_path, content))
