"""Run the package as its wheels install it on processors that this machine has not, emulated by qemu, and compare.

Example:
    make test-machines
"""

from __future__ import annotations

import difflib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from running.drawings import catalog_of_drawings, write_catalog
from running.plain_help import run_plain
from running.results_file import write_results

from vlm4rec_edge import Recommender, resolve_lvlm
from vlm4rec_edge.grounding.llama.native import load_bindings

RESULTS = Path(__file__).with_name("results")
_QUERY = "a warm jacket for autumn"
# Prints what the process that captions, a child, sees of the processor, and which file of CPU code llama.cpp chooses for it.
_SEEN = """
import json, platform
from vlm4rec_edge import IsolatedCaptioner, resolve_lvlm
from vlm4rec_edge.grounding.llama.native import load_bindings
with IsolatedCaptioner(resolve_lvlm()) as captioner:
    captioner.load()
    child = {"processor": captioner.processor, "llama_cpp": captioner.llama_cpp}
load_bindings()
with open("/proc/self/maps") as maps:
    files = {line.split("/")[-1].strip() for line in maps if "libggml-cpu" in line}
print(json.dumps({"machine": platform.machine(), "variant": sorted(files), **child}))
"""


@dataclass(frozen=True)
class Machine:
    """A processor, and what llama.cpp must and must not use on it, by the names that it gives them."""

    name: str
    emulator: list[str]
    python: Path
    program: Path
    environment: dict[str, str] = field(default_factory=dict)
    uses: tuple[str, ...] = ()
    uses_not: tuple[str, ...] = ()

    def run(self, *arguments: object) -> str:
        """Run Python on this machine and return its stdout; with -P, or a program, the package is that of the wheels.

        Raises:
            RuntimeError: it failed; the message holds what it said.
        """
        command = [*self.emulator, str(self.python), *map(str, arguments)]
        own = {"VLM4REC_EDGE_PYTHON": shlex.join([*self.emulator, str(self.python)]), **self.environment}
        done = subprocess.run(command, env={**os.environ, **own}, capture_output=True, text=True, check=False)
        if done.returncode:
            last = " / ".join(done.stderr.strip().splitlines()[-3:])
            raise RuntimeError(f"{arguments[1]} ended with exit code {done.returncode}: {last}")
        return done.stdout

    def answer(self, *arguments: object) -> Any:
        """Run ``vlm4rec-edge`` with ``--json`` on this machine and return its document."""
        return json.loads(self.run(self.program, *arguments, "--json"))


@dataclass
class Outcome:
    """What one machine did: seconds of each step, captions and vectors by item, answers, and what was wrong."""

    seen: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    captions: dict[str, str] = field(default_factory=dict)
    vectors: dict[str, list[float]] = field(default_factory=dict)
    found: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def machines(folder: Path) -> list[Machine]:
    """Return this machine and the emulated ones; ``folder`` is as ``packaging/emulated.py`` fills it."""
    python, program = folder / "env" / "bin" / "python", folder / "env" / "bin" / "vlm4rec-edge"
    root, site = folder / "root", folder / "site"
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    amx = ("AMX_INT8",) if "amx_int8" in flags and "avx512_vnni" in flags else ()

    def intel(cpu: str, uses: str, uses_not: str) -> Machine:
        return Machine(
            f"x86-64, {cpu}",
            ["qemu-x86_64", "-cpu", cpu],
            python,
            program,
            {},
            tuple(uses.split()),
            tuple(uses_not.split()),
        )

    def arm(cpu: str, uses: str, uses_not: str) -> Machine:
        emulator = ["qemu-aarch64", "-cpu", cpu, "-L", str(root)]
        interpreter, environment = root / "usr" / "bin" / "python3", {"PYTHONPATH": str(site)}
        own = site / "bin" / "vlm4rec-edge"
        return Machine(
            f"Arm, {cpu}", emulator, interpreter, own, environment, tuple(uses.split()), tuple(uses_not.split())
        )

    return [
        Machine("this machine", [], python, program, {}, amx),
        intel("Nehalem", "SSE3 SSSE3", "AVX AVX2 FMA AVX512 AMX_INT8"),
        intel("Haswell", "AVX AVX2 FMA F16C", "AVX512 AMX_INT8"),
        # With AVX-512 in reality, which qemu does not emulate: what is seen is a Haswell.
        intel("Skylake-Server", "AVX AVX2 FMA F16C", "AVX512 AMX_INT8"),
        arm("cortex-a72", "NEON", "DOTPROD MATMUL_INT8 SVE"),
        arm("cortex-a76", "NEON DOTPROD FP16_VA", "MATMUL_INT8 SVE"),
        arm("neoverse-v1", "NEON DOTPROD FP16_VA SVE MATMUL_INT8", ""),
    ]


