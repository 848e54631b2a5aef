"""How a benchmark is started from a terminal, with plain help: square brackets in it are no markup."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer


def plain_program(about: str | None = None) -> typer.Typer:
    """Return a program without commands yet; ``about`` is its help."""
    return typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, help=about)


def run_plain(main: Callable[..., Any]) -> None:
    """Run the one command that a benchmark is."""
    program = plain_program()
    program.command()(main)
    program()
