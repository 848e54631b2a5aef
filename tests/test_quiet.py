"""Telemetry of the packages below ours is off before they are imported, wherever in this repository that is."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vlm4rec_edge.quiet import VARIABLES, telemetry_of

ROOT = Path(__file__).parent.parent
CODE = sorted(
    path for part in ("vlm4rec_edge", "export", "benchmarks", "models", "tests") for path in (ROOT / part).rglob("*.py")
)
# What a user starts; the other files of these folders are imported or started by them.
SCRIPTS = [
    path
    for folder in (ROOT / "benchmarks", ROOT / "export", ROOT / "models" / "training")
    for path in sorted(folder.glob("*.py"))
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
]


def _imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield every module that is imported in any way but ``quiet.load``, and the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((name.name, node.lineno) for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or "", node.lineno
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in {"import_module", "__import__"}:
                yield str(node.args[0].value), node.lineno


def _loud(source: str) -> list[int]:
    """Return the lines of a source that import a package with telemetry by themselves."""
    return [line for name, line in _imported(ast.parse(source)) if name.partition(".")[0] in {*VARIABLES, "openvino"}]


def test_the_search_finds_every_way_of_importing() -> None:
    ways = (
        "import onnxruntime as ort",
        "from onnxruntime.transformers import float16",
        "def f():\n    import numpy, huggingface_hub.errors",
        'import importlib\nimportlib.import_module("onnxruntime")',
        '__import__("huggingface_hub")',
        "from openvino import Core",
    )
    assert [_loud(way) for way in ways] == [[1], [1], [2], [2], [1], [1]]
    assert _loud('from vlm4rec_edge.quiet import load\nload("onnxruntime")\nimport onnx') == []


def test_no_file_imports_a_package_with_telemetry_but_through_the_one_place() -> None:
    assert len(CODE) > 300
    found = {str(path.relative_to(ROOT)): _loud(path.read_text(encoding="utf-8")) for path in CODE}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_only_the_files_behind_the_list_of_who_speaks_can_speak() -> None:
    """What the commands and scripts of ``vlm4rec_edge.privacy`` are made of; others open no connection of their own."""
    network = {
        "socket",
        "urllib.request",
        "http.client",
        "http.server",
        "requests",
        "httpx",
        "qdrant_client",
        "asyncio",
    }
    can_speak = set()
    for path in CODE:
        source = path.read_text(encoding="utf-8")
        if network & {name for name, _ in _imported(ast.parse(source))} or 'load("huggingface_hub' in source:
            can_speak.add(str(path.relative_to(ROOT)))
    assert {path for path in can_speak if not path.startswith("tests/")} == {
        "vlm4rec_edge/models/hub.py",  # models pull
        "vlm4rec_edge/catalog/web/addresses.py",  # index --fetch
        "vlm4rec_edge/catalog/web/transfer.py",
        "vlm4rec_edge/interchange/qdrant.py",  # export --format qdrant
        "vlm4rec_edge/serve/running.py",  # serve, which listens
        "vlm4rec_edge/serve/application.py",
        "vlm4rec_edge/serve/protocol.py",
        "vlm4rec_edge/serve/requests.py",
        "vlm4rec_edge/serve/working.py",
        "export/checkpoint.py",
        "benchmarks/fetching/download.py",
        "benchmarks/serving.py",  # asks its own server
        "benchmarks/timing/http_client.py",
    }


# Stops at the first import of a package with telemetry whose variable is not set; tells at its end whether ours was imported.
_WATCHED = f"""
import os, runpy, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in {VARIABLES!r} and os.environ.get({VARIABLES!r}[name]) != "1":
            raise SystemExit(f"{{name}} is imported with its telemetry on")
