"""A bundle from a stranger is refused with a sentence before anything of it is used."""

from __future__ import annotations

import json
import os
import stat
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundle_index import all_of, forge, forge_file

from vlm4rec_edge.bundle.container import is_bundle
from vlm4rec_edge.bundle.manifest import FORMAT
from vlm4rec_edge.bundle.reader import BundleReader
from vlm4rec_edge.bundle.writer import make_bundle
from vlm4rec_edge.errors import BundleError

Entry = tuple[zipfile.ZipInfo, bytes]


def entries(folder: Path) -> list[Entry]:
    return [(zipfile.ZipInfo(path.name), path.read_bytes()) for path in sorted(folder.iterdir())]


def write_zip(path: Path, members: list[Entry]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for info, data in members:
            archive.writestr(info, data)
    return path


def refused(path: Path, because: str) -> None:
    with pytest.raises(BundleError, match=because) as caught:
        all_of(path)
    message = str(caught.value)
    assert str(path) in message
    assert message.endswith(".")


def test_a_zip_file_that_another_program_packed_without_compression_is_a_bundle(folder: Path, tmp_path: Path) -> None:
    members = [(zipfile.ZipInfo("encoder/"), b""), *entries(folder)]
    assert all_of(write_zip(tmp_path / "b.zip", members)) == all_of(folder)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("strange", "because"),
    [
        ([(zipfile.ZipInfo("../outside.txt"), b"x")], "does not name"),
        ([(zipfile.ZipInfo("/etc/passwd"), b"x")], "does not name"),
        ([(zipfile.ZipInfo("encoder/../../x"), b"x")], "does not name"),
        ([(zipfile.ZipInfo("C:\\x"), b"x")], "does not name"),
        ([(zipfile.ZipInfo("extra.bin"), b"x")], "does not name"),
        ([(zipfile.ZipInfo("items.bin"), b"x")], "in it twice"),
        ([(zipfile.ZipInfo("manifest.json"), b"{}")], "in it twice"),
        ([(zipfile.ZipInfo(f"{number}"), b"") for number in range(200)], "more files than a bundle can"),
    ],
    ids=["zip slip", "absolute", "nested slip", "drive", "extra", "double", "double manifest", "many"],
)
def test_strange_members_of_a_zip_file(folder: Path, tmp_path: Path, strange: list[Entry], because: str) -> None:
    refused(write_zip(tmp_path / "b.zip", [*entries(folder), *strange]), because)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.zip", "own.bundle"], "nothing was written anywhere"


def test_a_link_in_a_zip_file(folder: Path, tmp_path: Path) -> None:
    members = entries(folder)
    members[0][0].external_attr = (stat.S_IFLNK | 0o777) << 16
    refused(write_zip(tmp_path / "b.zip", members), "a link")


def test_a_compressed_member_is_refused_before_it_unpacks_to_a_bomb(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("items.bin", bytes(50_000_000))
    refused(tmp_path / "b.zip", "compressed")
    assert (tmp_path / "b.zip").stat().st_size < 100_000


def _set_in_directory(path: Path, name: bytes, offset: int, form: str, value: int) -> None:
    """Set a field of the entry of a member in the directory at the end of a zip file (APPNOTE 4.3.12)."""
    data = bytearray(path.read_bytes())
    at = data.rindex(name) - 46
    assert data[at : at + 4] == b"PK\x01\x02"
    struct.pack_into(form, data, at + offset, value)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("offset", "form", "value", "because"),
    [
        (8, "<H", 1, "encrypted"),
        (10, "<H", 12, "compressed"),
        (20, "<I", 10, "compressed"),
        (42, "<I", 5, "cut off or damaged"),
        (42, "<I", 0xFFFFFF00, "not a complete zip file|cut off or damaged"),
    ],
    ids=["encrypted", "bzip2", "sizes differ", "offset", "offset beyond the end"],
)
def test_a_directory_that_does_not_fit(
    folder: Path, tmp_path: Path, offset: int, form: str, value: int, because: str
) -> None:
    path = write_zip(tmp_path / "b.zip", entries(folder))
    _set_in_directory(path, b"vectors.bin", offset, form, value)
    refused(path, because)


