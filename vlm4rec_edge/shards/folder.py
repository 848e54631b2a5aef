"""The folder of a catalog in shards: what lies where in it, and its plan.

- ``plan.json``, and in ``plan/`` one Parquet file a shard with the rows that it is made of.
- ``models.json``: what makes the captions and vectors; written by the first run.
- ``output/``: one Parquet file for each shard that is done, named by the fingerprint of its rows and of what made it.
- ``running/``: a folder for each shard that was begun and is not done: its lock, what it tried, its unfinished index.

Nothing else is known of a run: whoever starts one again looks for the files of ``output``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vlm4rec_edge.atomic import atomic_path
from vlm4rec_edge.errors import StoreError, UsageError

# Of the files of this folder; another one is refused.
VERSION = 1
PLAN_NAME, MODELS_NAME = "plan.json", "models.json"
PLAN_FOLDER, OUTPUT_FOLDER, RUNNING_FOLDER = "plan", "output", "running"
_SHOWN = 16
_OUTPUT = re.compile(r"\d+-([0-9a-f]{16})\.parquet")


class DamagedError(StoreError):
    """A document of the folder is not what was written."""


@dataclass(frozen=True)
class Shard:
    """A part of a catalog.

    Attributes:
        index: Its number, from 0; it changes when shards are added before it.
        fingerprint: The sha256 (hex) of its rows, by which it is known.
        rows: How many rows its file has: items, and what of the catalog could not be used.
        items: How many of them are items; rows of a duplicate id are counted too.
        replaces: Fingerprints of the shards of an earlier plan that held about the same items.
    """

    index: int
    fingerprint: str
    rows: int
    items: int
    replaces: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the file with its rows."""
        return f"{self.index:05}-{self.fingerprint[:_SHOWN]}.parquet"

    def output_name(self, made_by: str) -> str:
        """Return the name of its output, made by what has the fingerprint ``made_by``."""
        return f"{self.index:05}-{output_key(self.fingerprint, made_by)}.parquet"


@dataclass(frozen=True)
class Plan:
    """How a catalog is divided.

    Attributes:
        catalog: Where it was read from.
        rows: The most rows of a shard.
        package: Version of this package that planned it.
        columns: The attribute columns of the catalog; None where each row speaks for itself.
        named: How the columns of its table were named, if they were.
        addresses: How many photos are named by an address (``https://``, ``s3://``) and have to be fetched.
        shards: Its shards, in the order of the catalog.
    """

    catalog: str
    rows: int
    package: str
    columns: tuple[str, ...] | None
    named: Mapping[str, Any] | None
    addresses: int
    shards: tuple[Shard, ...]

    @property
    def items(self) -> int:
        """How many items there are, rows of duplicate ids among them."""
        return sum(shard.items for shard in self.shards)

    def chosen(self, indexes: Iterable[int] | None) -> list[Shard]:
        """Return the shards of these numbers, each once; all of them where none is named.

        Raises:
            UsageError: there is no such shard.
        """
        if indexes is None:
            return list(self.shards)
        wanted: dict[int, Shard] = {}
        for index in indexes:  # a range may be longer than the memory
            if not 0 <= index < len(self.shards):
                raise UsageError(f"There is no shard {index}; the plan has shards 0 to {len(self.shards) - 1}.")
            wanted[index] = self.shards[index]
        return list(wanted.values())


def output_key(rows: str, made_by: str) -> str:
    """Return what an output is known by: 16 hex digits of the sha256 of the fingerprints of its rows and its models."""
    return hashlib.sha256(f"{VERSION}\n{rows}\n{made_by}".encode()).hexdigest()[:_SHOWN]


def outputs(folder: Path) -> dict[str, Path]:
    """Return the files of ``output`` by the key in their names; whether they are whole is for others to find."""
    try:
        paths = sorted((folder / OUTPUT_FOLDER).iterdir())
    except FileNotFoundError:
        return {}
    return {match[1]: path for path in paths if (match := _OUTPUT.fullmatch(path.name))}


def running_place(folder: Path, shard: Shard, made_by: str) -> Path:
    """Return the folder of a shard that was begun and is not done."""
    return folder / RUNNING_FOLDER / output_key(shard.fingerprint, made_by)


def write_plan(folder: Path, plan: Plan) -> None:
    """Put a plan in the place of the one before, whole or not at all."""
    write_document(folder / PLAN_NAME, {"version": VERSION, **asdict(plan)})


def read_plan(folder: Path) -> Plan:
    """Return the plan of a folder.

    Raises:
        StoreError: there is none, or it is of another version.
        DamagedError: it is damaged.
    """
    path = folder / PLAN_NAME
    if not path.is_file():
        raise StoreError(f"There is no plan at {folder}; make one: vlm4rec-edge shard plan CATALOG --out {folder}")
    document = read_document(path, f"run `vlm4rec-edge shard plan` into {folder} again")
    try:
        columns, shards = document.pop("columns"), document.pop("shards")
        return Plan(
            columns=None if columns is None else tuple(columns),
            shards=tuple(Shard(**{**shard, "replaces": tuple(shard["replaces"])}) for shard in shards),
            **document,
        )
    except (KeyError, TypeError) as error:
        raise DamagedError(
            f"{path} is damaged ({error}); run `vlm4rec-edge shard plan` into {folder} again."
        ) from error


def write_document(path: Path, document: Any) -> None:
    """Write a JSON document, whole or not at all.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as part:
            part.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror or error}.") from error


def read_document(path: Path, remedy: str) -> dict[str, Any]:
    """Return a JSON document of this folder, without its version.

    Raises:
        StoreError: it cannot be read, or is of another version.
        DamagedError: it is no document.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        version = document.pop("version")
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror or error}); check its permissions.") from error
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise DamagedError(f"{path} cannot be read ({error}); {remedy}.") from error
    if version != VERSION:
        raise StoreError(f"{path} has version {version}, this vlm4rec-edge reads {VERSION}; use the one that made it.")
    return dict(document)
