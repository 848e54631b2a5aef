"""The ``vlm4rec-edge`` program: its commands, and how errors end it."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from typing import Annotated, Any, cast

import typer
from typer.core import TyperGroup

import vlm4rec_edge
from vlm4rec_edge.cli import EXIT_INTERRUPTED
from vlm4rec_edge.cli.options import AS_JSON
from vlm4rec_edge.cli.output import emit_json, note
from vlm4rec_edge.errors import Vlm4RecError, Vlm4RecWarning

# The module of each command, a function of the same name in it; in the order of the help.
_HOMES = {
    "index": "offline",
    "recommend": "online",
    "similar": "online",
    "search": "online",
    "caption": "offline",
    "info": "info",
    "items": "items",
    "serve": "serve",
    "evaluate": "evaluate",
    "learn": "learn",
    "add": "upkeep",
    "remove": "upkeep",
    "verify": "upkeep",
    "repair": "upkeep",
    "bundle": "bundle",
    "patch": "bundle",
    "export": "export",
    "demo": "demo",
    "doctor": "doctor",
    "models": "models",
    "shard": "shard",
}


# What typer raises where a command is written wrongly; itself it is not among its public names.
_WrongUsage = cast("type[Exception]", typer.BadParameter.__base__)
# Options by the names they had.
_FORMER_OPTIONS = {"--encode": "--encoded-text", "--image-size": "--max-side"}
# Under this name a context holds those that were typed.
_FORMER_GIVEN = "vlm4rec_edge.former_options"


class _Program(TyperGroup):
    """The group of all commands; an error of ours ends any of them as a sentence, never as a traceback."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line, with options by their former names too."""
        end = args.index("--") if "--" in args else len(args)
        ctx.meta[AS_JSON] = any(argument.partition("=")[0] == "--json" for argument in args[:end])
        for place, argument in enumerate(args[:end]):
            name, equals, value = argument.partition("=")
            if name in _FORMER_OPTIONS:
                args[place] = _FORMER_OPTIONS[name] + equals + value
                ctx.meta.setdefault(_FORMER_GIVEN, []).append(name)
        try:
            return super().parse_args(ctx, args)
        except _WrongUsage as error:
            _tell_wrong_usage(ctx, error)
            raise

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except _WrongUsage as error:
            _tell_wrong_usage(ctx, error)
            raise
        except Vlm4RecError as error:
            raise _ended(ctx, type(error).__name__, str(error), error.exit_code) from None
        except KeyboardInterrupt:
            note("Stopped.")
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except BrokenPipeError:  # the reader of our output has gone, `| head` for example
            _drop_output()
            raise typer.Exit(0) from None
        except OSError as error:  # a full disk, a place that may not be written: not ours to foresee everywhere
            place = error.filename or "The output"  # of which file, a failed write does not say
            raise _ended(ctx, type(error).__name__, f"{place} cannot be used: {error.strerror or error}.", 1) from None


def _tell_wrong_usage(context: typer.Context, error: Any) -> None:
    """Say to programs what typer says to people, once this returns; both by the names of options that were typed."""
    message = error.format_message()
    for former in context.meta.get(_FORMER_GIVEN, ()):
        message = message.replace(_FORMER_OPTIONS[former], former)
    error.format_message = lambda: message
    if context.meta.get(AS_JSON):
        emit_json({"error": {"kind": "UsageError", "message": message}})


def _drop_output() -> None:
    with suppress(OSError):  # it may be closed already
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _ended(context: typer.Context, kind: str, message: str, code: int) -> typer.Exit:
    """Say why a command ends, to people and, if they asked for it, to programs."""
    try:
        if context.meta.get(AS_JSON):
            emit_json({"error": {"kind": kind, "message": message}})
        sys.stdout.flush()
    except OSError:  # then it is our own output that cannot be written
        _drop_output()
    note(f"Error: {message}")
    return typer.Exit(code)


def make_app(names: Iterable[str] = tuple(_HOMES)) -> typer.Typer:
    """Return the program with these commands; to import and to describe them all takes longer than most of them run."""
    app = typer.Typer(
        name="vlm4rec-edge",
        cls=_Program,
        help="Recommend from product photos, offline, on one ordinary machine.",
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        rich_markup_mode=None,  # plain help starts in half the time
        pretty_exceptions_enable=False,
        epilog="Exit codes: 0 done; 1 not possible (the reason is on stderr); 2 wrong usage; 3 done, but some items were left "
        "out; 130 stopped with Ctrl-C, and finished work is kept.",
    )
    app.callback()(_program)
    for name in names:
        command = getattr(import_module(f"vlm4rec_edge.cli.{_HOMES[name]}"), name)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(vlm4rec_edge.__version__)
        raise typer.Exit


def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def run() -> None:
    """Run the program and exit with its code."""
    _steady_streams()
    _print_warnings()
    asked = sys.argv[1:2]
    app = make_app(asked) if _HOMES.keys() & asked else make_app()
    app()


def _print_warnings() -> None:
    """Print our own warnings as sentences, each once; those of other packages stay as Python handles them."""
    warnings.simplefilter("once", Vlm4RecWarning)
    show = warnings.showwarning

    def show_ours(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, Vlm4RecWarning):
            note(f"Note: {message}")
        else:
            show(message, category, *where, **more)

    warnings.showwarning = show_ours


def _steady_streams() -> None:
    """Let output be closed, or in a narrow character set: neither is a reason to end with a traceback."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, io.StringIO())
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