sys.meta_path.insert(0, Watch())
sys.argv = sys.argv[1:]
sys.path[0] = os.path.dirname(sys.argv[0])
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print("vlm4rec_edge" in sys.modules)
"""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_imports_this_package_before_any_that_has_telemetry(script: Path) -> None:
    """What a script imports later, and what it starts, finds telemetry off."""
    quiet = {name: value for name, value in os.environ.items() if name not in VARIABLES.values()}
    done = subprocess.run(
        [sys.executable, "-c", _WATCHED, str(script), "--help"], capture_output=True, text=True, env=quiet, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout.lower()
    assert done.stdout.splitlines()[-1] == "True"


def _told(code: str, **environment: str) -> dict[str, object]:
    """Run code that fills ``told``, in a fresh process without our variables."""
    clean = {name: value for name, value in os.environ.items() if name not in VARIABLES.values()}
    code = f"import json, sys, types, os\ntold = {{}}\n{code}\nprint(json.dumps(told))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**clean, **environment}, check=True
    )
    told: dict[str, object] = json.loads(done.stdout)
    return told


def test_importing_the_package_turns_telemetry_off_for_this_process_and_its_children() -> None:
    told = _told("import vlm4rec_edge; told = dict(os.environ)", ORT_DISABLE_TELEMETRY="0")
    assert {variable: told[variable] for variable in VARIABLES.values()} == dict.fromkeys(VARIABLES.values(), "1")
    assert all(telemetry_of(package).is_off for package in VARIABLES)


# An ONNX Runtime that is there already when ours comes, and what we say of it.
_ANOTHER_WAS_FIRST = """
import warnings
stopped = []
there = sys.modules["onnxruntime"] = types.ModuleType("onnxruntime")
there.disable_telemetry_events = lambda: stopped.append(True)
from vlm4rec_edge import quiet
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("default")
    for _ in range(2):
        quiet.load("onnxruntime")
state = quiet.telemetry_of("onnxruntime")
told = {"off": state.is_off, "sentence": state.sentence, "stopped": bool(stopped),
        "said": [(warning.category.__name__, str(warning.message)) for warning in said]}
"""


def test_an_onnxruntime_that_another_package_imported_first_is_told_once() -> None:
    told = _told(_ANOTHER_WAS_FIRST)
    assert told["off"] is False
    assert "ORT_DISABLE_TELEMETRY=1 before Python starts" in str(told["sentence"])
    assert told["said"] == [["Vlm4RecWarning", told["sentence"]]]
    assert told["stopped"] is True, "what can still be stopped is stopped"


@pytest.mark.parametrize("value", ["1", "true"])
def test_one_that_was_imported_first_with_the_variable_set_is_no_trouble(value: str) -> None:
    told = _told(_ANOTHER_WAS_FIRST, ORT_DISABLE_TELEMETRY=value)
    assert told["off"] is True
    assert told["said"] == []


def test_a_hub_that_another_package_imported_first_is_still_made_quiet() -> None:
    pytest.importorskip("huggingface_hub")
    told = _told(
        "import huggingface_hub.constants as constants\ntold['before'] = constants.HF_HUB_DISABLE_TELEMETRY\n"
        "import vlm4rec_edge\ntold['after'] = constants.HF_HUB_DISABLE_TELEMETRY",
        DO_NOT_TRACK="",
    )
    assert told == {"before": False, "after": True}


# An OpenVINO that does what the true one does when it is imported, beside a package of telemetry.
_OPENVINO = """
try:
    import openvino_telemetry
    has_telemetry = True
except ImportError:
    has_telemetry = False
"""
_IMPORTED = """
import warnings
sys.path.insert(0, os.environ["PACKAGES"])
from vlm4rec_edge import quiet
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("default")
    if os.environ["FIRST"]:
        import openvino
    for _ in range(2):
        told["has"] = quiet.load("openvino").has_telemetry
import openvino_telemetry
told["said"] = [str(warning.message) for warning in said]
"""


@pytest.fixture
def packages(tmp_path: Path) -> str:
    """A folder of packages with that OpenVINO."""
    (tmp_path / "openvino.py").write_text(_OPENVINO, encoding="utf-8")
    (tmp_path / "openvino_telemetry.py").write_text("", encoding="utf-8")
    return str(tmp_path)


def test_openvino_does_not_find_its_telemetry_which_stays_there_for_others(packages: str) -> None:
    assert _told(_IMPORTED, PACKAGES=packages, FIRST="") == {"has": False, "said": []}


def test_an_openvino_that_another_package_imported_first_is_told_once(packages: str) -> None:
    told = _told(_IMPORTED, PACKAGES=packages, FIRST="yes")
    assert told["has"] is True
    (said,) = told["said"]  # type: ignore[misc]
    assert "opt_in_out --opt_out" in said
