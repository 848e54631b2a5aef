"""Made models and a stand-in of the hub for the tests of models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_stand_in import Hub, Pull, serve
from made_models import ONNX, PROJECTOR_GGUF, TEXT_GGUF, TOKENIZER


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A folder with a made text model and a made projector."""
    folder = tmp_path / "pair"
    folder.mkdir()
    (folder / "made.gguf").write_bytes(TEXT_GGUF)
    (folder / "mmproj-made.gguf").write_bytes(PROJECTOR_GGUF)
    return folder


@pytest.fixture
def encoder_folder(tmp_path: Path) -> Path:
    """A folder with a made graph and tokenizer, without a manifest."""
    folder = tmp_path / "encoder"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(ONNX)
    (folder / "tokenizer.json").write_bytes(TOKENIZER)
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home for pulled models, in the environment."""
    monkeypatch.setenv("VLM4REC_EDGE_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "models"


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A running stand-in of the hub."""
    with serve() as state:
        yield state


@pytest.fixture
def pull(hub: Hub, home: Path, tmp_path: Path) -> Pull:
    """Pull from the stand-in into an empty home."""
    return Pull(hub, tmp_path)
