"""``vlm4rec-edge models``: list, pull, verify and find models.

Their ``--json`` documents are described in ``vlm4rec_edge/documents``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import typer

from vlm4rec_edge.cli.options import AsJson

models = typer.Typer(
    help="List, pull, verify and find vision-language models and text encoders.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


_NOT_RUN = "Not run by this project"


@models.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the models known by name, whether this machine has them, and the plug-ins of installed packages.

    `fits` shows whether the memory that a model needs is free now. The time of 1,000 photos is for the cores of this machine,
    without a graphics card, and photos of 1,024 pixels; with ~ it is an estimate from the model's operations. `Not run by
    this project`: we have never tested the model; --json holds figures that others published.

    \b
    Example:
      vlm4rec-edge models list
      vlm4rec-edge models list --json
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge import known_models as known
    from vlm4rec_edge.cli.output import emit_json, note, table
    from vlm4rec_edge.plugins import installed_plugins

    plugins = installed_plugins()
    rows = [model.to_dict() for model in known.list_models()]
    if as_json:
        emit_json({"models": rows, "plugins": [plugin.to_dict() for plugin in plugins]})
        return
    _tables(rows)
    if plugins:
        kinds = {"captioners": "captioner", "encoders": "encoder", "indexes": "index back end"}
        listed = [[plugin.name, kinds[plugin.group], plugin.package, plugin.value] for plugin in plugins]
        table("Plug-ins of installed packages", ["name", "kind", "package", "made by"], listed)
    for plugin in plugins:
        if plugin.problem:
            note(plugin.problem)


def _tables(rows: list[dict[str, Any]]) -> None:
    from vlm4rec_edge.cli.output import table

    for kind, title in (("lvlm", "Vision-language models"), ("encoder", "Text encoders")):
        own = [row for row in rows if row["kind"] == kind]
        columns = ["name", "state", "MB", "memory MB", "fits", *(["1,000 photos"] if kind == "lvlm" else [])]
        table(title, columns, [_cells(row)[: len(columns)] for row in own], [_about(row) for row in own])


def _cells(row: Mapping[str, Any]) -> list[str]:
    return [
        row["name"],
        row["state"],
        f"{'~' if row['approximate_size'] else ''}{row['size_mb']:.0f}",
        "" if row["memory_mb"] is None else f"{row['memory_mb']}",
        {True: "yes", False: "no", None: ""}[row["fits"]],
        _time_of(row["hours_per_1000_photos"], row["hours_from"]),
    ]


def _about(row: Mapping[str, Any]) -> str:
    """Return what stands below a model's row, which leaves the row short enough for 80 columns."""
    license_name = row["license"].removeprefix("LicenseRef-")
    sentences = (row["description"], f"License: {license_name}.", f"{_NOT_RUN}." if row["was_run"] is False else "")
    return " ".join(filter(None, sentences))


def _time_of(hours: float | None, hours_from: str | None) -> str:
    """Return a time as a column shows it, in the unit that fits it."""
    if hours is None:
        return ""
    about = "~" if hours_from == "estimated" else ""
    for value, unit in ((hours / 24, "days"), (hours, "h"), (hours * 60, "min")):
        if value >= 2:
            return f"{about}{value:.0f} {unit}"
    return f"{about}{hours * 3600:.0f} s"


@models.command()
def pull(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name of `vlm4rec-edge models list`.")],
    offline: Annotated[
        bool, typer.Option("--offline", help="Do not use the network: only check what is there.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Download a model from the Hugging Face hub, check every file, and print where it is.

    An interrupted download continues when the same command runs again. A model counts as pulled only when every checksum
    is right. Models are kept in the folder VLM4REC_EDGE_HOME, or else in the platform's cache folder. For SmolVLM and Gemma 3
    the vision encoder is then made into an ONNX graph, which encodes photos several times faster on a CPU, and compared with
    llama.cpp's own.

    \b
    Example:
      vlm4rec-edge models pull smolvlm-256m-instruct
      vlm4rec-edge models pull bge-small-en-v1.5 --offline
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.cli.output import emit_json, note
    from vlm4rec_edge.grounding.vision.graph_file import NotCovered
    from vlm4rec_edge.pulling import pull_model

    pulled = pull_model(name, offline=offline, progress=not as_json and sys.stderr.isatty(), note=note)
    if isinstance(pulled.graph, NotCovered):
        note(f"llama.cpp's own vision encoder is used: {pulled.graph.reason}.")
    if as_json:
        emit_json(pulled.to_dict())
    else:
        typer.echo(f"{pulled.name} is complete and verified in {pulled.folder}")


@models.command()
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME...]", help="Names or folders of models. Default: all models of this machine."),
    ] = None,
    golden: Annotated[
        bool, typer.Option("--golden", help="Run each model too, and compare its outputs with those of its export.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare every file with the sha256 in its manifest; the exit code is 1 if one differs.

    \b
    Example:
      vlm4rec-edge models verify --golden
      vlm4rec-edge models verify stylist-lvlm ./my-exported-encoder
    """  # noqa: D301 (click reads the control character)
    from rich.console import Console

    from vlm4rec_edge.cli.output import emit_json, note, table
    from vlm4rec_edge.known_models import check_model, model_folder
    from vlm4rec_edge.models.installed import installed

    chosen = {name: model_folder(name) for name in names} if names else installed()
    checks = []
    with Console(stderr=True).status("") as status:
        for name, folder in chosen.items():
            status.update(f"Checking {name}")
            checks.append(replace(check_model(folder, golden=golden), name=name))
    if as_json:
        emit_json({"models": [check.to_dict() for check in checks]})
    else:
        rows = [[check.name, "ok" if check.ok else "damaged", check.folder] for check in checks]
        table("Models of this machine", ["name", "result", "folder"], rows)
        for check in checks:
            if check.problem:
                note(check.problem)
    if not all(check.ok for check in checks):
        raise typer.Exit(code=1)


@models.command()
def path(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of an embedded or pulled model.")],
    as_json: AsJson = False,
) -> None:
    """Print the folder of a model.

    \b
    Example:
      vlm4rec-edge models path stylist-lvlm
      ls "$(vlm4rec-edge models path all-minilm-l6-v2)"
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.cli.output import emit_json
    from vlm4rec_edge.known_models import model_folder
    from vlm4rec_edge.models.manifest import read_manifest

    folder = model_folder(name)
    if as_json:
        files = {role: str(folder / file.name) for role, file in read_manifest(folder).files.items()}
        emit_json({"name": folder.name, "folder": str(folder), "files": files})
    else:
        typer.echo(str(folder))
