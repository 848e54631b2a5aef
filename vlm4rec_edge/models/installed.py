"""Which models this machine holds.

An embedded model is a package of its own, with its own license: its wheel puts one folder, named as the model, into the
namespace package ``vlm4rec_edge_models``. In a checkout (an editable install) the same folder lies in ``models/``.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from vlm4rec_edge.errors import ModelError
from vlm4rec_edge.models.home import models_home
from vlm4rec_edge.models.manifest import MANIFEST_NAME
from vlm4rec_edge.models.registry import ModelEntry

PACKAGES = "vlm4rec_edge_models"
_ROOT = Path(__file__).resolve().parent.parent.parent


def installed() -> dict[str, Path]:
    """Return the folder of every embedded and pulled model by name, embedded ones first.

    A folder with a manifest that someone put beside the pulled models counts as well; where a pulled model
    has the name of an embedded one, the embedded one is meant.
    """
    found: dict[str, Path] = {}
    for place in (*embedded_places(), models_home()):
        for manifest in sorted(place.glob(f"*/{MANIFEST_NAME}")):
            # Half-pulled models lie in a folder that starts with a dot.
            if not manifest.parent.name.startswith("."):
                found.setdefault(manifest.parent.name, manifest.parent)
    return found


def embedded_places(root: Path = _ROOT) -> list[Path]:
    """Return the folders that hold one folder an embedded model, a checkout's first.

    Args:
        root: The folder that ``vlm4rec_edge`` lies in. Only in a checkout is ``models`` beside it ours.
    """
    spec = find_spec(PACKAGES)
    packages = [Path(place) for place in spec.submodule_search_locations or ()] if spec else []
    return [root / "models", *packages] if (root / "pyproject.toml").is_file() else packages


def not_installed(entry: ModelEntry) -> ModelError:
    """Return the error that says how a model of the registry is brought onto this machine."""
    if entry.embedded:
        return ModelError(
            f"The model {entry.name} is a package of its own, and not on this machine; run: "
            f"pip install vlm4rec-edge-{entry.name} (in a clone: pip install ./models/{entry.name})"
        )
    return ModelError(f"{entry.name} is not on this machine; run: vlm4rec-edge models pull {entry.name}")
