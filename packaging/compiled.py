"""llama-cpp-python and hnswlib as wheels that run on every processor of one kind, not only on the one they are compiled on."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from dataclasses import dataclass
from pathlib import Path

from kept import ROOT, kept

# Marks our wheel among others of the same version, and comes before a wheel without a build tag. A build tag starts with a
# number; raise it when the same version is compiled in another way.
BUILD_TAG = "1vlm4rec"
_LINES_SHOWN = 60


@dataclass(frozen=True)
class Processors:
    """A kind of processors to compile for.

    Attributes:
        machine: As Python, wheels and CMake call it.
        baseline: Compiler flag for all code of which there is one variant: what every processor of the kind has.
        debian: As Debian calls the kind, in packages and in the names of its cross compilers.
    """

    machine: str
    baseline: str
    debian: str

    @property
    def compiler(self) -> str:
        """What stands before gcc and g++ in the compilers' names: nothing on a machine of the kind itself."""
        return "" if platform.machine() == self.machine else f"{self.machine}-linux-gnu-"


# x86-64-v2 (SSE4.2, 2008 on) is what numpy's wheels need as well.
X86_64 = Processors("x86_64", "-march=x86-64-v2", "amd64")
AARCH64 = Processors("aarch64", "-march=armv8-a", "arm64")
KINDS = {kind.machine: kind for kind in (X86_64, AARCH64)}