def measure(machine: Machine, catalog: Path, history: str, index: Path) -> Outcome:
    """Index, search and recommend on one machine. A step that fails is noted, and the others are not tried."""
    outcome = Outcome()
    begun = time.monotonic()

    def timed(step: str) -> None:
        nonlocal begun
        outcome.seconds[step] = time.monotonic() - begun
        begun = time.monotonic()

    try:
        outcome.seen = json.loads(machine.run("-P", "-c", _SEEN))
        outcome.problems += _wrong_features(machine, outcome.seen)
        timed("start")
        report = machine.answer("index", catalog, "--out", index)
        timed("index")
        if report["failed"]:
            outcome.problems.append(f"{report['failed']} photos were left out: {report['failures']}")
        for step, arguments in (("search", [_QUERY]), ("recommend", ["--history", history])):
            hits = machine.answer(step, index, *arguments)["recommendations"]
            outcome.found[step] = [hit["item_id"] for hit in hits]
            timed(step)
    except (RuntimeError, ValueError) as error:
        outcome.problems.append(str(error))
        return outcome
    with Recommender.open(index) as shop:
        items = list(shop.store.items())
        outcome.captions = {item.id: item.caption for item in items}
        rows = shop.store.rows_of([item.id for item in items])
        vectors = shop.store.vectors_at(list(rows.values()))
        outcome.vectors = {item_id: np.asarray(vector).tolist() for item_id, vector in zip(rows, vectors, strict=True)}
    return outcome


def outcome_of(machine: Machine, catalog: Path, history: str, place: Path) -> Outcome:
    """Return what a machine did, from an earlier run that was stopped later if it is there; emulation takes minutes."""
    kept = place.with_suffix(".json")
    if kept.is_file():
        return Outcome(**json.loads(kept.read_text(encoding="utf-8")))
    sys.stderr.write(f"{machine.name}\n")
    index = place.with_suffix(".index")
    shutil.rmtree(index, ignore_errors=True)
    outcome = measure(machine, catalog, history, index)
    if not outcome.problems:
        kept.write_text(json.dumps(asdict(outcome)), encoding="utf-8")
    return outcome


def _wrong_features(machine: Machine, seen: dict[str, Any]) -> list[str]:
    used = set(re.findall(r"(\w+) = 1", seen["llama_cpp"]))
    missing = [name for name in machine.uses if name not in used]
    beyond = [name for name in machine.uses_not if name in used]
    return [
        *(f"llama.cpp does not use {name}, which the processor has" for name in missing),
        *(f"llama.cpp uses {name}, which the processor has not: it was not emulated" for name in beyond),
    ]


def differences(name: str, reference: Outcome, outcome: Outcome) -> list[str]:
    """Return a line for every caption that a machine words otherwise, with the tokens of the model that differ."""
    lines = []
    for item_id, said in outcome.captions.items():
        if said == reference.captions.get(item_id):
            continue
        before, after = _tokens(reference.captions.get(item_id, "")), _tokens(said)
        changes = [
            f"{''.join(before[a:b])!r} -> {''.join(after[c:d])!r} (from token {a} of {len(before)})"
            for kind, a, b, c, d in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
            if kind != "equal"
        ]
        lines.append(f"{name}, {item_id}: {'; '.join(changes)}")
    return lines


