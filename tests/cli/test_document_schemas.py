"""What a command prints with ``--json`` is what its JSON Schema says, and holds nothing that the schema does not say."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from every_command import INDEX, RECIPES, commands, stock
from jsonschema import Draft202012Validator
from program import program

import vlm4rec_edge
from vlm4rec_edge.documents import PRINTED, schema

sys.path.append(str(Path(__file__).parents[1] / "serve"))

from running_server import running

FOLDER = Path(vlm4rec_edge.__file__).parent / "documents"
NAMES = sorted(path.name.removesuffix(".schema.json") for path in FOLDER.glob("*.json"))
RUNS = [(command, number) for command, recipes in RECIPES.items() for number in range(len(recipes))]
# Which document of several a command prints.
_TOLD_APART: dict[str, Callable[[list[str]], str]] = {
    "recommend": lambda words: "batch" if "--histories" in words else "recommendations",
    "learn": lambda words: "forgotten" if "--forget" in words else "learning",
}


def _closed(part: Any) -> Any:
    """Return a schema that allows no field but those it names."""
    if isinstance(part, list):
        return [_closed(each) for each in part]
    if not isinstance(part, dict):
        return part
    closed = {name: _closed(each) for name, each in part.items()}
    return {**closed, "additionalProperties": False} if isinstance(part.get("properties"), dict) else closed


def _check(document: Any, name: str) -> None:
    Draft202012Validator(_closed(schema(name))).validate(document)


def test_every_command_has_its_documents_and_no_schema_is_left_over() -> None:
    assert set(PRINTED) == commands()
    assert sorted({"error", *(name for names in PRINTED.values() for name in names)}) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_one_and_says_what_it_is_of(name: str) -> None:
    document = schema(name)
    Draft202012Validator.check_schema(document)
    assert document["title"]
    assert document["description"].endswith(".")
    texts = [part["description"] for part in document["properties"].values() if "description" in part]
    assert all(text.endswith(".") for text in texts)


@pytest.mark.parametrize(("command", "number"), RUNS, ids=str)
def test_what_a_command_prints_is_what_its_schema_says(
    command: str, number: int, tmp_path: Path, shop: Path, shop_index: Path
) -> None:
    work = stock(tmp_path / "work", shop, shop_index)
    words = [str(word) for word in RECIPES[command][number](work)]
    done = program(*words, *([] if "--json" in words else ["--json"]), cwd=work)
    assert done.code in (0, 3), done.err
    which = _TOLD_APART.get(command)
    _check(done.json, which(words) if which else PRINTED[command][0])


def test_a_delta_a_learned_index_and_its_bundle_are_told_by_the_same_schemas(
    tmp_path: Path, shop: Path, shop_index: Path
) -> None:
    work = stock(tmp_path / "work", shop, shop_index)
    first, second, *_ = (item["id"] for item in program("items", INDEX, "--json", cwd=work).json["items"])
    assert program("bundle", INDEX, "old.zip", cwd=work).code == 0
    assert program("remove", INDEX, first, cwd=work).code == 0
    _check(program("bundle", INDEX, "news.zip", "--delta", "old.zip", "--json", cwd=work).json, "bundle")
    _check(program("info", "old.zip", "--json", cwd=work).json, "info")
    for what in (["--history", second, "--explain"], ["--history", f"{second},nobody"], ["--text", "a red dress"]):
        _check(program("recommend", "old.zip", *what, "--json", cwd=work).json, "recommendations")
    _check(program("verify", "old.zip", "--json", cwd=work).json, "verify")


@pytest.mark.parametrize("words", [["info", "nothing.index", "--json"], ["info", "--bogus", "--json"]], ids=" ".join)
def test_what_cannot_be_done_is_an_error_document(words: list[str], tmp_path: Path) -> None:
    done = program(*words, cwd=tmp_path)
    assert done.code in (1, 2)
    _check(json.loads(done.out), "error")


def test_a_server_says_where_it_is_as_its_schema_says(shop_index: Path) -> None:
    with running(shop_index) as server:
        _check(server.told, "serve")
