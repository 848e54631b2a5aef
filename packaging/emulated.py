"""Prepare ``make test-machines``: the package as its wheels install it, for this machine and for an emulated 64-bit Arm.

``build/machines`` then has ``env``, a virtual environment, and for Arm ``root``, a Debian with Python, and ``site``, packages.
"""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from compiled import AARCH64, X86_64, pip, run
from kept import ROOT
from offline import PACKAGE
from roots import debian_root, needed
from wheels import DIST, fill, platforms

_MACHINES = ROOT / "build" / "machines"
# Older ones crash ONNX Runtime on Arm.
_OLDEST_QEMU = 10


def main() -> None:
    """Prepare it anew, if it is not there as made from the same wheels."""
    if platform.machine() != X86_64.machine:
        sys.exit("make test-machines is written for an x86-64 machine that emulates others.")
    for program in ("qemu-x86_64", "qemu-aarch64"):
        _check_qemu(
            needed(program, "qemu-user", f", from Debian's backports: version {_OLDEST_QEMU} or newer is needed")
        )
    root = debian_root(AARCH64, "extract", ["python3", "libstdc++6"])
    wheels = ROOT / "build" / "dist-aarch64"
    fill(wheels, AARCH64)
    files = [*sorted(DIST.glob("*.whl")), *sorted(wheels.glob("*.whl"))]
    made_from = "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files)
    note = _MACHINES / "made-from"
    if note.is_file() and note.read_text(encoding="utf-8") == made_from:
        return
    shutil.rmtree(_MACHINES, ignore_errors=True)
    _MACHINES.mkdir(parents=True)
    (_MACHINES / "root").symlink_to(root)
    foreign = [f"--platform={tag}" for tag in platforms(AARCH64)]
    without_registry = ("--quiet", "--no-index", "--find-links")
    pip("install", *without_registry, wheels, "--only-binary=:all:", *foreign, "--target", _MACHINES / "site", PACKAGE)
    venv.create(_MACHINES / "env", with_pip=True)
    run(_MACHINES / "env" / "bin" / "python", "-m", "pip", "install", *without_registry, DIST, PACKAGE)
    note.write_text(made_from, encoding="utf-8")


def _check_qemu(program: str) -> None:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version (\d+)", said)
    if not found or int(found[1]) < _OLDEST_QEMU:
        name = Path(program).name
        sys.exit(f"{name} is too old ({said.splitlines()[0]}): apt-get install -t bookworm-backports qemu-user")


if __name__ == "__main__":
    main()
