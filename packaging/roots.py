"""Small Debian systems in a folder: bare ones to install into, and foreign ones to emulate a program in."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from compiled import Processors, run
from kept import kept

# The Debian whose python3 is this Python, for the wheels in dist/ are this Python's.
_RELEASES = {(3, 11): "bookworm", (3, 13): "trixie"}


def debian_root(kind: Processors, variant: str, packages: list[str]) -> Path:
    """Return the folder of a Debian of another ``kind`` or of this one, with its own Python and these packages.

    Args:
        kind: Of processors.
        variant: As mmdebstrap calls it: ``minbase`` (installed, with apt) or ``extract`` (unpacked and no more).
        packages: Beside what the variant has.
    """
    needed("mmdebstrap", "mmdebstrap")
    if os.geteuid() != 0:
        sys.exit("Making a Debian in a folder needs root; run this target as root.")
    release = _RELEASES.get(sys.version_info[:2])
    if release is None:
        python = ".".join(map(str, sys.version_info[:2]))
        known = " or ".join(f"{major}.{minor}" for major, minor in _RELEASES)
        sys.exit(f"No Debian has Python {python}; run this target with Python {known} (make PYTHON=python3.11 ...).")

    def make(folder: Path) -> None:
        sys.stderr.write(f"Making a Debian {release} for {kind.machine} ({variant}).\n")
        options = [f"--architectures={kind.debian}", f"--variant={variant}", f"--include={','.join(packages)}"]
        run("mmdebstrap", "--quiet", *options, release, folder / "root")

    made_from = {"release": release, "variant": variant, "packages": packages}
    return kept(f"root-{variant}-{kind.machine}", made_from, make) / "root"


def needed(program: str, package: str, note: str = "") -> str:
    """Return the path of a program; if it is missing, end with the sentence that says how to install it."""
    path = shutil.which(program)
    if path is None:
        sys.exit(f"{program} is missing: apt-get install {package}{note}")
    return path
