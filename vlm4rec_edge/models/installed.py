"""Which models this machine holds."""

from __future__ import annotations

from pathlib import Path

from vlm4rec_edge.models.home import models_home
from vlm4rec_edge.models.manifest import MANIFEST_NAME
from vlm4rec_edge.models.registry import shipped_folder


def installed() -> dict[str, Path]:
    """Return the folder of every embedded and pulled model by name, embedded ones first.

    A folder with a manifest that someone put beside the pulled models counts as well; where a pulled model
    has the name of an embedded one, the embedded one is meant.
    """
    found: dict[str, Path] = {}
    for place in (shipped_folder(), models_home()):
        for manifest in sorted(place.glob(f"*/{MANIFEST_NAME}")):
            # Half-pulled models lie in a folder that starts with a dot.
            if not manifest.parent.name.startswith("."):
                found.setdefault(manifest.parent.name, manifest.parent)
    return found
