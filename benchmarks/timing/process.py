"""The whole process as a user starts it: ``index`` of a folder of photos, and a cold ``recommend``, as catalogs grow."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from running.fresh_process import PROGRAM, run_process
from running.results_file import Section

from timing.photos import photo_catalog
from timing.spread import spread
from vlm4rec_edge.store.reader import StoreReader

_HISTORY = 10


def process(
    work: Path, photos: Sequence[Path], sizes: Sequence[int], *, runs: int, once_from: int, processes: int
) -> Section:
    """Index ``sizes`` photos and recommend from what was made, each in fresh processes.

    From ``once_from`` photos on the index is made once, whatever ``runs`` says.
    """
    rows: list[dict[str, str]] = []
    figures: list[dict[str, Any]] = []
    for size in sizes:
        folder, out = work / f"photos-{size}", work / f"photos-{size}.index"
        photo_catalog(folder, photos, size)
        indexed = [_index(folder, out) for _ in range(1 if size >= once_from else runs)]
        with StoreReader(out) as store:
            ids, texts = [item.id for item in islice(store.items(), _HISTORY)], store.rows
        command = [str(PROGRAM), "recommend", str(out), "--history", ",".join(ids), "--json"]
        cold = [run_process(command) for _ in range(processes)]
        rates = [own["items"] / own["seconds"] for own in indexed]
        rows.append(
            {
                "photos": f"{size:,}",
                "different captions": f"{texts:,}",
                "index, from start to end, s": spread([own["seconds"] for own in indexed]).text(1, 1),
                "items/s": spread(rates).text(1, 1),
                "peak memory, MB": f"{max(own['peak_mb'] for own in indexed):.0f}",
                "index on disk, MB": f"{sum(path.stat().st_size for path in out.rglob('*') if path.is_file()) / 1e6:.1f}",
                "cold recommend, s": spread([own.seconds for own in cold]).text(1, 3),
                "its peak memory, MB": f"{max(own.peak_mb for own in cold):.0f}",
            }
        )
        figures.append(
            {
                "photos": size,
                "captions": texts,
                "index": indexed,
                "items_per_s": rates,
                "cold_s": [own.seconds for own in cold],
                "cold_peak_mb": [own.peak_mb for own in cold],
            }
        )
    remarks = [
        f"`index` of a folder of photos with the embedded models, {runs} fresh processes, one from {once_from:,} "
        f"photos on; then {processes} cold `recommend` processes with a history of {_HISTORY} items. Medians, lowest and "
        "highest in brackets.",
        f"{len(photos):,} different pictures; larger catalogs show them again, as other files, so that each is read "
        "and captioned anew. Equal captions share one vector, so the search has fewer vectors than a catalog of as many "
        "different pictures.",
        "Peak memory is that of the process, mapped files included.",
    ]
    return Section("process", "The whole process", rows, figures, remarks)


def _index(folder: Path, out: Path) -> dict[str, Any]:
    shutil.rmtree(out, ignore_errors=True)
    ran = run_process([str(PROGRAM), "index", str(folder), "--out", str(out), "--json"])
    report = json.loads(ran.said)
    if report["failed"]:
        raise SystemExit(f"index failed on {report['failed']} photos of {folder}.")
    return {"items": report["items"], "seconds": ran.seconds, "peak_mb": ran.peak_mb, "batch": report["batch"]}
