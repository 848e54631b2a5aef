"""Pulled models lie where the user says, else where the platform keeps caches."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlm4rec_edge.models import home as home_module
from vlm4rec_edge.models.home import models_home


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VLM4REC_EDGE_HOME", str(tmp_path))
    assert models_home() == tmp_path / "models"


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", "XDG_CACHE_HOME", "chosen/vlm4rec-edge/models"),
        ("linux", "", "me/.cache/vlm4rec-edge/models"),
        ("darwin", "", "me/Library/Caches/vlm4rec-edge/models"),
        ("win32", "LOCALAPPDATA", "chosen/vlm4rec-edge/models"),
    ],
)
def test_each_platform_has_its_cache_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str, variable: str, expected: str
) -> None:
    for name in ("VLM4REC_EDGE_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "chosen"))
    monkeypatch.setattr(home_module.sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "me")
    assert models_home() == tmp_path / expected
