"""Run shards one after the other: those that are named, or all that are missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

from vlm4rec_edge.errors import StoreError, UsageError, Vlm4RecError
from vlm4rec_edge.given import path_of
from vlm4rec_edge.indexing.report import IndexProgress
from vlm4rec_edge.shards.attempts import TakenError
from vlm4rec_edge.shards.folder import Plan, Shard, read_plan
from vlm4rec_edge.shards.making import ModelChoice, Models, ShardMaking, agreed_making, noted_making
from vlm4rec_edge.shards.one_shard import Work, outputs_of, run_shard, trouble_of_output

# Where so many shards in a row fail, it is not the shards: the next would fail as well.
MOST_IN_A_ROW = 3
# Called with how many items are done of the shards that are run now.
OnItems = Callable[[int], None]


@dataclass(frozen=True)
class FailedShard:
    """A shard that failed, and why, as a sentence."""

    index: int
    reason: str


@dataclass(frozen=True)
class RunReport:
    """What a run of shards did.

    Attributes:
        folder: The folder of the plan.
        shards: How many were asked for: those named, or all.
        done: The numbers of those that this run finished.
        there: How many were done already.
        taken: Those that another process works on.
        failed: Those that failed.
        damaged: Why outputs that lay there were made again, as sentences.
        items, captioned, reused, failures: Items that the finished shards hold, captions made and known, and what of the
            catalog could not be used.
        seconds: How long it took, the loading of models counted.
        interrupted: Whether it was stopped by Ctrl-C.
    """

    folder: Path
    shards: int
    done: tuple[int, ...] = ()
    there: int = 0
    taken: tuple[int, ...] = ()
    failed: tuple[FailedShard, ...] = ()
    damaged: tuple[str, ...] = ()
    items: int = 0
    captioned: int = 0
    reused: int = 0
    failures: int = 0
    seconds: float = 0.0
    interrupted: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the document that ``shard run --json`` prints."""
        lists = {name: list(getattr(self, name)) for name in ("done", "taken", "damaged")}
        failed = [asdict(one) for one in self.failed]
        return {
            **asdict(self),
            "folder": str(self.folder),
            **lists,
            "failed": failed,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class OpenShards:
    """The shards of a folder that a run is asked for, and those of them that are open.

    Attributes:
        folder: The folder of the plan.
        plan: Its plan.
        shards: How many were asked for.
        choice: Which models.
        missing: Those that have no whole output.
        damaged: Why the files that lie in their places are none, as sentences.
        opened: What makes them, and its models, open for as long as the block of ``open_shards`` takes; None where nothing is
            missing, and no model was opened.
    """

    folder: Path
    plan: Plan
    shards: int
    choice: ModelChoice
    missing: Sequence[Shard]
    damaged: Sequence[str]
    opened: tuple[ShardMaking, Models] | None = None


@dataclass
class Tally:
    """What came of the shards so far; ``meanwhile`` counts those that another process did."""

    done: list[int] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    failed: list[FailedShard] = field(default_factory=list)
    meanwhile: int = 0
    items: int = 0
    captioned: int = 0
    reused: int = 0
    failures: int = 0

    def add(self, index: int, *, items: int, captioned: int, reused: int, failures: int) -> None:
        """Count a shard that is done."""
        self.done.append(index)
        self.items += items
        self.captioned += captioned
        self.reused += reused
        self.failures += failures

    def report(self, found: OpenShards, seconds: float, *, interrupted: bool) -> RunReport:
        """Return the report of the run."""
        return RunReport(
            folder=found.folder,
            shards=found.shards,
            done=tuple(self.done),
            there=found.shards - len(found.missing) + self.meanwhile,
            taken=tuple(self.taken),
            failed=tuple(sorted(self.failed, key=lambda one: one.index)),
            damaged=tuple(found.damaged),
            items=self.items,
            captioned=self.captioned,
            reused=self.reused,
            failures=self.failures,
            seconds=seconds,
            interrupted=interrupted,
        )


def missing_shards(
    folder: Path, shards: Sequence[Shard], making: ShardMaking | None, *, verify: bool = False
) -> tuple[list[Shard], list[str]]:
    """Return the shards that have no whole output, and why the files that lie in their places are none.

    Args:
        folder: The folder of the plan.
        shards: Those that are looked for.
        making: What makes them; None where nothing is made yet.
        verify: Whether to read all of each file, rather than what it says of itself.
    """
    if making is None:
        return list(shards), []
    there = outputs_of(folder, shards, making)
    missing, damaged = [], []
    for shard in shards:
        path = there.get(shard.index)
        trouble = None if path is None else trouble_of_output(path, shard, making, verify=verify)
        if path is not None and trouble:
            damaged.append(trouble)
        if trouble != "":
            missing.append(shard)
    return missing, damaged


def run_shards(
    folder: Path | str,
    indexes: Iterable[int] | None = None,
    *,
    choice: ModelChoice | None = None,
    models: Models | None = None,
    scratch: Path | str | None = None,
    fetch: bool = False,
    allow_private: bool = False,
    verify: bool = False,
    on_start: Callable[[int, int], None] | None = None,
    on_items: OnItems | None = None,
) -> RunReport:
    """Run the shards that are missing, one after the other; what is done is not done again, and then no model is opened.

    Any number of processes may do this in one folder at the same time, on one machine or on many that share it.

    Args:
        folder: What ``plan_shards`` made.
        indexes: Numbers of shards; default: all.
        choice: Which models; default: those of the first run, and for that one the embedded ones.
        models: The models themselves, opened; they stay open.
        scratch: A folder for unfinished work and for fetched photos, such as a local disk; default: in ``folder``, where
            another machine can go on with it.
        fetch: Whether photos may be fetched that the catalog names by an address.
        allow_private: Whether also from this machine and from private networks.
        verify: Whether outputs that lie there are read to their end, rather than looked at.
        on_start: Called, where something is to be done, with how many shards and rows that is.
        on_items: Called with how many rows of them are done.

    Raises:
        StoreError: there is no plan, or these models are others than those of the shards that are there.
        UsageError: there is no such shard, or photos would have to be fetched and ``fetch`` is not given.
        ModelError, DeviceError, MissingDependencyError: a model cannot be found or used.
    """
    started, place = monotonic(), path_of(folder, "A folder of shards")
    tally, interrupted = Tally(), False
    with open_shards(place, indexes, choice, models, may_fetch=fetch or allow_private, verify=verify) as found:
        if found.opened and found.missing:
            own = None if scratch is None else Path(scratch)
            work = Work(place, found.plan, *found.opened, own, allow_private, verify)
            if on_start is not None:
                on_start(len(found.missing), sum(shard.rows for shard in found.missing))
            interrupted = _run_all(work, found.missing, tally, on_items)
    return tally.report(found, monotonic() - started, interrupted=interrupted)


@contextmanager
def open_shards(
    folder: Path,
    indexes: Iterable[int] | None,
    choice: ModelChoice | None,
    models: Models | None = None,
    *,
    may_fetch: bool,
    verify: bool,
) -> Iterator[OpenShards]:
    """Find the shards that are missing, and open the models where there are any, until the block ends.

    Arguments are as of ``run_shards``; ``may_fetch`` says whether photos may be fetched that the catalog names by an address.

    Raises:
        StoreError, UsageError, ModelError, DeviceError, MissingDependencyError: as of ``run_shards``.
    """
    plan = read_plan(folder)
    shards = plan.chosen(indexes)
    choice = choice or ModelChoice()
    making = agreed_making(folder, models, None) if models else noted_making(folder)
    if making and not models:
        choice = _choice_of(folder, making, choice)
        making = None if _is_named_otherwise(making, choice) else making
    missing, damaged = missing_shards(folder, shards, making, verify=verify)
    found = OpenShards(folder, plan, len(shards), choice, missing, damaged)
    if not missing:
        yield found
        return
    _check_addresses(plan, folder, may_fetch)
    with ExitStack() as opened:
        at_work = models or opened.enter_context(choice.opened())
        _check_columns(at_work, plan)
        agreed = agreed_making(folder, at_work, None if models else choice)
        if making is None:
            missing, damaged = missing_shards(folder, shards, agreed, verify=verify)
        yield replace(found, missing=missing, damaged=damaged, opened=(agreed, at_work))


def _choice_of(folder: Path, noted: ShardMaking, choice: ModelChoice) -> ModelChoice:
    """Return the choice of the first run where none is given now, with what is of this machine; else the one given.

    Raises:
        UsageError: the first run was given opened models, which nobody can open again.
    """
    if not choice.is_default:
        return choice
    if noted.choice is None:
        raise UsageError(
            f"The shards of {folder} were begun by a program that opened its models itself ({noted.names}); give the options "
            "that open the same ones."
        )
    return ModelChoice.of(noted.choice, choice.machine)


def _is_named_otherwise(noted: ShardMaking, choice: ModelChoice) -> bool:
    """Whether models are named in another way than by the first run, so that only opened they can be compared."""
    return noted.choice != choice.to_dict()


def _check_addresses(plan: Plan, folder: Path, may_fetch: bool) -> None:
    """Refuse a plan with photos that would have to be fetched, unless that may be.

    Raises:
        UsageError: it has some.
    """
    if plan.addresses and not may_fetch:
        raise UsageError(
            f"{plan.addresses:,} photos of the plan in {folder} are named by an address; add --fetch to fetch them while "
            "their shard is run."
        )


def _check_columns(models: Models, plan: Plan) -> None:
    """Refuse a prompt that needs a column that the catalog does not have.

    Raises:
        UsageError: it does.
    """
    check = getattr(models.captioner, "check_columns", None)
    if plan.columns is not None and check is not None:
        check(plan.columns)


def _run_all(work: Work, shards: Sequence[Shard], tally: Tally, on_items: OnItems | None) -> bool:
    """Run shards; return whether that was stopped by Ctrl-C."""
    before = in_a_row = 0

    def advance(progress: IndexProgress) -> None:
        if on_items is not None:
            on_items(before + progress.done)

    for shard in shards:
        try:
            report = run_shard(work, shard, on_progress=advance)
        except KeyboardInterrupt:
            return True
        except TakenError:
            tally.taken.append(shard.index)
        except (Vlm4RecError, OSError) as error:
            tally.failed.append(FailedShard(shard.index, str(error)))
            in_a_row += 1
            if in_a_row == MOST_IN_A_ROW and len(shards) > MOST_IN_A_ROW:
                raise StoreError(
                    f"{MOST_IN_A_ROW} shards in a row failed, so the others are not tried; the last, {shard.index}: {error}"
                ) from error
        else:
            in_a_row = 0
            if report is None:
                tally.meanwhile += 1
            else:
                done = report.progress
                tally.add(
                    shard.index,
                    items=report.items,
                    captioned=done.captioned,
                    reused=done.reused,
                    failures=done.failed,
                )
        before += shard.rows
        if on_items is not None:
            on_items(before)
    return False
