"""What the folder of wheels is for: to install from it, without a compiler and without a registry."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

# What makes an index and recommends from it, the page and the API, and learning from purchases. The other extras need the
# registry: they are large, or for few.
EXTRAS = "cpu,hnsw,learn,models,serve"
PACKAGE = f"vlm4rec-edge[{EXTRAS}]"


def command(folder: Path | str) -> str:
    """Return the command that installs everything from a folder."""
    return f'pip install --no-index --find-links {folder} "{PACKAGE}"'


def about() -> str:
    """Return what a release notes of its wheels, as Markdown."""
    python, extras = f"{sys.version_info.major}.{sys.version_info.minor}", EXTRAS.replace(",", ", ")
    return (
        "## Installing from these files\n\n"
        f"The wheels, those of other projects among them, are for Python {python} on {platform.system()} "
        f"({platform.machine()}). They are all that the extras {extras} need, without a compiler and without a registry; all "
        f"other extras need a registry. In the folder of the files:\n\n```bash\n{command('.')}\n```\n"
    )
