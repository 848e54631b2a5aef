"""Names, ids and paths of every oddity: kept exactly or refused in a sentence, and never able to steer a terminal."""

from __future__ import annotations

import json
import os
import socket
import sys
import unicodedata
from pathlib import Path

import pytest
from pictures import swatch, swatches
from program import Done, program

from vlm4rec_edge.index_folder import IndexFolder
from vlm4rec_edge.recommend.recommender import Recommender

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the file system keeps any bytes as a name")

# Each a good id, and each to come back character by character.
ODD_IDS = [
    "it's; DROP TABLE items; --",
    '"; DELETE FROM captions; "',
    "' OR '1'='1",
    "%s %d {title} {0} ${HOME} `id` $(id)",
    "cafe\u0301",  # two characters that look like one
    "Shirt-1",
    "shirt-1",
    "\u202egnp.exe",  # turned right to left
    "a\u200bb\u200d\ufeffc",  # of no width
    "\U0001f457\U0001f3fd\u200d\u2764\ufe0f",
    "line\u2028paragraph\u2029end",
    "\u0131\u0130\u00df\ufb03\u1e9e",
    "a,b,c",
    "../../etc/passwd",
    "-rf",
    "--help",
    "NULL",
    "nan",
    "1e999",
    "=cmd|' /C calc'!A0",
    "a\\b\\n",
    "\ud55c\uad6d\uc5b4 \u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u05e2\u05d1\u05e8\u05d9\u05ea",
    "e" + "\u0301" * 300,
    "x" * 512,
]
REFUSED_IDS = ["a\x1b[2Jb", "a\x00b", "bell\x07", "new\nline", "x" * 513, "\x7f"]


def _steers(text: str) -> set[str]:
    """The characters of an output that a terminal does not simply print; line breaks of ours aside."""
    return {character for character in text if not character.isprintable()} - {"\n"}


def _as_table(folder: Path, form: str, ids: list[str]) -> Path:
    """A table of items that share six photos; its titles are as odd as its ids."""
    photos = [path.name for path in swatches(folder, 6)]
    rows = [{"id": each, "image": photos[number % 6], "title": f"<{each}>"} for number, each in enumerate(ids)]
    table = folder / f"items.{form}"
    if form == "csv":
        quoted = (",".join('"' + cell.replace('"', '""') + '"' for cell in row.values()) for row in rows)
        table.write_bytes("\n".join(["id,image,title", *quoted]).encode("utf-8", "surrogatepass"))
    else:
        table.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return table


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_odd_ids_and_titles_come_back_exactly_and_harm_nothing(tmp_path: Path, form: str) -> None:
    table = _as_table(tmp_path, form, ODD_IDS + REFUSED_IDS)
    made = program("index", table, "--out", tmp_path / "i", "--encode", "title", "--json")
    assert made.code == 3
    # An id that goes on over lines is taken for a quote too many, so the two lines after its first are read as rows.
    further = 2 if form == "csv" else 0
    assert (made.json["items"], made.json["failed"]) == (len(ODD_IDS), len(REFUSED_IDS) + further)
    found = program("recommend", tmp_path / "i", "--history", "Shirt-1", "-k", "99", "--json")
    assert {hit["item_id"] for hit in found.json["recommendations"]} == {*ODD_IDS} - {"Shirt-1"}
    assert all(hit["title"] == f"<{hit['item_id']}>" for hit in found.json["recommendations"])
    with Recommender.open(tmp_path / "i") as shop:
        assert all(len(shop.similar(odd, 99)) == len(ODD_IDS) - 1 for odd in ODD_IDS)
    asked = program("similar", tmp_path / "i", "-k", "1", "--json", "--", "--help")
    assert (asked.code, asked.json["query"]) == (0, {"item": "--help"})
    assert IndexFolder(tmp_path / "i").verify().ok


def test_no_output_for_people_can_steer_their_terminal(tmp_path: Path) -> None:
    table = _as_table(tmp_path, "csv", ODD_IDS + REFUSED_IDS)
    index = tmp_path / "i"
    outputs: list[Done] = [program("index", table, "--out", index, "--encode", "title")]
    outputs += [program("recommend", index, "--history", "NULL", "-k", "99"), program("info", index)]
    outputs += [
        program("recommend", index, "--history", "NULL", "--history", "\x1b]0;owned\x07\u202e"),
        program("verify", index),
    ]
    outputs += [program("similar", index, "\x1b[31m"), program("remove", index, "\x1b[31m\u202e")]
    for done in outputs:
        assert _steers(done.out) == set(), done.out
        assert _steers(done.err) == set(), done.err


