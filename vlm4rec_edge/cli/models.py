"""``vlm4rec-edge models``: list, pull, verify and find models.

The documents of ``--json`` (a field may be added, none is renamed or removed):

- ``list``: ``{"models": [{"name", "kind", "state", "description", "license", "repository", "revision",
"size_mb",
  "approximate_size", "memory_mb", "quantization", "folder"}]}``; ``state`` is ``embedded``, ``pulled``,
  ``absent`` or ``own`` (not of the registry); ``folder`` is null where absent; ``memory_mb`` is null where
  it is not known.
- ``pull``: ``{"name", "folder"}`` - ``verify``: ``{"models": [{"name", "folder", "ok", "problem"}]}``;
``problem`` is null where ``ok``. - ``path``: ``{"name", "folder", "files"}``; ``files`` maps each role
(text, projector; model, tokenizer) to its path.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlm4rec_edge.cli.options import AsJson

if TYPE_CHECKING:
    from vlm4rec_edge.models.manifest import Manifest

models = typer.Typer(
    help="List, pull, verify and find vision-language models and text encoders.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@models.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the models known by name, and whether this machine has them.

    \b
    Example:
      vlm4rec-edge models list
      vlm4rec-edge models list --json
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.cli.output import emit_json, table

    rows = _rows()
    if as_json:
        emit_json({"models": rows})
        return
    for kind, title in (("lvlm", "Vision-language models"), ("encoder", "Text encoders")):
        table(
            title,
            ["name", "state", "MB", "memory MB", "license", "what it is"],
            [
                [
                    row["name"],
                    row["state"],
                    f"{'~' if row['approximate_size'] else ''}{row['size_mb']:.0f}",
                    "" if row["memory_mb"] is None else f"{row['memory_mb']}",
                    row["license"],
                    row["description"],
                ]
                for row in rows
                if row["kind"] == kind
            ],
        )


@models.command()
def pull(
    name: Annotated[str, typer.Argument(help="A name of `vlm4rec-edge models list`.")],
    offline: Annotated[bool, typer.Option("--offline", help="Forbid the network: only look and check.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch a model from the Hugging Face hub, check every file, and say where it lies.

    What broke off continues where it stopped when the same command runs again. Nothing counts as pulled
    before every checksum fits. Models lie in VLM4REC_EDGE_HOME (else the platform's cache folder).

    \b
    Example:
      vlm4rec-edge models pull smolvlm-256m-instruct
      vlm4rec-edge models pull bge-small-en-v1.5 --offline
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.cli.output import emit_json
    from vlm4rec_edge.models import hub

    folder = hub.pull(name, offline=offline, progress=not as_json and sys.stderr.isatty())
    if as_json:
        emit_json({"name": folder.name, "folder": str(folder)})
    else:
        typer.echo(f"{folder.name} is whole and checked in {folder}")


@models.command()
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Names or model folders; without any, all models of this machine."),
    ] = None,
    golden: Annotated[
        bool, typer.Option("--golden", help="Also run each model, and compare with the outputs it was exported with.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare every file with the sha256 in its manifest; exit code 1 if one differs.

    \b
    Example:
      vlm4rec-edge models verify --golden
      vlm4rec-edge models verify stylist-lvlm ./my-exported-encoder
    """  # noqa: D301 (click reads the control character)
    from rich.console import Console

    from vlm4rec_edge.cli.output import emit_json, note, table
    from vlm4rec_edge.models.installed import installed

    chosen = {name: _folder(name) for name in names} if names else installed()
    results: list[dict[str, Any]] = []
    with Console(stderr=True).status("") as status:
        for name, folder in chosen.items():
            status.update(f"Checking {name}")
            problem = _problem(folder, golden=golden)
            results.append({"name": name, "folder": str(folder), "ok": problem is None, "problem": problem})
    if as_json:
        emit_json({"models": results})
    else:
        rows = [[row["name"], "ok" if row["ok"] else "damaged", row["folder"]] for row in results]
        table("Models of this machine", ["name", "result", "folder"], rows)
        for row in results:
            if not row["ok"]:
                note(row["problem"])
    if not all(row["ok"] for row in results):
        raise typer.Exit(code=1)


