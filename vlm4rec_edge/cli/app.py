"""The ``vlm4rec-edge`` program: its commands, and how errors end it."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import vlm4rec_edge
from vlm4rec_edge.cli import bundle, offline, online, upkeep
from vlm4rec_edge.cli.demo import demo
from vlm4rec_edge.cli.evaluate import evaluate
from vlm4rec_edge.cli.export import export
from vlm4rec_edge.cli.info import info
from vlm4rec_edge.cli.interrupt import hear_ctrl_c
from vlm4rec_edge.cli.models import models_app
from vlm4rec_edge.cli.output import emit_json, note
from vlm4rec_edge.errors import Vlm4RecError

EXIT_INTERRUPTED = 130


class _Program(TyperGroup):
    """The group of all commands; an error of ours ends any of them as a sentence, never as a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Vlm4RecError as error:
            raise _ended(type(error).__name__, str(error), error.exit_code) from None
        except KeyboardInterrupt:
            note("Stopped.")
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except BrokenPipeError:  # the reader of our output has gone, `| head` for example
            _drop_output()
            raise typer.Exit(0) from None
        except OSError as error:  # a full disk, a place that may not be written: not ours to foresee everywhere
            if error.filename is None:  # then it is our own output that can not be written
                _drop_output()
            place = error.filename or "The output"
            raise _ended(type(error).__name__, f"{place} can not be used: {error.strerror or error}.", 1) from None


def _drop_output() -> None:
    with suppress(OSError):  # it may be closed already
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _ended(kind: str, message: str, code: int) -> typer.Exit:
    """Say why a command ends, to people and, if they asked for it, to programs."""
    if "--json" in sys.argv:
        emit_json({"error": {"kind": kind, "message": message}})
    note(f"Error: {message}")
    return typer.Exit(code)


app = typer.Typer(
    name="vlm4rec-edge",
    cls=_Program,
    help="Recommend from product photos, offline, on one ordinary machine.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help starts in half the time
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 done; 1 not possible (the reason is on stderr); 2 wrong usage; 3 done, but some items were left "
    "out; 130 stopped with Ctrl-C, finished work kept.",
)
app.command("index")(offline.index)
app.command("recommend")(online.recommend)
app.command("similar")(online.similar)
app.command("search")(online.search)
app.command("caption")(offline.caption)
app.command("info")(info)
app.command("evaluate")(evaluate)
app.command("add")(upkeep.add)
app.command("remove")(upkeep.remove)
app.command("verify")(upkeep.verify)
app.command("repair")(upkeep.repair)
app.command("bundle")(bundle.bundle)
app.command("patch")(bundle.patch)
app.command("export")(export)
app.command("demo")(demo)
app.add_typer(models_app, name="models")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(vlm4rec_edge.__version__)
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the program and exit with its code."""
    _steady_streams()
    hear_ctrl_c()
    app()


def _steady_streams() -> None:
    """Let output be closed, or in a narrow character set: neither is a reason to end with a traceback."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, io.StringIO())
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