def _tokens(text: str) -> list[str]:
    llama = load_bindings()
    model = llama.Llama(model_path=str(resolve_lvlm().text), vocab_only=True, verbose=False)
    ids = model.tokenize(text.encode(), add_bos=False)
    return [model.detokenize([token], special=True).decode("utf-8", "replace") for token in ids]


def _row(machine: Machine, outcome: Outcome, reference: Outcome) -> dict[str, str]:
    same = sum(reference.captions.get(item_id) == caption for item_id, caption in outcome.captions.items())
    cosines = [
        float(np.dot(vector, reference.vectors[item_id]))
        for item_id, vector in outcome.vectors.items()
        if outcome.captions[item_id] == reference.captions.get(item_id)
    ]
    seconds = outcome.seconds
    return {
        "processor": machine.name,
        "the captioning child sees": ", ".join(outcome.seen.get("processor", [])) or "the baseline",
        "CPU code": ", ".join(outcome.seen.get("variant", [])) or "-",
        "captions equal": f"{same} of {len(outcome.captions)}" if outcome.captions else "-",
        "lowest cosine of their vectors": f"{min(cosines):.6f}" if cosines else "-",
        "search": _agreement(outcome.found.get("search"), reference.found.get("search")),
        "recommend": _agreement(outcome.found.get("recommend"), reference.found.get("recommend")),
        "index / search / recommend, s": " / ".join(
            f"{seconds[step]:.1f}" if step in seconds else "-" for step in ("index", "search", "recommend")
        ),
        "problems": "; ".join(outcome.problems) or "none",
    }


def _agreement(ours: list[str] | None, reference: list[str] | None) -> str:
    if not ours or not reference:
        return "-"
    return "equal" if ours == reference else f"{len(set(ours) & set(reference))} of {len(reference)}"


def main(
    folder: Annotated[Path, typer.Argument(help="As packaging/emulated.py fills it.", exists=True, file_okay=False)],
    photos: Annotated[int, typer.Option(min=8, max=22, help="Drawn photos to index, each of another kind.")] = 8,
    only: Annotated[str, typer.Option(help="Only machines with this in their name, and this one.")] = "",
    out: Annotated[Path, typer.Option(help="Folder for machines.md and machines.json.")] = RESULTS,
) -> None:
    """Index, search and recommend on every machine, compare with this one, and write the report."""
    if platform.machine() != "x86_64":
        sys.exit("This compares emulated machines with an x86-64 one.")
    folder = folder.resolve()
    work = folder / f"work-{photos}"
    drawings = catalog_of_drawings(1)[:photos]
    catalog = write_catalog(work / "shop", drawings)
    history = ",".join(drawing.item_id for drawing in drawings[:2])
    chosen = [machine for machine in machines(folder) if not machine.emulator or only in machine.name]
    outcomes = [outcome_of(machine, catalog, history, work / machine.name.replace(", ", "-")) for machine in chosen]
    reference, pairs = outcomes[0], list(zip(chosen, outcomes, strict=True))
    rows = [_row(machine, outcome, reference) for machine, outcome in pairs]
    changed = [line for machine, outcome in pairs for line in differences(machine.name, reference, outcome)]
    remarks = [
        f"{photos} drawn photos with the embedded models; a history of 2 items; everything from the wheels, none compiled for "
        "its machine. Compared with this machine.",
        "What the child sees are NumPy's names for what the processor has beyond the baseline of NumPy's wheel.",
        "Emulated by qemu in user mode; seconds are the emulator's, on a busy machine, and say nothing of the processor. "
        "What an earlier run has done with the same wheels is not done again.",
        "Captions that are worded otherwise, token by token: " + ("none." if not changed else ""),
        *changed,
    ]
    more = {
        "seen": {machine.name: outcome.seen for machine, outcome in pairs},
        "captions": {machine.name: outcome.captions for machine, outcome in pairs},
    }
    sys.stdout.write(write_results(out, "machines", "Other processors", rows, remarks, more=more))
    if any(outcome.problems for outcome in outcomes):
        raise typer.Exit(code=1)


if __name__ == "__main__":
    run_plain(main)
