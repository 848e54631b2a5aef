"""Kill the process that captions in every way native code can die, many times, and count what is lost.

Three kinds: the signal comes at a random moment, whatever is being done; one photo of the catalog brings it, whenever it is
looked at; the model brings it while it is loaded. Everything else is the real program with the embedded models.

Example:
    python benchmarks/native_faults.py --times 20
"""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from running.drawings import catalog_of_drawings, write_catalog
from running.fresh_process import PROGRAM
from running.results_file import write_results

from vlm4rec_edge.checksums import sha256_of
from vlm4rec_edge.index_folder import IndexFolder
from vlm4rec_edge.store.reader import StoreReader

RESULTS = Path(__file__).with_name("results")
_DEADLY_PYTHON = Path(__file__).with_name("breaking") / "deadly_python.py"
_SIGNALS = ("SIGILL", "SIGSEGV", "SIGABRT", "SIGBUS", "SIGKILL")
_SECONDS = 300


@dataclass
class Tally:
    """What happened under one kind of death. ``left_out``: photos that were named and left out."""

    death: str
    tried: int = 0
    hit: int = 0
    lost: int = 0
    wrong: int = 0
    left_out: int = 0
    blamed_wrongly: int = 0
    problems: list[str] = field(default_factory=list)

    def row(self) -> dict[str, object]:
        """Return the line of the table."""
        return {
            "death": self.death,
            "runs": self.tried,
            "the process died": self.hit,
            "items lost": self.lost,
            "captions other than undisturbed": self.wrong,
            "photos left out and named": self.left_out,
            "of them without fault": self.blamed_wrongly,
            "runs with another problem": len(self.problems),
        }


@dataclass(frozen=True)
class Shop:
    """A catalog, and what the model says of each of its items when nothing happens."""

    table: Path
    photos: dict[str, Path]
    captions: dict[str, str]


