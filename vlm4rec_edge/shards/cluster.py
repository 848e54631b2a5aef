"""Run shards on a Ray cluster: actors that load the models once, each with one shard at a time.

Ray Core, not Ray Data: the rows of a shard and its output are files, so nothing that Ray Data moves, keeps in memory or
remembers is needed. With ``map_batches`` a pool whose actors die can hang (ray issue 62746), a task is tried again in the same
broken engine (60145), and memory grows to several times the data (65544). Here a failed shard gets a new actor, no actor has
more than one shard, what passes through Ray is a number there and a few numbers back, and who starts again looks at the files.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

import vlm4rec_edge
from vlm4rec_edge.errors import DeviceError, StoreError, UsageError, Vlm4RecWarning
from vlm4rec_edge.given import path_of
from vlm4rec_edge.optional import optional
from vlm4rec_edge.quiet import keep_quiet
from vlm4rec_edge.shards.folder import Shard
from vlm4rec_edge.shards.making import ModelChoice, ShardMaking
from vlm4rec_edge.shards.running import FailedShard, RunReport, Tally, open_shards
from vlm4rec_edge.shards.worker import Answer, Order, ShardWorker

# A shard is left after so many failures, and the run ends after so many actors in a row could not begin.
MOST_FAILURES = 3
_TICK_SECONDS = 5.0
_PATIENCE_SECONDS = 300.0
# What passes through Ray's object store is small; its default is a third of the memory of the machine.
_STORE_BYTES = 100 * 1024 * 1024
_LOG_BYTES, _LOG_FILES = 10 * 1024 * 1024, 1


@dataclass(frozen=True)
class Cluster:
    """Where shards are run, and with what.

    Attributes:
        address: Of a running cluster, such as ``auto`` or ``ray://head:10001``; None starts one on this machine.
        cores: CPU cores of an actor.
        gpus: GPUs of an actor; a fraction lets several share one.
        actors: How many actors; None for as many as the cluster has room for.
    """

    address: str | None = None
    cores: float = 1
    gpus: float = 0
    actors: int | None = None


@dataclass
class _Pool:
    """The actors: those that begin, that are free, and that have a shard; and what came of the shards so far."""

    waiting: deque[Shard]
    beginning: dict[Any, Any] = field(default_factory=dict)
    free: list[Any] = field(default_factory=list)
    at_work: dict[Any, tuple[Any, Shard]] = field(default_factory=dict)
    failures: Counter[int] = field(default_factory=Counter)
    could_not_begin: int = 0
    rows: int = 0
    tally: Tally = field(default_factory=Tally)
    worked_at: float = field(default_factory=monotonic)

    def tell_waiting(self) -> None:
        """Warn where nothing goes on for long: the cluster has no room for an actor, as after a node was removed."""
        if self.at_work:
            self.worked_at = monotonic()
        elif monotonic() - self.worked_at > _PATIENCE_SECONDS:
            self.worked_at = float("inf")
            warnings.warn(
                f"No actor has begun for {_PATIENCE_SECONDS / 60:.0f} minutes: either it loads large models, or the cluster "
                "has no room for one. It goes on as soon as there is.",
                Vlm4RecWarning,
                stacklevel=2,
            )


def run_on_ray(
    folder: Path | str,
    indexes: Iterable[int] | None = None,
    *,
    cluster: Cluster,
    choice: ModelChoice | None = None,
    scratch: Path | str | None = None,
    fetch: bool = False,
    allow_private: bool = False,
    verify: bool = False,
    on_start: Callable[[int, int], None] | None = None,
    on_items: Callable[[int], None] | None = None,
) -> RunReport:
    """Run the shards that are missing on a Ray cluster whose nodes share the folder; all else as ``run_shards``.

    Where an actor or its node dies, its shard is given to another one and goes on where it was; a shard that fails three
    times is reported and left. Ctrl-C ends the actors.

    Raises:
        MissingDependencyError: Ray is not installed.
        StoreError: a node has another version of this package or other model files, the cluster cannot be reached, or no
            actor can begin.
        DeviceError: no node has so many cores or GPUs.
        UsageError, ModelError: as of ``run_shards``.
    """
    started, place = monotonic(), path_of(folder, "A folder of shards").absolute()
    ray = load_ray()
    order = None
    with open_shards(place, indexes, choice, may_fetch=fetch or allow_private, verify=verify) as found:
        if found.opened:
            making, _ = found.opened
            order = _order(place, making, found.choice, cluster, scratch)
    pool, interrupted = _Pool(deque(found.missing)), False
    if order and found.missing:
        order = replace(order, allow_private=allow_private, verify=verify)
        interrupted = _run(ray, cluster, order, pool, on_start, on_items)
    return pool.tally.report(found, monotonic() - started, interrupted=interrupted)


def load_ray() -> Any:
    """Import Ray, its usage statistics off and its logs small, and return it.

    Raises:
        MissingDependencyError: it is not installed.
    """
    keep_quiet()  # as importing this package does; a program may have set the variables anew
    os.environ.setdefault("RAY_ROTATION_MAX_BYTES", str(_LOG_BYTES))
    os.environ.setdefault("RAY_ROTATION_BACKUP_COUNT", str(_LOG_FILES))
    return optional("ray", "Running shards on a cluster needs Ray", "ray")


def _order(
    folder: Path,
    making: ShardMaking,
    choice: ModelChoice,
    cluster: Cluster,
    scratch: Path | str | None,
) -> Order:
    threads = {"threads": max(1, int(cluster.cores))}  # or every actor would take all cores of its node
    machine = {**threads, **choice.machine}
    own = None if scratch is None else str(scratch)
    package = vlm4rec_edge.__version__
    return Order(package, making.fingerprint, str(folder), choice.to_dict(), machine, own)


def _run(
    ray: Any,
    cluster: Cluster,
    order: Order,
    pool: _Pool,
    on_start: Callable[[int, int], None] | None,
    on_items: Callable[[int], None] | None,
) -> bool:
    """Run all shards of a pool; return whether that was stopped by Ctrl-C."""
    is_ours = not ray.is_initialized()
    try:
        if is_ours:
            _connect(ray, cluster)
        count = min(_actors(ray, cluster), len(pool.waiting))
        if on_start is not None:
            on_start(len(pool.waiting), sum(shard.rows for shard in pool.waiting))
        make = ray.remote(ShardWorker).options(
            num_cpus=cluster.cores, num_gpus=cluster.gpus, max_restarts=0, max_task_retries=0
        )
        for _ in range(count):
            _add_actor(make, order, pool)
        while pool.waiting or pool.at_work:
            refs = [*pool.beginning, *pool.at_work]
            finished, _ = ray.wait(refs, num_returns=1, timeout=_TICK_SECONDS)
            for ref in finished:
                _take(ray, make, order, pool, ref)
            _hand_out(pool)
            pool.tell_waiting()
            if on_items is not None:
                on_items(pool.rows)
    except KeyboardInterrupt:
        return True
    finally:
        actors = [*pool.beginning.values(), *pool.free, *(actor for actor, _ in pool.at_work.values())]
        for actor in actors:
            with suppress(Exception):  # it may be gone, and so may the cluster
                ray.kill(actor)
        if is_ours and ray.is_initialized():
            ray.shutdown()
    return False


def _connect(ray: Any, cluster: Cluster) -> None:
    own = {"include_dashboard": False, "object_store_memory": _STORE_BYTES}
    is_own = cluster.address is None and "RAY_ADDRESS" not in os.environ
    try:
        ray.init(cluster.address, log_to_driver=False, logging_level=logging.ERROR, **(own if is_own else {}))
    except Exception as error:  # of many kinds: no such address, no token, another version of Ray or of Python
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        where = cluster.address or os.environ.get("RAY_ADDRESS", "on this machine")
        raise StoreError(f"The Ray cluster {where} cannot be reached or started: {said}") from error


def _actors(ray: Any, cluster: Cluster) -> int:
    """Return how many actors there are to be.

    Raises:
        DeviceError: no node has what one of them needs.
    """
    room = 0
    for node in ray.nodes():
        if node.get("Alive"):
            there = node.get("Resources", {})
            fits = [there.get("CPU", 0) / cluster.cores] if cluster.cores else []
            fits += [there.get("GPU", 0) / cluster.gpus] if cluster.gpus else []
            room += int(min(fits, default=1))
    if room == 0:
        raise DeviceError(
            f"No node of the cluster has {cluster.cores:g} cores and {cluster.gpus:g} GPUs for an actor; ask for less with "
            "--cores-per-actor and --gpus-per-actor."
        )
    return cluster.actors or room


def _add_actor(make: Any, order: Order, pool: _Pool) -> None:
    actor = make.remote(order)
    pool.beginning[actor.begin.remote()] = actor


def _take(ray: Any, make: Any, order: Order, pool: _Pool, ref: Any) -> None:
    """Take what an actor returned, or that it died."""
    if ref in pool.beginning:
        _take_beginning(ray, make, order, pool, ref)
        return
    actor, shard = pool.at_work.pop(ref)
    try:
        answer: Answer = ray.get(ref)
    except ray.exceptions.RayError as error:
        answer = Answer(reason=f"The process that ran it, or its node, died ({type(error).__name__}).")
    if answer.is_taken:
        pool.tally.taken.append(shard.index)
    elif answer.reason:
        _note_failure(pool, shard, answer.reason)
        with suppress(ray.exceptions.RayError):  # never into the same engine again
            ray.kill(actor)
        if pool.waiting or pool.at_work:
            _add_actor(make, order, pool)
        return
    elif answer.items < 0:
        pool.tally.meanwhile += 1
    else:
        pool.tally.add(
            shard.index,
            items=answer.items,
            captioned=answer.captioned,
            reused=answer.reused,
            failures=answer.failures,
        )
    pool.rows += shard.rows
    pool.free.append(actor)


def _take_beginning(ray: Any, make: Any, order: Order, pool: _Pool, ref: Any) -> None:
    """Take whether an actor can begin.

    Raises:
        StoreError: it has another package or other models, or several in a row died and no other one is left.
    """
    actor = pool.beginning.pop(ref)
    try:
        trouble = ray.get(ref)
    except ray.exceptions.RayError as error:
        pool.could_not_begin += 1
        if pool.could_not_begin < MOST_FAILURES:
            _add_actor(make, order, pool)
        elif not (pool.free or pool.at_work or pool.beginning):  # else the others go on without this one
            raise StoreError(
                f"{MOST_FAILURES} workers in a row died before they could begin; the last: {_first_line(error)}"
            ) from error
        return
    if trouble:
        raise StoreError(trouble)
    pool.could_not_begin = 0
    pool.free.append(actor)


def _note_failure(pool: _Pool, shard: Shard, reason: str) -> None:
    pool.failures[shard.index] += 1
    if pool.failures[shard.index] < MOST_FAILURES:
        pool.waiting.append(shard)
        return
    pool.tally.failed.append(FailedShard(shard.index, f"{MOST_FAILURES} attempts failed; the last: {reason}"))
    pool.rows += shard.rows


def _hand_out(pool: _Pool) -> None:
    """Give each free actor one shard, and no more: what is handed out is what a death can cost."""
    while pool.free and pool.waiting:
        actor, shard = pool.free.pop(), pool.waiting.popleft()
        pool.at_work[actor.run.remote(shard.index, shard.fingerprint)] = (actor, shard)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def checked_cluster(address: str | None, cores: float, gpus: float, actors: int | None) -> Cluster:
    """Return a cluster of these options.

    Raises:
        UsageError: an actor would get neither a core nor a GPU.
    """
    if not cores and not gpus:
        raise UsageError("An actor needs a core or a GPU; give --cores-per-actor or --gpus-per-actor.")
    return Cluster(address, cores, gpus, actors)
