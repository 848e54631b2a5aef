"""Break an index in every way we know, many times, and count what is lost.

Example:
    python benchmarks/faults.py --kills 200 --engine-kills 20
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import typer
from breaking.child import Task
from breaking.trials import (
    Catalog,
    Ended,
    captions_lost,
    captions_made,
    damage_after_kill,
    damaged_copy,
    make_catalog,
    run_child,
    truth_of,
)
from running.drawings import catalog_of_drawings
from running.results_file import write_results
from running.stand_ins import use_small_limits

RESULTS = Path(__file__).with_name("results")
_SECONDS_A_CAPTION = 0.004
# Leaves more than `index` asks for before it begins, so that the disk fills while it works.
_DISK_BYTES = 80 * 1024 * 1024


@dataclass
class Tally:
    """What happened under one kind of fault."""

    fault: str
    tried: int = 0
    noticed: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    lost_now: list[int] = field(default_factory=list)
    redone: int = 0
    unclean: int = 0
    problems: list[str] = field(default_factory=list)

    def finish(self, task: Task, note: str = "") -> None:
        """Compare a finished index with the truth and add it up."""
        truth = truth_of(task)
        self.lost += truth.lost
        self.doubled += truth.doubled
        self.wrong += truth.wrong
        self.unclean += bool(truth.findings)
        if not truth.is_right:
            self.problems.append(f"{self.fault} {note}: {truth}")

    def row(self) -> dict[str, object]:
        """Return the line of the table."""
        return {
            "fault": self.fault,
            "tried": self.tried,
            "items lost": self.lost,
            "items doubled": self.doubled,
            "items wrong": self.wrong,
            "noticed by verify": self.noticed or "",
            "captions lost at once, at most": max(self.lost_now, default=0),
            "captions made twice, in all": self.redone,
            "verify clean at the end": "always" if not self.unclean else f"not {self.unclean} times",
        }


def kills(tasks: list[Task], count: int, chance: random.Random, tally: Tally) -> None:
    """Kill runs of ``tasks``, which follow each other on one index, until ``count`` kills have hit."""
    out, log = Path(tasks[0].out), Path(tasks[0].log)
    undisturbed = [run_child(task) for task in tasks]

    def next_kill(first: Ended) -> float | None:
        return chance.uniform(0, first.seconds) if tally.tried < count else None

    for ended in undisturbed:
        assert ended.code == 0, ended.said
    while tally.tried < count:
        shutil.rmtree(out)
        log.unlink()
        for task, first in zip(tasks, undisturbed, strict=True):
            while (ended := run_child(task, kill_after=next_kill(first))).was_killed:
                tally.tried += 1
                tally.lost_now.append(captions_lost(task))
                for problem in damage_after_kill(out):
                    tally.problems.append(f"{tally.fault}, before the resume: {problem}")
            assert ended.code == 0, ended.said
            tally.finish(task)
        tally.redone += captions_made(log).total() - len(captions_made(log))


def full_disk(task: Task, count: int, chance: random.Random, tally: Tally, disk: Path) -> None:
    """Let the disk fill while ``index`` works, make room, and go on."""
    while tally.tried < count:
        shutil.rmtree(task.out, ignore_errors=True)
        Path(task.log).unlink(missing_ok=True)
        ballast = disk / "ballast"
        free, wait = chance.randrange(0, 400_000), chance.uniform(0, 1)

        def fill(ballast: Path = ballast, free: int = free, wait: float = wait) -> None:
            time.sleep(wait)
            with ballast.open("wb") as stream:
                while (excess := shutil.disk_usage(disk).free - free) > 0:
                    with suppress(OSError):  # the child took some of it meanwhile
                        os.posix_fallocate(stream.fileno(), 0, os.fstat(stream.fileno()).st_size + excess)

        _fail_and_go_on(task, run_child(task, meanwhile=fill), tally, make_room=ballast.unlink)


def bounded_files(task: Task, count: int, chance: random.Random, tally: Tally) -> None:
    """Let no file grow beyond a bound (RLIMIT_FSIZE: writes fail as on a full disk), lift it, and go on."""
    while tally.tried < count:
        shutil.rmtree(task.out, ignore_errors=True)
        Path(task.log).unlink(missing_ok=True)
        bounded = replace(task, file_bytes=chance.randrange(1, 500_000))
        _fail_and_go_on(task, run_child(bounded), tally, make_room=lambda: None)


def _fail_and_go_on(task: Task, ended: Ended, tally: Tally, make_room: Callable[[], object]) -> None:
    if ended.code == 0:  # it was done before there was no room
        make_room()
        return
    tally.tried += 1
    if ended.code != 1 or not ended.said.startswith("Error: ") or "Traceback" in ended.said:
        tally.problems.append(f"{tally.fault}: no clean end (code {ended.code}): {ended.said[-600:]}")
    make_room()
    tally.lost_now.append(captions_lost(task))
    again = run_child(task)
    assert again.code == 0, again.said
    tally.finish(task)
    tally.redone += captions_made(Path(task.log)).total() - len(captions_made(Path(task.log)))


def damages(task: Task, name: str, kind: str, count: int, chance: random.Random, tally: Tally) -> None:
    """Damage one file of a finished index, ``count`` times: verify must notice or the index be as before; repair it."""
    copy = Path(task.out).with_name("damaged.index")
    for _ in range(count):
        shutil.rmtree(copy, ignore_errors=True)
        repair = damaged_copy(task, copy, name, kind, chance)
        before = captions_made(Path(repair.log)).total()
        ended = run_child(repair)
        tally.tried += 1
        if ended.code != 0:
            tally.problems.append(f"{tally.fault}: could not be repaired (code {ended.code}): {ended.said[-600:]}")
            continue
        tally.noticed += bool(ended.answer["before"])
        made = captions_made(Path(repair.log)).total() - before
        tally.lost_now.append(made)
        tally.redone += made
        tally.finish(repair)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """Mount a small file system in memory; None where that is not possible (it takes root, on Linux)."""
    disk = folder / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def _tasks(folder: Path, first: Catalog, second: Catalog) -> list[Task]:
    """Return runs that follow each other: all new; a third exchanged; another encoder; another prompt."""
    task = Task(
        "index",
        str(first.table),
        str(folder / "shop.index"),
        str(first.recording),
        str(folder / "captions.log"),
        seconds_a_caption=_SECONDS_A_CAPTION,
    )
    exchanged = replace(task, catalog=str(second.table), recording=str(second.recording))
    encoded = replace(exchanged, encoder=2)
    return [task, exchanged, encoded, replace(encoded, prompt="Describe this {kind}.")]


def main(
    kill_count: Annotated[int, typer.Option("--kills", help="Kills with recorded captions.")] = 200,
    engine_kills: Annotated[int, typer.Option(help="Kills of the real program with the real models.")] = 20,
    disk_fulls: Annotated[int, typer.Option(help="Full disks, of each kind.")] = 20,
    damage_count: Annotated[int, typer.Option("--damages", help="Damages of each file, of each kind.")] = 25,
    items: Annotated[int, typer.Option(help="Items of the small catalog.")] = 240,
    seed: Annotated[int, typer.Option(help="Of all that is random here.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = RESULTS,
) -> None:
    """Break an index in every way we know, many times, and count what is lost.

    \b
    Example:
      python benchmarks/faults.py --kills 200 --engine-kills 20
    """  # noqa: D301 (click reads the control character)
    use_small_limits()
    chance = random.Random(seed)
    tallies: list[Tally] = []

    def begin(fault: str) -> Tally:
        tallies.append(Tally(fault))
        typer.echo(f"{time.strftime('%H:%M:%S')} {fault} ...", err=True)
        return tallies[-1]

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        drawings = catalog_of_drawings(items // 20)
        part = len(drawings) * 3 // 4
        first = make_catalog(folder / "first", drawings[:part], twins=10)
        second = make_catalog(folder / "second", drawings[-part:])
        tasks = _tasks(folder, first, second)
        kills(tasks, kill_count, chance, begin("kill -9, recorded captions"))
        if engine_kills:
            real = make_catalog(folder / "real", drawings[: min(96, part)])
            task = Task("engine", str(real.table), str(folder / "real.index"), "", str(folder / "real.log"))
            kills([task], engine_kills, chance, begin("kill -9, real models"))
        with small_disk(folder) as disk:
            if disk is not None:
                on_disk = replace(tasks[0], out=str(disk / "shop.index"))
                full_disk(on_disk, disk_fulls, chance, begin("disk full (small file system)"), disk)
        bounded_files(tasks[0], disk_fulls, chance, begin("disk full (bounded files)"))
        whole = replace(tasks[0], out=str(folder / "whole.index"), log=str(folder / "whole.log"))
        run_child(whole)
        for file in sorted(path.name for path in Path(whole.out).iterdir()):
            for kind in ("flip", "tear"):
                fault = f"{_plain(file)}: {'a bit flipped' if kind == 'flip' else 'its end torn off'}"
                damages(whole, file, kind, damage_count, chance, begin(fault))
    problems = [problem for tally in tallies for problem in tally.problems]
    remarks = [
        "Captions lost at once: made, and not in the store when the process was gone, or not in the repaired store; they were "
        "made again by the resume. Made twice, in all: the same over all trials of the line.",
        f"The catalog has {part + 10} items; every run of the recorded kind follows the one before: all items new, a third "
        "exchanged (with --prune), another encoder, another prompt; graph and compaction begin at 60 rows.",
        *(problems or ["No problem: every process ended cleanly or was killed, every index was whole in the end."]),
    ]
    text = write_results(out, "faults", "Faults tried, and what they cost", [tally.row() for tally in tallies], remarks)
    typer.echo(text)
    if problems:
        raise typer.Exit(1)


def _plain(name: str) -> str:
    """Return the name of a file of an index without what is particular to one index."""
    if name.startswith(("hnsw-", "vectors-")):
        return f"{name.partition('-')[0]}-*{Path(name).suffix}"
    return name


if __name__ == "__main__":
    typer.run(main)
