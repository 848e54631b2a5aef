"""A process that runs shards with stand-ins for the models, to be killed; its argument is a JSON object."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from made_shards import models

from vlm4rec_edge.errors import Vlm4RecError
from vlm4rec_edge.shards.running import run_shards


def _main(folder: str, log: str, seconds: float = 0.0, indexes: list[int] | None = None, file_bytes: int = 0) -> None:
    sys.stdout.write("begin\n")
    sys.stdout.flush()
    if file_bytes:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    try:
        report = run_shards(folder, indexes, models=models(Path(log), seconds))
    except Vlm4RecError as error:
        sys.stdout.write(json.dumps({"error": str(error)}))
        sys.exit(1)
    sys.stdout.write(json.dumps(report.to_dict()))


if __name__ == "__main__":
    _main(**json.loads(sys.argv[1]))
