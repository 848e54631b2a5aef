"""How far the shards of a folder are, by its files alone: no model is opened, and nothing is changed."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vlm4rec_edge.given import path_of
from vlm4rec_edge.shards.attempts import Tried, tried
from vlm4rec_edge.shards.folder import Shard, output_key, outputs, read_plan, running_place
from vlm4rec_edge.shards.making import ShardMaking, noted_making
from vlm4rec_edge.shards.one_shard import outputs_of, trouble_of_output
from vlm4rec_edge.shards.output import read_note


@dataclass(frozen=True)
class OpenShard:
    """A shard that is not done.

    ``attempts`` is how often it was begun, ``reason`` why the last time ended, or why the file in its place is no output;
    ``running`` the process that works on it now. Both are empty where there is nothing to say.
    """

    index: int
    rows: int
    attempts: int
    reason: str
    running: str


@dataclass(frozen=True)
class ShardStatus:
    """How far the shards of a folder are.

    Attributes:
        folder, catalog: The folder, and what was planned.
        shards, items: What is planned: shards, and items in them, rows of duplicate ids among them.
        done: How many shards have their output.
        items_done: Items in these.
        missing: Those that have none, and were never begun or were stopped.
        running: Those that a process works on.
        failed: Those whose last attempt failed.
        superseded: Outputs of an earlier plan, from which captions are taken.
        failures: How much of the catalog could not be used in the shards that are done, by stage.
        models: The models that make the captions and vectors; empty before the first run.
        bytes: What the outputs take.
    """

    folder: Path
    catalog: str
    shards: int
    items: int
    done: int
    items_done: int
    missing: tuple[OpenShard, ...]
    running: tuple[OpenShard, ...]
    failed: tuple[OpenShard, ...]
    superseded: int
    failures: dict[str, int]
    models: str
    bytes: int

    @property
    def is_complete(self) -> bool:
        """Whether every shard is done."""
        return self.done == self.shards

    def to_dict(self) -> dict[str, Any]:
        """Return the document that ``shard status --json`` prints."""
        lists = {name: [asdict(one) for one in getattr(self, name)] for name in ("missing", "running", "failed")}
        return {**asdict(self), "folder": str(self.folder), **lists}


def shard_status(folder: Path | str, *, verify: bool = False) -> ShardStatus:
    """Return how far the shards of a folder are.

    Args:
        folder: What ``plan_shards`` made.
        verify: Whether to read all of every output, rather than what it says of itself.

    Raises:
        StoreError: there is no plan.
        MissingDependencyError: pyarrow is not installed.
    """
    place = path_of(folder, "A folder of shards")
    plan, making = read_plan(place), noted_making(place)
    there = outputs_of(place, plan.shards, making) if making else {}
    done = items = size = 0
    failures: Counter[str] = Counter()
    open_shards: list[OpenShard] = []
    for shard in plan.shards:
        path = there.get(shard.index)
        trouble = "" if path is None or making is None else trouble_of_output(path, shard, making, verify=verify)
        if path is not None and not trouble:
            note = read_note(path)
            done += 1
            items += note.items
            size += path.stat().st_size
            failures.update(failure.stage for failure in note.failures)
        else:
            open_shards.append(_open_shard(place, shard, making, trouble))
    return ShardStatus(
        folder=place,
        catalog=plan.catalog,
        shards=len(plan.shards),
        items=plan.items,
        done=done,
        items_done=items,
        missing=tuple(one for one in open_shards if not one.running and not one.reason),
        running=tuple(one for one in open_shards if one.running),
        failed=tuple(one for one in open_shards if one.reason and not one.running),
        superseded=_superseded(place, plan.shards, making),
        failures=dict(sorted(failures.items())),
        models=making.names if making else "",
        bytes=size,
    )


def _open_shard(folder: Path, shard: Shard, making: ShardMaking | None, trouble: str) -> OpenShard:
    found = tried(running_place(folder, shard, making.fingerprint)) if making else Tried()
    return OpenShard(shard.index, shard.rows, found.attempts, found.reason or trouble, found.running)


def _superseded(folder: Path, shards: tuple[Shard, ...], making: ShardMaking | None) -> int:
    keys = {output_key(shard.fingerprint, making.fingerprint) for shard in shards} if making else set()
    return len(outputs(folder).keys() - keys)
