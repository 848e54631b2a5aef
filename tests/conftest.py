"""What many tests share: the embedded models, loaded once, and a small shop, indexed once."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from forked import can_fork, interpreter
from made_once import made_once

# The model and the pictures are so small that a second thread gains nothing, and waiting for it costs much where other
# programs have the cores. Read when llama.cpp is loaded, here and in child processes.
os.environ.setdefault("OMP_THREAD_LIMIT", "1")

from drawings import Drawing, catalog_of_drawings, write_catalog

from vlm4rec_edge import LlamaCaptioner, OnnxEncoder, build_index, resolve_encoder, resolve_lvlm

# A busy machine is no reason to fail.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")

SHOP_ITEMS = 24


@pytest.fixture(scope="session", autouse=True)
def _home_without_pulled_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the developer has pulled must not change a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLM4REC_EDGE_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _captioning_processes_are_forked() -> Iterator[None]:
    """They are started by the hundred, and take longer to import than to caption."""
    with pytest.MonkeyPatch.context() as patch:
        if can_fork():
            patch.setenv("VLM4REC_EDGE_PYTHON", shlex.join(interpreter()))
        yield


@pytest.fixture
def new_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Captioning processes are started as for a user, where what they import, or how they start, is the claim."""
    monkeypatch.delenv("VLM4REC_EDGE_PYTHON", raising=False)


@pytest.fixture(scope="session")
def captioner() -> Iterator[LlamaCaptioner]:
    """The embedded vision-language model as it comes."""
    with LlamaCaptioner(resolve_lvlm(), batch=8) as loaded:
        yield loaded


@pytest.fixture(scope="session")
def brief_captioner() -> Iterator[LlamaCaptioner]:
    """The embedded vision-language model, held to a few words, where what it says does not matter."""
    with LlamaCaptioner(resolve_lvlm(), batch=4, max_tokens=6) as loaded:
        yield loaded


@pytest.fixture(scope="session")
def encoder() -> Iterator[OnnxEncoder]:
    """The embedded encoder."""
    with OnnxEncoder(resolve_encoder(), threads=1) as loaded:
        yield loaded


@pytest.fixture(scope="session")
def drawings() -> list[Drawing]:
    """The products of the shop, in the order of its table."""
    return catalog_of_drawings(2, seed=3)[:SHOP_ITEMS]


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory, drawings: list[Drawing]) -> Path:
    """The table of a small shop, its pictures beside it. To be read only."""
    return made_once(tmp_path_factory, "shop", lambda folder: write_catalog(folder, drawings)) / "items.csv"


@pytest.fixture(scope="session")
def shop_index(
    tmp_path_factory: pytest.TempPathFactory, shop: Path, captioner: LlamaCaptioner, encoder: OnnxEncoder
) -> Path:
    """The index of the shop. To be read only."""
    folder = tmp_path_factory.mktemp("index") / "shop.index"
    report = build_index(shop, folder, captioner=captioner, encoder=encoder)
    assert report.items == SHOP_ITEMS
    return folder


@pytest.fixture
def own_index(tmp_path: Path, shop_index: Path) -> Path:
    """A copy of the shop's index, to change or to damage."""
    return shutil.copytree(shop_index, tmp_path / "own.index")


@pytest.fixture
def index_by_captions(own_index: Path, shop: Path, captioner: LlamaCaptioner, encoder: OnnxEncoder) -> Path:
    """The index of the shop, of captions alone, so that the words of a photo are the words of its item."""
    build_index(shop, own_index, captioner=captioner, encoder=encoder, encoded_text="caption", remake=True)
    return own_index
