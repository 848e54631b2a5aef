"""Help is complete, instant and needs no model; wrong usage is told from what could not be done."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from program import program, watched
from typer.testing import CliRunner

import vlm4rec_edge
from vlm4rec_edge.cli.app import make_app

# What help must not pay for.
HEAVY = {
    "numpy",
    "llama_cpp",
    "onnxruntime",
    "tokenizers",
    "hnswlib",
    "PIL",
    "huggingface_hub",
    "pyarrow",
    "torch",
    "starlette",
    "uvicorn",
}


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, below in getattr(command, "commands", {}).items():
        yield from _commands(below, (*path, name))


COMMANDS = list(_commands(typer.main.get_command(make_app())))


def test_the_commands_of_the_issue_are_there() -> None:
    names = {" ".join(path) for path in COMMANDS}
    assert {"index", "recommend", "similar", "search", "caption", "info", "demo"} <= names
    assert {"models list", "models pull", "models verify", "models path"} <= names


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_of_every_command_works_and_loads_nothing_heavy(path: tuple[str, ...]) -> None:
    done = watched(*path, "--help")
    assert done.code == 0
    assert "Usage: " in done.out
    assert not HEAVY & done.loaded
    if path and path not in {("models",), ("shard",)}:
        assert f"\n    vlm4rec-edge {' '.join(path)}" in done.out, "help shows a worked example"
    if not path:
        assert all(f"\n  {command[0]} " in done.out for command in COMMANDS if command)
        assert "Exit codes" in done.out


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_says_what_to_put_for_each_value_and_in_sentences(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(make_app(), [*path, "--help"]).output
    assert not re.findall(r"<(?:str|path|int|float)[ \w]*>", shown)
    command: Any = typer.main.get_command(make_app())
    for name in path:
        command = command.commands[name]
    for parameter in command.params:
        assert (parameter.help or ".").endswith("."), parameter.name


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_what_is_written_wrongly_is_told_as_json_to_who_asks_for_it(path: tuple[str, ...]) -> None:
    for wrong in (["--json", "--bogus"], ["--bogus", "--json"], ["--json=1", "--bogus"]):
        done = CliRunner().invoke(make_app(), [*path, *wrong])
        assert done.exit_code == 2
        assert json.loads(done.stdout)["error"]["kind"] == "UsageError"


def test_an_error_names_an_option_as_it_was_typed() -> None:
    for words, message in (
        ("recommend x --encode title", "No such option: --encode "),
        ("index x --out y --encode=nothing", "Invalid value for '--encode': 'nothing'"),
        ("index x --out y --encoded-text nothing", "Invalid value for '--encoded-text': 'nothing'"),
        ("caption x --image-size 3", "Invalid value for '--image-size': 3"),
    ):
        done = CliRunner().invoke(make_app(), words.split())
        assert done.exit_code == 2
        assert message in done.stderr
        assert ("--encoded-text" in done.stderr) == ("--encoded-text" in words)


@pytest.mark.parametrize("name", [path[0] for path in COMMANDS if len(path) == 1])
def test_a_command_made_alone_is_the_same_as_among_the_others(name: str) -> None:
    alone, among = (CliRunner().invoke(app, [name, "--help"]) for app in (make_app([name]), make_app()))
    assert alone.exit_code == among.exit_code == 0
    assert alone.output == among.output


def test_a_command_does_not_wait_for_the_modules_of_the_others() -> None:
    code = (
        "import sys; from vlm4rec_edge.cli import main; sys.argv[1:] = ['recommend', '--help']\n"
        "try: main()\n"
        "finally: print(*(name for name in sys.modules if name.startswith('vlm4rec_edge.cli.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "vlm4rec_edge.cli.online" in loaded
    assert not {f"vlm4rec_edge.cli.{other}" for other in ("offline", "upkeep", "models", "evaluate", "demo")} & loaded


def test_the_version_is_that_of_the_package() -> None:
    assert program("--version").out == f"{vlm4rec_edge.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["index"],
        ["index", "photos"],
        ["index", "photos", "--out", "x", "--encode", "titel"],
        ["index", "photos", "--out", "x", "--device", "tpu"],
        ["index", "photos", "--out", "x", "--max-tokens", "0"],
        ["index", "photos", "--out", "x", "--temperature", "-1"],
        ["recommend", "x.index"],
        ["recommend", "x.index", "--history", "a", "-k", "0"],
        ["caption"],
        ["info"],
        ["demo", "--no-such-option"],
        ["models", "frobnicate"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_a_sentence_and_code_2(arguments: list[str]) -> None:
    done = program(*arguments)
    assert done.code == 2
    assert "Error: " in done.err
    assert done.out == ""