@models.command()
def path(
    name: Annotated[str, typer.Argument(help="An embedded or pulled model.")],
    as_json: AsJson = False,
) -> None:
    """Print the folder of a model.

    \b
    Example:
      vlm4rec-edge models path stylist-lvlm
      ls "$(vlm4rec-edge models path all-minilm-l6-v2)"
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.cli.output import emit_json
    from vlm4rec_edge.models.manifest import read_manifest

    folder = _folder(name)
    if as_json:
        files = {role: str(folder / file.name) for role, file in read_manifest(folder).files.items()}
        emit_json({"name": folder.name, "folder": str(folder), "files": files})
    else:
        typer.echo(str(folder))


def _folder(name: str) -> Path:
    """Return the folder of a model of this machine, or the model folder that ``name`` is the path of."""
    from vlm4rec_edge.errors import ModelError
    from vlm4rec_edge.models.installed import installed, not_installed
    from vlm4rec_edge.models.manifest import MANIFEST_NAME
    from vlm4rec_edge.models.registry import registry
    from vlm4rec_edge.models.resolve import unknown_name

    present = installed()
    if folder := present.get(name) or present.get(name.lower()):
        return folder
    if (Path(name) / MANIFEST_NAME).is_file():
        return Path(name)
    if entry := registry().get(name.lower()):
        raise not_installed(entry)
    raise ModelError(f"There is no model {name!r}; {unknown_name(name, [*registry(), *present])}")


def _problem(folder: Path, *, golden: bool) -> str | None:
    """Run all checks of one model folder and return what is wrong, or None."""
    from vlm4rec_edge.errors import ModelError
    from vlm4rec_edge.models.manifest import read_manifest

    try:
        check = _check_lvlm if read_manifest(folder).kind == "lvlm" else _check_encoder
        check(folder, golden=golden)
    except ModelError as error:
        return str(error)
    return None


def _check_lvlm(folder: Path, *, golden: bool) -> None:
    from vlm4rec_edge.models.golden import check_captions
    from vlm4rec_edge.models.resolve import resolve_lvlm

    files = resolve_lvlm(str(folder.absolute()))
    if golden and files.manifest and files.manifest.golden_captions:
        from vlm4rec_edge.grounding.isolated import IsolatedCaptioner

        with IsolatedCaptioner(files, device="cpu", batch=1) as captioner:
            check_captions(files.manifest, folder, captioner.caption_file)


def _check_encoder(folder: Path, *, golden: bool) -> None:
    from vlm4rec_edge.models.golden import check_vectors
    from vlm4rec_edge.models.resolve import resolve_encoder

    files = resolve_encoder(str(folder.absolute()))
    if golden and files.manifest and files.manifest.golden_vectors:
        from vlm4rec_edge.encoding.encoder import Encoder

        with Encoder(files, device="cpu") as encoder:
            check_vectors(files.manifest, encoder.encode)


def _rows() -> list[dict[str, Any]]:
    from vlm4rec_edge.errors import ModelError
    from vlm4rec_edge.models.installed import installed
    from vlm4rec_edge.models.manifest import read_manifest
    from vlm4rec_edge.models.registry import registry

    present = installed()
    rows: list[dict[str, Any]] = []
    for entry in registry().values():
        folder = present.pop(entry.name, None)
        rows.append(
            {
                "name": entry.name,
                "kind": entry.kind,
                "state": "absent" if folder is None else "embedded" if entry.embedded else "pulled",
                "description": entry.description,
                "license": entry.license,
                "repository": entry.repository,
                "revision": entry.revision,
                "size_mb": round(entry.size_mb, 1),
                "approximate_size": entry.approximate_size,
                "memory_mb": entry.memory_mb,
                "quantization": entry.quantization,
                "folder": None if folder is None else str(folder),
            }
        )
    for folder in present.values():
        # One damaged folder must not hide the others; `verify` names it.
        with suppress(ModelError):
            rows.append(_own_row(read_manifest(folder), folder))
    return rows


def _own_row(manifest: Manifest, folder: Path) -> dict[str, Any]:
    return {
        "name": folder.name,
        "kind": manifest.kind,
        "state": "own",
        "description": "",
        "license": manifest.license,
        "repository": manifest.source.repository,
        "revision": manifest.source.revision,
        "size_mb": round(sum(file.size for file in manifest.files.values()) / 1e6, 1),
        "approximate_size": False,
        "memory_mb": None,
        "quantization": manifest.quantization,
        "folder": str(folder),
    }