def pinned(package: str) -> str:
    """Return the requirement of our own package that names ``package``, as ``pyproject.toml`` has it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    for requirement in [*project["dependencies"], *(one for extra in extras for one in extra)]:
        if requirement.startswith(package):
            return str(requirement)
    sys.exit(f"pyproject.toml has no requirement {package}.")


def llama_cpp(kind: Processors) -> Path:
    """Return the folder with the wheel of llama-cpp-python: all CPU variants of ``kind``, chosen when it is loaded.

    Every library is in it once, where llama_cpp looks, and nothing is put beside other packages (stock builds put three
    copies of each there, and as many into lib/ of the environment, with the headers).
    """
    options = {
        "CMAKE_PROJECT_llama.cpp_INCLUDE": ROOT / "packaging" / "llama.cpp.cmake",
        "LLAMA_OPENSSL": "OFF",
        "MTMD_VIDEO": "OFF",
        "GGML_NATIVE": "OFF",
        "GGML_BACKEND_DL": "ON",
        "GGML_CPU_ALL_VARIANTS": "ON",
        "CMAKE_C_FLAGS": kind.baseline,
        "CMAKE_CXX_FLAGS": kind.baseline,
        "CMAKE_INSTALL_BINDIR": "llama_cpp/lib",
        "CMAKE_INSTALL_LIBDIR": "llama_cpp/lib",
        "CMAKE_INSTALL_RPATH": "$ORIGIN",
        "CMAKE_PLATFORM_NO_VERSIONED_SONAME": "ON",
    }
    files = ["packaging/llama.cpp.cmake"]
    if kind is AARCH64:
        files.append("packaging/ggml-arm.cmake")
        options["CMAKE_PROJECT_ggml_INCLUDE"] = ROOT / "packaging" / "ggml-arm.cmake"
    if kind.compiler:
        options |= {
            "CMAKE_SYSTEM_NAME": "Linux",
            "CMAKE_SYSTEM_PROCESSOR": kind.machine,
            "CMAKE_C_COMPILER": f"{kind.compiler}gcc",
            "CMAKE_CXX_COMPILER": f"{kind.compiler}g++",
        }
    environment = {
        "CMAKE_ARGS": " ".join(f"-D{name}={value}" for name, value in options.items()),
        "SKBUILD_WHEEL_BUILD_TAG": BUILD_TAG,
        "SKBUILD_WHEEL_EXCLUDE": "include/**;llama_cpp/lib/cmake/**;llama_cpp/lib/pkgconfig/**",
    }
    made_from: dict[str, object] = {"files": {name: (ROOT / name).read_text(encoding="utf-8") for name in files}}
    return _compiled("llama-cpp-python", kind, environment, made_from)


def hnswlib(kind: Processors) -> Path:
    """Return the folder with the wheel of hnswlib, compiled for the baseline of ``kind`` and this Python."""
    environment = {"HNSWLIB_NO_NATIVE": "1", "CFLAGS": kind.baseline, "LDFLAGS": "-s"}
    if kind.compiler:
        suffix = f".cpython-{sys.version_info.major}{sys.version_info.minor}-{kind.machine}-linux-gnu.so"
        environment |= {
            "CC": f"{kind.compiler}gcc",
            "CXX": f"{kind.compiler}g++",
            "LDSHARED": f"{kind.compiler}g++ -shared",
            "LDCXXSHARED": f"{kind.compiler}g++ -shared",
            "SETUPTOOLS_EXT_SUFFIX": suffix,
        }
    return _compiled("hnswlib", kind, environment, {"python": sysconfig.get_config_var("EXT_SUFFIX")})


def _compiled(package: str, kind: Processors, environment: dict[str, str], made_from: dict[str, object]) -> Path:
    """Compile ``package`` from its source and put what it needs of the compiler's libraries into the wheel.

    ``made_from`` is what the wheel depends on beside the requirement, the environment and the compiler.
    """
    compiler = shutil.which(f"{kind.compiler}g++")
    if compiler is None:
        name = f"g++-{kind.compiler.rstrip('-')}" if kind.compiler else "g++"
        sys.exit(f"Compiling for {kind.machine} needs {kind.compiler}g++: apt-get install {name}")
    requirement = pinned(package)
    settings = {name: value.replace(str(ROOT), "") for name, value in environment.items()}
    made_from |= {"requirement": requirement, "environment": settings, "compiler": version_of(compiler)}

    def make(folder: Path) -> None:
        sys.stderr.write(f"Compiling {requirement} for {kind.machine}.\n")
        raw = folder / "raw"
        from_source(requirement, raw, **environment)
        if kind.compiler:
            tag = f"--platform-tag=linux_{kind.machine}"
            run(sys.executable, "-m", "wheel", "tags", "--remove", tag, *raw.iterdir())
        # The compiler's own libraries (libgomp) are taken into the wheel; where they lie, the compiler knows.
        found = subprocess.run([compiler, "-print-file-name=libgomp.so.1"], capture_output=True, text=True, check=True)
        own, cross = Path(found.stdout.strip()).resolve().parent, f"/usr/{kind.machine}-linux-gnu/lib"
        repair = (sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", folder, *raw.iterdir())
        run(*repair, LD_LIBRARY_PATH=f"{own}{os.pathsep}{cross}")
        shutil.rmtree(raw)

    return kept(f"{package}-{kind.machine}", made_from, make)


def from_source(requirement: str, folder: Path, **environment: str) -> None:
    """Compile a pinned requirement into a wheel in ``folder``; never a wheel from elsewhere, nor one that pip has kept."""
    package = re.split("[<>=~!]", requirement)[0]
    parallel = {"CMAKE_BUILD_PARALLEL_LEVEL": os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL") or str(os.cpu_count() or 1)}
    source = ("--no-deps", "--no-cache-dir", "--no-binary", package)
    pip("wheel", *source, "--wheel-dir", folder, requirement, **parallel, **environment)


def version_of(compiler: str) -> str:
    """Return what a compiler says of its version; an empty text where there is none."""
    path = shutil.which(compiler)
    return subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout if path else ""


def run(*command: object, **environment: str) -> None:
    """Run a command, the programs of this environment first; of its output only the end is shown, and only if it fails."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, "PATH": path, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-_LINES_SHOWN:])
        sys.exit(f"{last}\n{' '.join(str(part) for part in command)} failed with exit code {done.returncode}.")


def pip(*arguments: object, **environment: str) -> None:
    """Run pip of this environment; as ``run``."""
    run(sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments, **environment)
