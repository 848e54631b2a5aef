"""Trials with shards: processes that run them and are killed, and what is lost, doubled or wrong in the end."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from made_shards import assert_equal, captions_made, models, odd_catalog

from vlm4rec_edge import build_index
from vlm4rec_edge.shards.folder import read_plan
from vlm4rec_edge.shards.merging import merge_shards
from vlm4rec_edge.shards.planning import plan_shards
from vlm4rec_edge.shards.running import run_shards
from vlm4rec_edge.shards.status import shard_status

_CHILD = Path(__file__).with_name("shard_child.py")
_SECONDS = 120


@dataclass(frozen=True)
class Trial:
    """A catalog in shards, and what a run comes to that nothing happens to: its index, and how many captions it makes.

    Twins in two shards cost two captions. ``rows`` is the most that a shard has, and so the most that a fault can cost.
    """

    folder: Path
    whole: Path
    log: Path
    captions: int
    rows: int

    def start(self, **task: Any) -> subprocess.Popen[str]:
        """Start a process that runs the shards; it has begun its work when this returns."""
        told = json.dumps({"folder": str(self.folder), "log": str(self.log), **task})
        process = subprocess.Popen(
            [sys.executable, str(_CHILD), told], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
        )
        assert process.stdout is not None
        process.stdout.readline()
        return process

    def run(self, **task: Any) -> dict[str, Any]:
        """Run the shards in a process to its end, and return what it said."""
        out, err = self.start(**task).communicate(timeout=_SECONDS)
        assert "Traceback" not in err, err
        return dict(json.loads(out))

    def killed(self, chance: random.Random, longest: float, **task: Any) -> bool:
        """Run the shards in a process that is killed at a random moment; return whether it was, or had ended before."""
        process = self.start(**task)
        try:
            process.wait(chance.uniform(0, longest))
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate(timeout=_SECONDS)
        return process.returncode == -9

    def check(self, faults: int) -> None:
        """Check that nothing is lost, doubled or wrong, and that no more was captioned twice than was in flight."""
        run_shards(self.folder, models=models(self.log))
        assert shard_status(self.folder, verify=True).is_complete
        merged = self.folder.with_name("merged.index")
        merge_shards(self.folder, merged)
        assert_equal(merged, self.whole)
        assert captions_made(self.log).total() <= self.captions + faults * self.rows


def new_trial(place: Path, items: int = 60, rows: int = 12) -> Trial:
    """Plan an odd catalog of some items, index it in one run, and count what its shards cost."""
    table = odd_catalog(place / "shop", items)
    own = models(place / "whole.log")
    build_index(table, place / "whole.index", captioner=own.captioner, encoder=own.encoder)
    for name in ("untroubled", "shards"):
        plan_shards(table, place / name, rows=rows)
    run_shards(place / "untroubled", models=models(place / "untroubled.log"))
    captions = captions_made(place / "untroubled.log").total()
    most = max(shard.rows for shard in read_plan(place / "shards").shards)
    return Trial(place / "shards", place / "whole.index", place / "captions.log", captions, most)
