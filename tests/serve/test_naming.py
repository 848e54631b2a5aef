"""The page is headed by the name that somebody chose, not by one that every demo has."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_store import random_vectors, write_store
from served import Client

from vlm4rec_edge.serve.naming import name_of


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (Path("boutique/autumn.index"), "autumn"),
        (Path("boutique/shop.index"), "shop"),
        (Path("shop.zip"), "shop"),
        (Path("v1.2"), "v1.2"),
        ("lancedb://made/shop.lancedb", "shop"),
        ("lancedb://made/shop.lancedb/", "shop"),
        ("lancedb+s3://bucket/shop", "shop"),
    ],
)
def test_it_is_the_name_of_the_folder_the_file_or_the_database(place: Path | str, name: str) -> None:
    assert name_of(place) == name


def test_a_demo_is_called_as_its_folder(tmp_path: Path, client_of: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    demo = tmp_path / "my-photos"
    write_store(demo / "shop.index", random_vectors(2))
    (demo / "report.html").touch()
    for within, given in ((tmp_path, "my-photos/shop.index"), (demo, "shop.index"), (demo / "shop.index", ".")):
        monkeypatch.chdir(within)
        assert name_of(Path(given)) == "my-photos"
    monkeypatch.chdir(tmp_path)
    state = client_of(Path("my-photos/shop.index")).get("/v1/state").json()
    assert (state["name"], state["index"]) == ("my-photos", "shop.index")
    assert name_of(demo / "other.index") == "other"
