"""A served shop: odd ids, titles that are scripts, and one photo for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from made_store import random_vectors, write_store
from pictures import encoded, swatch
from served import HERE, ODD_IDS, SCRIPT, Client
from starlette.testclient import TestClient

from vlm4rec_edge import Recommender
from vlm4rec_edge.serve import app
from vlm4rec_edge.serve.application import Application


@pytest.fixture(scope="session")
def served_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of 60 items with two columns, captions, and a photo. To be read only."""
    folder = tmp_path_factory.mktemp("served") / "shop.index"
    ids = [*ODD_IDS, *(f"item-{row}" for row in range(60 - len(ODD_IDS)))]
    captions = {name: f"A {('red', 'blue', 'green')[row % 3]} thing, number {row}." for row, name in enumerate(ids)}
    columns = {
        name: {"colour": ("red", "blue", "green")[row % 3], "price": str(row), "note": SCRIPT}
        for row, name in enumerate(ids)
    }
    write_store(
        folder,
        random_vectors(len(ids)),
        [(name, row) for row, name in enumerate(ids)],
        attributes=columns,
        captions=captions,
    )
    (folder / "none.png").write_bytes(encoded(swatch(200, 30, 40)))
    return folder


@pytest.fixture(scope="session")
def opened(served_index: Path) -> Iterator[Recommender]:
    """The index, open, to compare with."""
    with Recommender.open(served_index) as shop:
        yield shop


@pytest.fixture
def client_of() -> Iterator[Callable[..., TestClient]]:
    """Makes clients of applications, which are closed at the end."""
    with ExitStack() as open_until_the_end:

        def make(index: Path, *, base_url: str = HERE, errors: bool = True, **how: Any) -> TestClient:
            shop = open_until_the_end.enter_context(Recommender.open(index))
            application = open_until_the_end.enter_context(app(shop, **how))
            return TestClient(application, base_url=base_url, raise_server_exceptions=errors)

        yield make


@pytest.fixture
def client(client_of: Client, served_index: Path) -> TestClient:
    """A client of the served shop."""
    return client_of(served_index)


@pytest.fixture
def application(served_index: Path) -> Iterator[Application]:
    """The application itself."""
    with Recommender.open(served_index) as shop, app(shop) as made:
        yield made
