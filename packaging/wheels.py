"""``make wheels``: fill ``dist/`` with every wheel that an empty environment needs for the extras of ``offline.EXTRAS``.

They are for the Python that runs this, and for every processor of one kind: of this machine, or of the one given.
"""

from __future__ import annotations

import argparse
import platform
import sys
from pathlib import Path

from compiled import KINDS, Processors, hnswlib, llama_cpp, pip
from kept import ROOT
from offline import EXTRAS, command

DIST = ROOT / "dist"
# The newest glibc of which ready wheels for another machine are taken, that of Debian 12; manylinux wheels begin at 2.17.
_GLIBC = 36
_OLDEST_GLIBC = 17


def fill(dist: Path, kind: Processors) -> None:
    """Put the wheels into ``dist``, and leave no others there: ours, the compiled ones, and ready ones of the index."""
    compiled = [*llama_cpp(kind).glob("*.whl"), *hnswlib(kind).glob("*.whl")]
    dist.mkdir(parents=True, exist_ok=True)
    for wheel in dist.glob("*.whl"):
        wheel.unlink()
    code, *models = (_ours(folder, dist) for folder in (ROOT, *sorted((ROOT / "models").glob("*/pyproject.toml"))))
    wheels = [f"{code}[{EXTRAS}]", *models, *compiled]
    foreign = [f"--platform={tag}" for tag in platforms(kind)] if kind.compiler else []
    # Given as files, no package of the same name on the index can take their place; and only wheels are taken from there.
    pip("download", "--only-binary=:all:", *foreign, "--dest", dist, *wheels)


def _ours(project: Path, dist: Path) -> Path:
    folder = project if project.is_dir() else project.parent
    before = set(dist.glob("*.whl"))
    pip("wheel", "--no-deps", "--wheel-dir", dist, folder)
    (wheel,) = set(dist.glob("*.whl")) - before
    return wheel


def platforms(kind: Processors) -> list[str]:
    """Return the platform tags of wheels that run on ``kind`` with the glibc of Debian 12, the best first."""
    return [f"manylinux_2_{minor}_{kind.machine}" for minor in range(_GLIBC, _OLDEST_GLIBC - 1, -1)] + [
        f"manylinux2014_{kind.machine}",
        f"linux_{kind.machine}",
    ]


def main() -> None:
    """Read the command line, fill the folder and say what is in it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--machine", choices=sorted(KINDS), default=platform.machine(), help="Default: this machine's.")
    parser.add_argument(
        "--dist", type=Path, default=DIST, help="Folder for the wheels, emptied of others. Default: dist."
    )
    arguments = parser.parse_args()
    if platform.system() != "Linux" or arguments.machine not in KINDS:
        sys.exit(
            f"Wheels are made on Linux for {' and '.join(KINDS)}, not on {platform.system()} {platform.machine()}."
        )
    fill(arguments.dist, KINDS[arguments.machine])
    wheels = sorted(arguments.dist.glob("*.whl"))
    for wheel in wheels:
        sys.stdout.write(f"{wheel.stat().st_size / 1e6:8.2f} MB  {wheel.name}\n")
    sys.stdout.write(f"{sum(wheel.stat().st_size for wheel in wheels) / 1e6:8.2f} MB  {len(wheels)} wheels\n")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    sys.stdout.write(f"Install them, with Python {python} and no compiler: {command(arguments.dist)}\n")


if __name__ == "__main__":
    main()
