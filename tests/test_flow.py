"""The declared flow is the real one: each stage imports earlier stages and what all share, never a later one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import vlm4rec_edge

PACKAGE = Path(vlm4rec_edge.__file__).parent
FLOW = ("catalog", "grounding", "encoding", "store", "index", "recommend")
# What is made of an index, in any order; then what puts stages together; then the program.
USES = {"batch", "bundle", "evaluation", "interchange", "lance", "learning"}
# Below every stage: none of these knows one.
SHARED = {
    "addresses",
    "atomic",
    "busy",
    "checksums",
    "closable",
    "columns",
    "cores",
    "documents",
    "errors",
    "given",
    "interactions",
    "items",
    "mixture",
    "models",
    "optional",
    "plugins",
    "prefetch",
    "privacy",
    "provenance",
    "quiet",
    "tables",
}


def _modules(part: str) -> list[Path]:
    return sorted((PACKAGE / part).rglob("*.py")) or [PACKAGE / f"{part}.py"]


def _imports(path: Path) -> Iterator[str]:
    """Yield the parts of the package that a module imports, at its top, in its functions and for its types."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "vlm4rec_edge":
            names = node.module.split(".")[1:2]
            yield from names or [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("vlm4rec_edge."))


def _parts() -> set[str]:
    return {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}


@pytest.mark.parametrize("stage", FLOW)
def test_a_stage_imports_no_later_one(stage: str) -> None:
    allowed = {*FLOW[: FLOW.index(stage) + 1], *SHARED, *({"bundle", "lance"} if stage == "recommend" else ())}
    found = {(path.name, part) for path in _modules(stage) for part in _imports(path) if part in _parts()}
    assert {entry for entry in found if entry[1] not in allowed} == set()


@pytest.mark.parametrize("part", sorted(SHARED))
def test_what_all_stages_share_imports_none_of_them(part: str) -> None:
    found = {(path.name, name) for path in _modules(part) for name in _imports(path) if name in _parts()}
    assert {entry for entry in found if entry[1] not in SHARED} == set()


def test_nothing_but_the_command_knows_that_an_index_can_be_served() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] != "serve" and "serve" in set(_imports(path))
    }
    assert found == {"cli/serve.py"}


def test_serving_asks_the_online_half_alone_and_knows_captioners_by_their_type() -> None:
    allowed = {"bundle", "catalog", "info", "new_photo", "recommend", "serve", "store", *SHARED}
    found = {(path.name, part) for path in _modules("serve") for part in _imports(path) if part in _parts()}
    others = {entry for entry in found if entry[1] not in allowed}
    by_type = {(name, "grounding") for name in ("__init__.py", "endpoints.py", "running.py")}
    assert others == {*by_type, ("naming.py", "demo")}  # how the files of a demo are called


def test_shards_put_stages_together_and_only_the_commands_know_of_them() -> None:
    found = {
        path.relative_to(PACKAGE).parts[0]
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] != "shards" and "shards" in set(_imports(path))
    }
    assert found == {"cli"}
    later = {"batch", "bundle", "cli", "evaluation", "info", "interchange", "learning", "recommend", "serve"}
    used = {(path.name, part) for path in _modules("shards") for part in _imports(path) if part in later}
    assert used == set()


def test_sql_is_written_in_the_store_alone() -> None:
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] != "store":
            texts = [node.value for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if _is_text(node)]
            found = [
                text for text in texts if text.lstrip().startswith(("SELECT ", "INSERT ", "UPDATE ", "DELETE FROM"))
            ]
            assert found == [], path


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_only_what_opens_or_writes_a_table_knows_of_lancedb() -> None:
    """And it is imported there in functions alone, so that a folder is opened without it."""
    asking = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] != "lance" and "lance" in set(_imports(path))
    }
    assert asking == {"info.py", "interchange/export.py", "recommend/source.py", "shards/table.py"}
    for name in asking:
        tree = ast.parse((PACKAGE / name).read_text(encoding="utf-8"))
        at_the_top = [node.module for node in tree.body if isinstance(node, ast.ImportFrom) and node.module]
        assert not [module for module in at_the_top if module.startswith("vlm4rec_edge.lance")]


def test_a_table_is_read_and_written_without_captions_and_texts() -> None:
    allowed = {"index", "lance", "recommend", *SHARED}
    found = {(path.name, part) for path in _modules("lance") for part in _imports(path) if part in _parts()}
    assert {entry for entry in found if entry[1] not in allowed} == set()


def test_the_online_half_shares_the_store_and_the_types_and_never_captions() -> None:
    """Of encoding it knows how to open and ask an encoder for a text that is looked for, and which text an item is."""
    of_encoding = set()
    for stage in ("index", "recommend", "batch"):
        for path in _modules(stage):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module:
                    assert not node.module.startswith("vlm4rec_edge.grounding"), path
                    if node.module.startswith("vlm4rec_edge.encoding."):
                        of_encoding.add(node.module.rpartition(".")[2])
    assert of_encoding <= {"checked", "opening", "protocol", "text"}
