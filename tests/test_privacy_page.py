"""The page on privacy says what the code says: who is spoken to, and where files are written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vlm4rec_edge import privacy
from vlm4rec_edge.quiet import VARIABLES

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "explanation" / "privacy.md").read_text(encoding="utf-8")


def _rows(speakers: Sequence[privacy.Speaker], before: str = "") -> list[str]:
    return [f"| `{before}{one.command}` | {one.when} | {one.to} | {one.sends} | {one.purpose} |" for one in speakers]


def _table_after(heading: str) -> list[str]:
    """Return the rows of the first table after a line of the page, without its two lines of heading."""
    rest = PAGE.partition(heading)[2].splitlines()
    first = next(number for number, line in enumerate(rest) if line.startswith("|"))
    length = next(number for number, line in enumerate(rest[first:]) if not line.startswith("|"))
    return rest[first : first + length][2:]


def test_the_page_lists_the_commands_that_speak() -> None:
    assert _table_after("## Commands that use the network") == _rows(privacy.COMMANDS, "vlm4rec-edge ")


def test_the_page_lists_the_scripts_that_speak_and_they_are_there() -> None:
    assert _table_after("Scripts of the repository") == _rows(privacy.SCRIPTS)
    assert all((ROOT / one.command).is_file() for one in privacy.SCRIPTS)


def test_the_page_lists_the_places_where_files_are_written() -> None:
    assert _table_after("## Where files are written") == [
        f"| {one.path} | {one.by} | {one.holds} |" for one in privacy.PLACES
    ]


def test_the_page_and_the_readme_name_the_test_and_the_variables() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"{variable}=1" in PAGE for variable in VARIABLES.values())
    for text in (PAGE, readme):
        assert "tests/test_nothing_leaves.py" in text
    assert (ROOT / "tests" / "test_nothing_leaves.py").is_file()