@linux_only
def test_file_names_of_any_bytes_are_items_or_sentences(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    good = [
        "it's.png",
        'say "hi".png',
        "a,b;c.png",
        "caf\u00e9.png",
        "\u202efdp.png",
        "\U0001f457.png",
    ]
    good += ["-rf.png", " space .png", "%00.png", "*.png", "a" * 251 + ".png", "\u200b.png", "..a.b.png", "CON.png"]
    good.remove("..a.b.png")  # begins with a dot: hidden
    bad = [b"caf\xe9.png", b"\xff\xfe.png", b"new\nline.png", b"esc\x1b[2J.png", b"\xed\xa0\x80.png"]
    picture = swatch(9, 99, 200)
    picture.save(tmp_path / "one.png")
    content = (tmp_path / "one.png").read_bytes()
    for name in good + list(map(os.fsdecode, bad)):
        (folder / name).write_bytes(content)
    done = program("index", folder, "--out", tmp_path / "i", "--max-tokens", "3", "--json")
    assert (done.code, done.err) == (3, "")
    assert (done.json["items"], done.json["failed"]) == (len(good), len(bad))
    ids = {name.removesuffix(".png") for name in good}
    found = program("recommend", tmp_path / "i", "--history", "-rf", "-k", "99", "--json")
    assert {hit["item_id"] for hit in found.json["recommendations"]} == ids - {"-rf"}
    assert {Path(hit["image"]).name for hit in found.json["recommendations"]} == {*good} - {"-rf.png"}
    assert _steers(program("index", folder, "--out", tmp_path / "i", "--max-tokens", "3").err) == set()


@linux_only
def test_a_catalog_below_a_folder_that_is_no_text_is_indexed_and_answers(tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/sh\xf6p\x1b[2J"))
    odd.mkdir()
    swatches(odd / "photos", 3)
    commands = [["index", odd / "photos", "--out", odd / "i", "--max-tokens", "3"]]
    commands += [["recommend", odd / "i", "--history", "0001"], ["info", odd / "i"]]
    for command in commands:
        done = program(*command)
        assert done.code == 0, done.err
        assert _steers(done.out + done.err) == set()
    answer = program("recommend", odd / "i", "--history", "0001", "--json").json
    assert {hit["item_id"] for hit in answer["recommendations"]} == {"0000", "0002"}
    caption = program("caption", odd / "photos" / "0001.png", odd / "none.png", "--max-tokens", "3", "--json")
    assert (caption.code, len(caption.json["captions"]), len(caption.json["failures"])) == (3, 1, 1)


@pytest.mark.skipif(os.name == "nt", reason="needs the devices of POSIX")
def test_a_table_that_names_devices_pipes_sockets_links_and_folders_never_waits(tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    swatches(shop, 2)
    (tmp_path / "secret.png").write_bytes((shop / "0000.png").read_bytes())
    (shop / "folder").mkdir()
    os.mkfifo(shop / "pipe.png")
    for name, target in {
        "zero.png": "/dev/zero", "stdin.png": "/dev/stdin", "random.png": "/dev/urandom", "tty.png": "/dev/tty",
        "out.png": "../secret.png", "loop.png": "loop.png", "dangling.png": "nothing.png", "memory.png": "/proc/self/mem",
        "up": "..", "inside.png": "0001.png",
    }.items():  # fmt: skip
        (shop / name).symlink_to(target)
    server = socket.socket(socket.AF_UNIX)
    try:
        here = Path.cwd()
        os.chdir(shop)  # a socket's path is short
        try:
            server.bind("socket.png")
        finally:
            os.chdir(here)
        good = {"0000.png", "inside.png", "./folder/../0000.png"}
        bad = ["zero.png", "stdin.png", "random.png", "tty.png", "out.png", "loop.png", "dangling.png", "memory.png"]
        bad += [
            "pipe.png",
            "socket.png",
            "folder",
            ".",
            "",
            "/",
            "/dev/zero",
            "../secret.png",
            "up/secret.png",
            "0000.png/",
        ]
        bad += [
            "0000.png/../0000.png/x",
            "~/x.png",
            "file:///dev/zero",
            "a" * 300,
            "a/" * 3000,
            "http://localhost/a.png",
        ]
        bad += ["nul\x00.png", "\\\\server\\share\\a.png", "C:\\a.png", "0000.png\n", "items.jsonl"]
        bad.remove("0000.png\n")  # stripped: a good name
        bad.remove("0000.png/")  # a path of no trailing slash: the same file
        rows = [{"id": f"i{number}", "image": image} for number, image in enumerate([*sorted(good), *bad])]
        (shop / "items.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        done = program("index", shop / "items.jsonl", "--out", tmp_path / "i", "--max-tokens", "3", "--json")
    finally:
        server.close()
    assert (done.code, done.err) == (3, "")
    told = {failure["where"]: failure["reason"] for failure in done.json["failures"]}
    unexpected = [
        (row["image"][:40], told.get(row["id"])) for row in rows if (row["id"] in told) == (row["image"] in good)
    ]
    assert unexpected == []
    assert done.json["items"] == len(good)
    assert all(reason.endswith(".") and len(reason) < 8000 for reason in told.values())


def test_two_spellings_of_an_accent_are_one_item_and_the_second_is_named(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "h\u00e5r-\u00e9") for form in ("NFC", "NFD"))
    table = _as_table(tmp_path, "jsonl", [decomposed, composed])
    done = program("index", table, "--out", tmp_path / "i", "--encode", "title", "--json")
    assert (done.json["items"], [failure["where"] for failure in done.json["failures"]]) == (1, [decomposed])
    assert "Duplicate id" in done.json["failures"][0]["reason"]
    assert [item["id"] for item in program("items", tmp_path / "i", "--json").json["items"]] == [decomposed]
