"""Pulled models lie where the user says, else where the platform keeps caches."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlm4rec_edge.errors import UsageError
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


@pytest.mark.parametrize(("chosen", "words"), [("", "known here; set"), ("~nobody-of-this-name/x", "for ~nobody")])
def test_a_home_folder_that_nobody_knows_is_a_sentence(
    chosen: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    monkeypatch.setattr(home_module.sys, "platform", "linux")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("VLM4REC_EDGE_HOME", chosen)
    with pytest.raises(UsageError, match=f"{words}.*VLM4REC_EDGE_HOME|{words} VLM4REC_EDGE_HOME"):
        models_home()
