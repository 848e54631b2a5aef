"""``make test-bare``: from the wheels alone, in a Debian without a compiler and without a network, to the demo's report."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
import time

from compiled import KINDS, run
from kept import ROOT
from offline import PACKAGE
from roots import debian_root, needed
from wheels import DIST

_BARE = ROOT / "build" / "bare"
_PROGRAM = "/env/bin/vlm4rec-edge"
# What a bare system must not have, or the test would show nothing.
_ABSENT = ("usr/bin/cc", "usr/bin/gcc", "usr/bin/c++", "usr/bin/g++", "usr/bin/make", "usr/bin/cmake")


def main() -> None:
    """Install, run the demo, search and recommend; say how long each step took."""
    needed("unshare", "util-linux")
    root = debian_root(KINDS[platform.machine()], "minbase", ["python3", "python3-venv"])
    shutil.rmtree(_BARE, ignore_errors=True)
    run("cp", "--archive", root, _BARE)  # not copytree: it would read devices to their end, and /dev/full has none
    shutil.copytree(DIST, _BARE / "dist")
    found = [name for name in _ABSENT if (_BARE / name).exists()] + [str(path) for path in _BARE.rglob("libgomp.so*")]
    if found:
        sys.exit(f"This Debian is not bare, it has {', '.join(found)}.")
    _no_network()
    begun = time.monotonic()
    _step("python3", "-m", "venv", "/env")
    _step("/env/bin/pip", "install", "--quiet", "--no-index", "--find-links", "/dist", PACKAGE)
    demo = json.loads(_step(_PROGRAM, "demo", "--out", "/demo", "--json"))
    sys.stdout.write(f"{time.monotonic() - begun:7.1f} s  from an empty environment to the demo's report\n")
    if not (_BARE / "demo" / "report.html").is_file():
        sys.exit("The demo wrote no report.")
    history = ",".join(demo["shoppers"][0]["history"])
    found = json.loads(_step(_PROGRAM, "search", "/demo/shop.index", "a black dress", "--json"))["recommendations"]
    recommended = json.loads(_step(_PROGRAM, "recommend", "/demo/shop.index", "--history", history, "--json"))
    _step(_PROGRAM, "models", "verify", "--golden")
    sys.stdout.write(f"Found: {found[0]['caption']}\n")
    sys.stdout.write(
        f"Recommended to {history}: {', '.join(hit['item_id'] for hit in recommended['recommendations'])}\n"
    )


def _no_network() -> None:
    code = "import socket; socket.create_connection(('deb.debian.org', 80), timeout=5)"
    if _inside("/usr/bin/python3", "-c", code).returncode == 0:
        sys.exit("There is a network inside, so the test would show nothing.")


def _step(*command: str) -> str:
    """Run a command inside and return its stdout; end with all it said if it fails."""
    begun = time.monotonic()
    done = _inside(*command)
    if done.returncode:
        sys.exit(f"{done.stdout}\n{done.stderr}\n{' '.join(command)} failed with exit code {done.returncode}.")
    sys.stdout.write(f"{time.monotonic() - begun:7.1f} s  {' '.join(command)}\n")
    return done.stdout


def _inside(*command: str) -> subprocess.CompletedProcess[str]:
    own = ["unshare", "--net", "--mount", "--pid", "--fork", f"--mount-proc={_BARE / 'proc'}", "chroot", str(_BARE)]
    clean = ["/usr/bin/env", "-i", "PATH=/usr/bin:/bin", "HOME=/root", "LANG=C.UTF-8"]
    return subprocess.run([*own, *clean, *command], capture_output=True, text=True, check=False)


if __name__ == "__main__":
    main()
