"""A group of options is the options that are its fields, and reaches the command as one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer
from typer.testing import CliRunner

from vlm4rec_edge.cli.groups import given, grouped


@dataclass(frozen=True)
class Size:
    """A group."""

    width: Annotated[int | None, typer.Option(min=1, help="How wide.")] = None
    sides: Annotated[list[str] | None, typer.Option("--side", help="Which sides.")] = None
    deep: Annotated[bool, typer.Option("--deep", help="Whether deep.")] = False


seen: list[tuple[str, Size, int]] = []


@grouped
def draw(
    name: Annotated[str, typer.Argument(help="What.")], size: Size, k: Annotated[int, typer.Option("-k")] = 3
) -> None:
    """Draw something."""
    seen.append((name, size, k))


def _run(*arguments: str) -> str:
    app = typer.Typer()
    app.command("draw")(draw)
    done = CliRunner().invoke(app, arguments)
    return f"{done.exit_code} {done.output}"


def test_options_of_a_group_are_options_of_the_command() -> None:
    assert _run("box", "--width", "4", "--side", "a", "--side", "b", "--deep", "-k", "5").startswith("0 ")
    assert seen.pop() == ("box", Size(4, ["a", "b"], True), 5)
    assert _run("box").startswith("0 ")
    name, size, k = seen.pop()
    assert (name, size.width, size.deep, k) == ("box", None, False, 3)
    assert _run("box", "--width", "0").startswith("2 ")


def test_help_shows_them_with_the_text_of_the_command() -> None:
    shown = _run("--help")
    for part in ("Draw something.", "--width", "How wide.", "--side", "--deep"):
        assert part in shown


def test_what_was_given_is_what_has_a_value() -> None:
    assert given(Size(width=4)) == {"width": 4, "deep": False}
