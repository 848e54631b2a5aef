"""What programs and pipes get: errors as documents, tables on standard output, no colour where none is wanted."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest
from made_store import random_vectors, write_store
from program import on_a_terminal, program


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index, and histories beside it."""
    folder = tmp_path_factory.mktemp("pipes")
    (folder / "h.csv").write_text("user_id,history\nann,item-1\nbela,item-2\n")
    return write_store(folder / "s", random_vectors(9))


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate", "--json"],
        ["--frobnicate", "--json"],
        ["similar", "--json"],
        ["recommend", "x", "--json", "--frobnicate"],
        ["recommend", "x", "--history", "a", "-k", "none", "--json"],
        ["models", "frobnicate", "--json"],
        ["models", "path", "--json"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_an_error_document_for_programs(arguments: list[str]) -> None:
    done = program(*arguments)
    assert done.code == 2
    assert done.json["error"]["kind"] == "UsageError"
    assert done.json["error"]["message"] in done.err.replace("\n", " ")
    assert program(*(word for word in arguments if word != "--json")).out == ""


@pytest.mark.parametrize("command", [[], ["index"], ["items"], ["models"], ["models", "pull"]], ids=" ".join)
def test_the_short_option_is_help_everywhere(command: list[str]) -> None:
    short, long = program(*command, "-h"), program(*command, "--help")
    assert (short.code, short.out) == (0, long.out)
    assert "Usage: " in short.out


def test_recommendations_go_to_standard_output(index: Path) -> None:
    done = program("recommend", index, "--histories", index.parent / "h.csv", "--out", "-", "-k", "2")
    assert done.code == 0
    rows = list(csv.DictReader(done.out.splitlines()))
    assert [(row["user_id"], row["rank"]) for row in rows] == [("ann", "1"), ("ann", "2"), ("bela", "1"), ("bela", "2")]
    assert "4 recommendations for 2 of 2 users" in done.err
    refused = program("recommend", index, "--histories", index.parent / "h.csv", "--out", "-", "--json")
    assert refused.code == 2
    assert "both write to standard output" in refused.err


def test_an_export_goes_to_standard_output(index: Path) -> None:
    done = program("export", index, "-", "--format", "jsonl")
    assert done.code == 0
    assert len([json.loads(line) for line in done.out.splitlines()]) == 9
    assert "9 items" in done.err
    assert program("export", index, "-", "--format", "numpy").code == 2
    assert not Path("-").exists()


@pytest.mark.skipif(os.name == "nt", reason="a terminal of POSIX is needed")
@pytest.mark.parametrize(
    ("environment", "is_styled"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"NO_COLOR": ""}, True)],
)
def test_a_table_is_plain_where_no_colour_is_wanted(index: Path, environment: dict[str, str], is_styled: bool) -> None:
    clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM")}
    done = on_a_terminal("similar", index, "item-1", environment={**clean, "TERM": "xterm", **environment})
    assert done.returncode == 0
    shown = done.stdout
    assert b"item-2" in shown
    assert (b"\x1b[" in shown) == is_styled
