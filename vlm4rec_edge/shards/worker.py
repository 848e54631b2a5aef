"""What a Ray actor is: it opens the models once, and runs the shards that it is given, one at a time."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vlm4rec_edge
from vlm4rec_edge.errors import StoreError, Vlm4RecError
from vlm4rec_edge.shards.attempts import TakenError
from vlm4rec_edge.shards.folder import read_plan
from vlm4rec_edge.shards.making import ModelChoice, ShardMaking, agreed_making
from vlm4rec_edge.shards.one_shard import Work, run_shard


@dataclass(frozen=True)
class Order:
    """What a driver tells each of its actors; of plain values, so that a worker of another version can read it.

    Attributes:
        package: Version of the driver's package.
        made_by: Fingerprint of what makes the shards, as the driver has it.
        folder: The folder of the plan, at the same path on every node.
        choice: The models, as ``ModelChoice.to_dict`` returns them.
        machine: Settings of the models that decide nothing but the speed.
        scratch: As of ``Work``; None for the folder of the plan.
        allow_private, verify: As there.
    """

    package: str
    made_by: str
    folder: str
    choice: Mapping[str, Any]
    machine: Mapping[str, Any]
    scratch: str | None = None
    allow_private: bool = False
    verify: bool = False


@dataclass(frozen=True)
class Answer:
    """What came of a shard: how many items it holds, captions made and known, failures; or why it failed.

    ``items`` is -1 where another process had done it, and ``is_taken`` says that another process works on it.
    """

    items: int = 0
    captioned: int = 0
    reused: int = 0
    failures: int = 0
    reason: str = ""
    is_taken: bool = False


class ShardWorker:
    """Runs shards for a driver.

    Args:
        order: What the driver wants.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._opened = ExitStack()
        self._work: Work | None = None

    def begin(self) -> str:
        """Open the models, and return why this worker may not work for that driver, as a sentence; empty if it may."""
        order = self._order
        if trouble := trouble_with_package(order.package):
            return trouble
        try:
            choice = ModelChoice.of(order.choice, order.machine)
            models = self._opened.enter_context(choice.opened())
            folder = Path(order.folder)
            making = agreed_making(folder, models, choice)
            if trouble := trouble_with_models(making, order.made_by):
                return trouble
            scratch = None if order.scratch is None else Path(order.scratch)
            plan = read_plan(folder)
            self._work = Work(folder, plan, making, models, scratch, order.allow_private, order.verify)
        except (Vlm4RecError, OSError) as error:
            return f"The node {platform.node()} cannot run shards: {error}"
        return ""

    def run(self, index: int, fingerprint: str) -> Answer:
        """Run a shard, known by its number and by the fingerprint of its rows."""
        if self._work is None:
            return Answer(reason="The worker was not begun.")
        try:
            (shard,) = self._work.plan.chosen([index])
            if shard.fingerprint != fingerprint:
                raise StoreError("The plan was changed while its shards were run; run it again.")
            report = run_shard(self._work, shard)
        except TakenError as error:
            return Answer(reason=str(error), is_taken=True)
        except Exception as error:  # whatever it is: the driver decides whether it is tried again
            return Answer(reason=str(error) if isinstance(error, Vlm4RecError) else f"{type(error).__name__}: {error}")
        if report is None:
            return Answer(items=-1)
        done = report.progress
        return Answer(report.items, done.captioned, done.reused, done.failed)


def trouble_with_package(wanted: str) -> str:
    """Return why a worker of this version may not work for a driver of the version ``wanted``; empty if it may."""
    own = vlm4rec_edge.__version__
    if own == wanted:
        return ""
    return f"The node {platform.node()} has vlm4rec-edge {own}, the driver {wanted}; install the same version on all nodes."


def trouble_with_models(making: ShardMaking, wanted: str) -> str:
    """Return why a worker with these models may not work for a driver with the fingerprint ``wanted``; empty if it may."""
    if making.fingerprint == wanted:
        return ""
    return (
        f"The node {platform.node()} has other model files or settings ({making.names}) than the driver; put the same files "
        "on all nodes."
    )
