"""In the place of a Python interpreter: runs what it is given, but dies by a true signal of chosen photos.

The environment variable DEADLY is JSON: ``photos`` by sha256, ``load``, and ``more_than`` so many photos at once, each with
the number of the signal; ``code`` in place of a signal ends the process by an exit code; ``say`` is written to stderr before.
``encoder`` is a method of ``OnnxTower`` and the number of the signal, 0 to have it fail with an error that says ``say``.
``probe`` is what the probe of llama.cpp says, and ``signal`` what it then dies of, if of anything.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from importlib import import_module
from typing import Any

from vlm4rec_edge.errors import VisionEncoderError
from vlm4rec_edge.grounding.llama.captioner import LlamaCaptioner
from vlm4rec_edge.grounding.spawn import STARTED
from vlm4rec_edge.grounding.vision.tower import OnnxTower

DEADLY = json.loads(os.environ["DEADLY"])


def _die(number: int) -> None:
    sys.stderr.write(DEADLY.get("say", ""))
    sys.stderr.flush()
    if DEADLY.get("code"):
        os._exit(DEADLY["code"])
    os.kill(os.getpid(), number)
    time.sleep(60)


class _Deadly(LlamaCaptioner):
    _load, _make_ready = LlamaCaptioner.load, LlamaCaptioner._prepare

    def load(self) -> None:
        if "load" in DEADLY:
            _die(DEADLY["load"])
        self._load()
        if "more_than" in DEADLY and self.batch > DEADLY["more_than"][0]:
            _die(DEADLY["more_than"][1])

    def _prepare(self, request: Any) -> Any:
        if request is not None and request.photo.sha256 in DEADLY.get("photos", {}):
            _die(DEADLY["photos"][request.photo.sha256])
        return self._make_ready(request)


def _fail_in_encoder(*_: Any, **__: Any) -> None:
    if not DEADLY["encoder"][1]:
        raise VisionEncoderError(DEADLY["say"])
    _die(DEADLY["encoder"][1])


def _probe() -> None:
    for line in DEADLY["probe"]:
        print(json.dumps(line), flush=True)
    if "signal" in DEADLY:
        _die(DEADLY["signal"])


LlamaCaptioner.load, LlamaCaptioner._prepare = _Deadly.load, _Deadly._prepare  # type: ignore[method-assign]
LlamaCaptioner._load, LlamaCaptioner._make_ready = _Deadly._load, _Deadly._make_ready  # type: ignore[attr-defined]

if __name__ == "__main__":
    # What ``vlm4rec_edge.grounding.spawn`` has a new interpreter do.
    sys.path[:] = json.loads(sys.stdin.buffer.readline())
    code = sys.argv.index("-c") + 1
    wanted = re.search(r"from ([\w.]+) import main", sys.argv[code])
    assert wanted is not None
    sys.argv = ["-c", *sys.argv[code + 1 :]]
    main = import_module(wanted[1]).main
    if "encoder" in DEADLY and wanted[1].endswith(".worker"):  # not in the process that makes the graph
        setattr(OnnxTower, DEADLY["encoder"][0], _fail_in_encoder)
    print(STARTED, flush=True)
    if "probe" in DEADLY and wanted[1].endswith(".probe"):
        _probe()
    else:
        main()