def _run(shop: Path, index: Path, deadly: dict[str, Any] | None = None) -> subprocess.Popen[str]:
    env = dict(os.environ)
    if deadly is not None:
        env |= {"VLM4REC_EDGE_PYTHON": shlex.join([sys.executable, str(_DEADLY_PYTHON)]), "DEADLY": json.dumps(deadly)}
    command = [str(PROGRAM), "index", str(shop), "--out", str(index), "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def _end(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any], str]:
    out, said = process.communicate(timeout=_SECONDS)
    return process.returncode, json.loads(out) if out.startswith("{") else {}, said


def _captions(index: Path) -> dict[str, str]:
    with StoreReader(index) as store:
        return {item.id: item.caption for item in store.items()}


def make_shop(folder: Path, items: int) -> Shop:
    """Draw a catalog and index it undisturbed."""
    drawings = catalog_of_drawings(items // 20 or 1)[:items]
    table = write_catalog(folder / "shop", drawings)
    code, _, said = _end(_run(table, folder / "undisturbed.index"))
    assert code == 0, said
    with StoreReader(folder / "undisturbed.index") as store:
        photos = {item.id: Path(item.image) for item in store.items()}
    return Shop(table, photos, _captions(folder / "undisturbed.index"))


def _worker_of(process: subprocess.Popen[str]) -> int | None:
    """Return the process that captions, a child of the program, once it runs."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    for child in children.read_text().split() if children.exists() else []:
        if "grounding.child.worker" in Path(f"/proc/{child}/cmdline").read_text():
            return int(child)
    return None


def at_random_moments(shop: Shop, name: str, times: int, chance: random.Random, folder: Path, tally: Tally) -> None:
    """Send the signal to the process that captions, at any moment of its life: loading, decoding, captioning."""
    while tally.hit < times:
        index = folder / "random.index"
        shutil.rmtree(index, ignore_errors=True)
        process = _run(shop.table, index)
        tally.tried += 1
        until = time.monotonic() + _SECONDS
        while (worker := _worker_of(process)) is None and process.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 2.5))
        if worker is not None and _worker_of(process) == worker:
            os.kill(worker, signal.Signals[name])
            tally.hit += 1
        _compare(shop, index, _end(process), tally, expected=set())


def in_a_photo(shop: Shop, name: str, times: int, chance: random.Random, folder: Path, tally: Tally) -> None:
    """Let one photo bring the signal whenever it is looked at; then index once more without that."""
    for _ in range(times):
        index = folder / "photo.index"
        shutil.rmtree(index, ignore_errors=True)
        item = chance.choice(sorted(shop.photos))
        photos = {sha256_of(shop.photos[item]): int(signal.Signals[name])}
        twins = {other for other, path in shop.photos.items() if sha256_of(path) in photos}
        tally.tried += 1
        ended = _end(_run(shop.table, index, {"photos": photos}))
        tally.hit += name in ended[2]
        _compare(shop, index, ended, tally, expected=twins)
        _compare(shop, index, _end(_run(shop.table, index)), tally, expected=set())


def in_a_model(shop: Shop, name: str, times: int, chance: random.Random, folder: Path, tally: Tally) -> None:
    """Let the model bring the signal while it is loaded, over an index that holds a part; then index once more."""
    for _ in range(times):
        index = folder / "model.index"
        shutil.rmtree(index, ignore_errors=True)
        part = chance.randrange(1, len(shop.photos))
        lines = shop.table.read_text(encoding="utf-8").splitlines(keepends=True)
        beginning = shop.table.with_name("part.csv")
        beginning.write_text("".join(lines[: part + 1]), encoding="utf-8")
        assert _end(_run(beginning, index))[0] == 0
        tally.tried += 1
        code, _, said = _end(_run(shop.table, index, {"load": int(signal.Signals[name])}))
        tally.hit += name in said or "memory" in said
        if code != 1 or "cannot run here" not in said or "Traceback" in said:
            tally.problems.append(f"{tally.death}: no sentence (code {code}): {said[-400:]}")
        if len(_captions(index)) != part:
            tally.problems.append(f"{tally.death}: {len(_captions(index))} items instead of {part} after the death")
        _compare(shop, index, _end(_run(shop.table, index)), tally, expected=set())


def _compare(shop: Shop, index: Path, ended: tuple[int, dict[str, Any], str], tally: Tally, expected: set[str]) -> None:
    """Hold an index against the undisturbed one; ``expected`` are the items that are rightly left out."""
    code, answer, said = ended
    found = _captions(index)
    named = {failure["where"] for failure in answer.get("failures", [])}
    tally.left_out += len(named)
    tally.blamed_wrongly += len(named - expected)
    tally.lost += len(shop.captions.keys() - found.keys() - named)
    tally.wrong += sum(shop.captions[item] != caption for item, caption in found.items())
    findings = IndexFolder(index).verify().findings
    if code != (3 if expected else 0) or "Traceback" in said or named != expected or findings:
        tally.problems.append(f"{tally.death}: code {code}, left out {sorted(named)}, {findings}: {said[-400:]}")


def main(
    times: Annotated[int, typer.Option(help="Deaths of each kind by each signal.")] = 20,
    items: Annotated[int, typer.Option(help="Items of the catalog.")] = 100,
    seed: Annotated[int, typer.Option(help="Of all that is random here.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = RESULTS,
) -> None:
    """Kill the process that captions in every way native code can die, many times, and count what is lost.

    \b
    Example:
      python benchmarks/native_faults.py --times 20
    """  # noqa: D301 (click reads the control character)
    chance = random.Random(seed)
    tallies: list[Tally] = []
    kinds = {
        "at a random moment": at_random_moments,
        "in a photo": in_a_photo,
        "in a model, while it loads": in_a_model,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shop = make_shop(folder, items)
        for kind, try_kind in kinds.items():
            for number in _SIGNALS:
                tallies.append(Tally(f"{number} {kind}"))
                typer.echo(f"{time.strftime('%H:%M:%S')} {tallies[-1].death} ...", err=True)
                try_kind(shop, number, times, chance, folder, tallies[-1])
    problems = [problem for tally in tallies for problem in tally.problems]
    remarks = [
        f"The catalog has {len(shop.photos)} items; every run is `vlm4rec-edge index` with the embedded models. After a death "
        "in a photo or a model the same command runs once more without it, and the index must be that of an undisturbed run.",
        *(problems or ["No problem: nothing was lost, every end was a sentence, `verify` was clean every time."]),
    ]
    title = "Deaths of the captioning process, and what they cost"
    typer.echo(write_results(out, "native-faults", title, [tally.row() for tally in tallies], remarks))
    if problems:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
