"""Compile llama-cpp-python for this machine as CMAKE_ARGS says, once, and print where its wheel lies.

pip would keep what it compiled without regard to CMAKE_ARGS, and install a wheel again that was compiled in another way.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from compiled import from_source, pinned, version_of
from kept import ROOT, kept


def main() -> None:
    """Print the path of the wheel."""
    requirement = pinned("llama-cpp-python")
    cmake_args = os.environ.get("CMAKE_ARGS", "")
    made_from = {
        "requirement": requirement,
        "cmake_args": cmake_args.replace(str(ROOT), ""),
        "files": {file.name: file.read_text(encoding="utf-8") for file in sorted(ROOT.glob("packaging/*.cmake"))},
        "compiler": version_of(os.environ.get("CXX", "c++")),
    }

    def make(folder: Path) -> None:
        sys.stderr.write("Compiling llama.cpp, which takes 3 to 10 minutes; the wheel is kept.\n")
        from_source(requirement, folder)

    (wheel,) = kept("llama-cpp-python-native", made_from, make).iterdir()
    sys.stdout.write(f"{wheel}\n")


if __name__ == "__main__":
    main()