def test_members_that_lie_over_each_other(folder: Path, tmp_path: Path) -> None:
    inner = (folder / "vectors.bin").read_bytes()
    # A whole member inside another one: a few bytes that claim to be many (https://www.bamsoftware.com/hacks/zipbomb/).
    header = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 0, 0, 0, 0, len(inner), len(inner), 9, 0) + b"other.bin"
    path = write_zip(
        tmp_path / "b.zip", [(zipfile.ZipInfo("items.bin"), header + inner), (zipfile.ZipInfo("other.bin"), inner)]
    )
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("items.bin").header_offset + 30 + len("items.bin")
    _set_in_directory(path, b"other.bin", 42, "<I", start)
    refused(path, "overlapping members")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
@pytest.mark.parametrize("name", ["items.bin", "manifest.json"])
def test_a_link_in_a_folder(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    refused(folder, "is a link")


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes with names there")
def test_a_pipe_in_a_folder_does_not_wait_for_ever(folder: Path) -> None:
    (folder / "vectors.bin").unlink()
    os.mkfifo(folder / "vectors.bin")
    refused(folder, "not a regular file")


def test_what_is_missing_or_too_much_in_a_folder(folder: Path) -> None:
    (folder / ".DS_Store").touch()
    all_of(folder)
    (folder / "more.bin").touch()
    refused(folder, "does not name")
    (folder / "more.bin").unlink()
    (folder / "items.bin").unlink()
    refused(folder, "missing")


@pytest.mark.parametrize("name", ["../x", "/x", "items.bin/", "encoder/../x", "x.bin", "encoder/a/b", "encoder/.x", ""])
def test_a_manifest_that_names_files_no_bundle_has(folder: Path, name: str) -> None:
    forge(folder, lambda document: document["files"].update({name: document["files"]["items.bin"]}))
    refused(folder, "lacks or misuses")


def test_a_newer_format_says_that_an_upgrade_is_needed(folder: Path) -> None:
    forge(folder, lambda document: document.update(format=FORMAT + 1, package="9.9", files="something else"))
    refused(folder, f"has format {FORMAT + 1}, written by vlm4rec-edge 9.9; .* Upgrade")


@pytest.mark.parametrize(
    ("data", "because"),
    [
        (b"", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"format": 1, "format": 1}', "has a duplicate key"),
        (b'{"format": true, "kind": "bundle"}', "is not a bundle"),
        (b'{"name": "a web app"}', "is not a bundle"),
        (b'{"format": 1, "kind": "bundle"}', "not what was written"),
        (b"\xff\xfe", "not valid JSON"),
    ],
    ids=["empty", "deep", "double key", "bool", "another manifest", "no digest", "not UTF-8"],
)
def test_a_manifest_that_is_none(folder: Path, data: bytes, because: str) -> None:
    (folder / "manifest.json").write_bytes(data)
    refused(folder, because)


def test_one_changed_letter_of_the_manifest_is_seen(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"licence": "unknown"', '"licence": "Unknown"'))
    refused(folder, "not what was written")


def _count(name: str, section: int, value: Any) -> Callable[[dict[str, Any]], None]:
    def edit(document: dict[str, Any]) -> None:
        document["files"][name]["sections"][section][2] = value

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: d.update(items=59),
        lambda d: d.update(items=0),
        lambda d: d.update(items=-60),
        lambda d: d.update(items="60"),
        lambda d: d.update(items=2**61),
        lambda d: d["vectors"].update(rows=47),
        lambda d: d["vectors"].update(rows=24, dimensions=48),
        lambda d: d["vectors"].update(type="int8"),
        lambda d: d["vectors"].update(type=["float16"]),
        lambda d: d.update(vectors=None),
        lambda d: d["attributes"].pop(),
        lambda d: d["attributes"].append("more"),
        lambda d: d.update(attributes={"colour": 1}),
        lambda d: d.pop("encoder"),
        lambda d: d["attributes"].__setitem__(0, d["attributes"][1]),
        lambda d: d["grounding"].update(provenance=[]),
        lambda d: d["encoder"]["provenance"].pop("name"),
        lambda d: d.update(captions=None),
        lambda d: d.update(encoded_text=1),
        lambda d: d.update(title_share="0.9"),
        lambda d: d.update(title_share=1.0),
        lambda d: d["models"].append("MIT"),
        lambda d: d["models"][0].update(licence=["MIT"]),
        lambda d: d.update(thumbnails=64),
        lambda d: d["files"].pop("vectors.bin"),
        lambda d: d["files"]["vectors.bin"].pop("sections"),
        lambda d: d["files"]["vectors.bin"].update(sha256="0" * 63),
        lambda d: d["files"]["vectors.bin"]["sections"][0].__setitem__(1, "|O"),
        lambda d: d["files"]["vectors.bin"]["sections"][0].__setitem__(1, "<f4"),
        lambda d: d["files"]["items.bin"]["sections"].reverse(),
        lambda d: d["files"]["items.bin"]["sections"].pop(),
        lambda d: d["files"]["items.bin"]["sections"].append(["row.steps", "|u1", 0]),
        lambda d: d["files"]["items.bin"]["sections"].append(["more", "|u1", 0]),
        _count("items.bin", 0, 10**15),
        _count("items.bin", 1, 59),
        _count("items.bin", 0, -1),
        _count("items.bin", 0, 60.0),
        _count("vectors.bin", 0, True),
    ],
)  # fmt: skip
def test_a_manifest_that_is_wrong_under_the_right_digest(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    forge(folder, edit)
    with pytest.raises(BundleError):
        all_of(folder)


def _with_section(folder: Path, name: str, values: Any) -> bytes:
    """The bytes of items.bin with the first values of an array replaced."""
    document = json.loads((folder / "manifest.json").read_bytes())
    data, at = bytearray((folder / "items.bin").read_bytes()), 0
    for section, dtype, count in document["files"]["items.bin"]["sections"]:
        if section == name:
            new = np.array(values, dtype=dtype).tobytes()
            data[at : at + len(new)] = new
        at += -(-count * np.dtype(dtype).itemsize // 64) * 64
    return bytes(data)


@pytest.mark.parametrize(
    ("section", "values", "because"),
    [
        ("row.steps", [0], "number of items"),
        ("row.steps", [1, 7], "number of items"),
        ("row.steps", [1, 1], "do not fit its vectors"),
        ("caption.codes", [255], "is missing"),
        ("id.lengths", [2**31], "do not fill"),
        ("id.lengths", [9, 11], "inside a character"),
        ("title.utf8", [0xFF], "not UTF-8"),
    ],
)
def test_items_that_are_wrong_under_the_right_sha256(folder: Path, section: str, values: Any, because: str) -> None:
    forge_file(folder, "items.bin", _with_section(folder, section, values))
    refused(folder, because)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 3.0])
