"""Telemetry of the packages below this one: off, before any of them is imported.

``vlm4rec_edge`` calls ``keep_quiet`` when it is itself imported. So whatever is imported after it, by us, by the user or by
another package, finds telemetry turned off, and so does every process that is started from this one. ``load`` is the only
place of this repository that imports these packages, which a test holds.

Sources: ONNX Runtime's ``Privacy.md`` (since 1.29 telemetry is on by default on Linux and macOS; the variable counts until
its library is loaded, and nothing stops it after that); huggingface_hub's ``constants.py``; OpenVINO's
``tools/ovc/__init__.py`` and ``telemetry_utils.py``; Ray's ``_common/usage/usage_lib.py`` and
``dashboard/modules/usage_stats/usage_stats_head.py``, which send statistics from the head of a cluster once an hour, unless
the variable says no where the cluster is started.
"""

from __future__ import annotations

import os
import sys
import warnings
from importlib import import_module
from typing import Any, NamedTuple

from vlm4rec_edge.errors import Vlm4RecWarning

VARIABLES = {"onnxruntime": "ORT_DISABLE_TELEMETRY", "huggingface_hub": "HF_HUB_DISABLE_TELEMETRY"}
# Has no such variable: when it is imported it writes an id into the home folder and tells its maker, unless the second package
# is missing, of which it then does without.
_OPENVINO, _OPENVINO_TELEMETRY = "openvino", "openvino_telemetry"
# Ray asks another question: whether its usage statistics are on. Where they are off it tells its maker that they are (unless
# a program started the cluster), so that goes to a port of this machine where nobody listens.
_OFF = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9"}
_TRUE = {"1", "true", "yes", "on"}
# Packages that another one imported before us with their telemetry on, and that cannot be stopped any more.
_too_late: set[str] = set()


class Telemetry(NamedTuple):
    """Whether the telemetry of a package is off in this process, and a sentence that says so."""

    package: str
    is_off: bool
    sentence: str


def keep_quiet() -> None:
    """Turn telemetry off, whatever the environment says: the promise of this package does not depend on it."""
    was_off = os.environ.get(VARIABLES["onnxruntime"], "").lower() in _TRUE
    if sys.modules.get("onnxruntime") is not None and not was_off:
        _too_late.add("onnxruntime")
    os.environ.update({**dict.fromkeys(VARIABLES.values(), "1"), **_OFF})
    if hub := sys.modules.get("huggingface_hub.constants"):  # it has read its variable, but asks this before it speaks
        hub.HF_HUB_DISABLE_TELEMETRY = True  # type: ignore[attr-defined]


def load(name: str) -> Any:
    """Import a module of onnxruntime, huggingface_hub or openvino, such as ``onnxruntime.transformers.float16``.

    Warns (``Vlm4RecWarning``) where another package imported onnxruntime or openvino first, with its telemetry on.

    Raises:
        ImportError: the package is not installed.
    """
    package = name.partition(".")[0]
    if package == _OPENVINO:
        return _load_openvino(name)
    module = import_module(name)
    if package == "onnxruntime":  # its older Windows builds report through the system, which only this call stops
        sys.modules[package].disable_telemetry_events()
    state = telemetry_of(package)
    if not state.is_off:
        warnings.warn(state.sentence, Vlm4RecWarning, stacklevel=2)
    return module


def telemetry_of(package: str) -> Telemetry:
    """Return whether the telemetry of one of ``VARIABLES`` is off; imports nothing."""
    variable = VARIABLES[package]
    if package not in _too_late:
        return Telemetry(package, True, f"The telemetry of {package} is off ({variable}=1).")
    return Telemetry(
        package,
        False,
        f"{package} was imported before vlm4rec_edge, with its telemetry on: it may write a device id into the home folder "
        f"and send data to its maker. Import vlm4rec_edge first, or set {variable}=1 before Python starts.",
    )


def _load_openvino(name: str) -> Any:
    """Import a module of openvino as if openvino-telemetry were not installed; it has a stub of its own for that."""
    if _OPENVINO in sys.modules:
        if sys.modules.get(_OPENVINO_TELEMETRY) is not None:
            warnings.warn(
                "openvino was imported before vlm4rec_edge did it, with its telemetry on: unless you opted out, it wrote an "
                "id into the home folder and sent data to its maker. Run `opt_in_out --opt_out`, or open the captioner first.",
                Vlm4RecWarning,
                stacklevel=3,
            )
        return import_module(name)
    before = {own: module for own, module in sys.modules.items() if own == _OPENVINO_TELEMETRY}
    sys.modules[_OPENVINO_TELEMETRY] = None  # type: ignore[assignment]  # an import of it says that it is not there
    try:
        return import_module(name)
    finally:
        del sys.modules[_OPENVINO_TELEMETRY]
        sys.modules.update(before)
