"""Without the extra ``[serve]`` the reason is a sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vlm4rec_edge.errors import MissingDependencyError


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_serving_without_the_extra_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str) -> None:
    for name in [
        name for name in sys.modules if name.split(".")[0] == missing or name.startswith("vlm4rec_edge.serve")
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    from vlm4rec_edge.serve.running import serve

    with pytest.raises(MissingDependencyError, match=r"vlm4rec-edge\[serve\]"):
        serve(tmp_path)