@pytest.mark.parametrize("kind", ["float32", "float16", "int8"])
def test_vectors_that_are_none_under_the_right_sha256(index: Path, tmp_path: Path, kind: Any, value: float) -> None:
    make_bundle(index, tmp_path / "b", vectors=kind)
    values = np.frombuffer((tmp_path / "b" / "vectors.bin").read_bytes(), {"float16": "<f2"}.get(kind, "<f4")).copy()
    values[:24] = value  # of int8: the scales of the first vectors
    forge_file(tmp_path / "b", "vectors.bin", values.tobytes())
    refused(tmp_path / "b", "not of length one")


def test_what_is_neither_an_index_nor_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear Anna")
    for name in ("letter.txt", "nowhere.zip"):
        with pytest.raises(BundleError):
            BundleReader(tmp_path / name)


def test_a_bundle_is_told_from_other_files_by_its_name_or_its_first_bytes(folder: Path, tmp_path: Path) -> None:
    packed = write_zip(tmp_path / "shop.bundle", entries(folder))
    (tmp_path / "empty.zip").touch()
    (tmp_path / "letter.txt").write_text("Dear Anna")
    assert all(map(is_bundle, (folder, packed, tmp_path / "empty.zip")))
    assert not any(map(is_bundle, (tmp_path, tmp_path / "letter.txt", tmp_path / "nowhere.zip")))
