"""Ask before something is done that costs much or is hard to undo."""

from __future__ import annotations

import sys

import typer

from vlm4rec_edge.cli.output import printable


def agreed(question: str) -> bool:
    """Whether a user at a terminal confirms; without a terminal the answer is no."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    try:
        return typer.confirm(printable(question), default=False, err=True)
    except typer.Abort:  # Ctrl-C, or the end of the input: no yes
        typer.echo(err=True)
        return False
