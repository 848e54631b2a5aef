"""The application is one among others: mounted in another, it answers below its path, and closes when that one does."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from served import HERE, ODD_IDS
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from vlm4rec_edge import Recommender
from vlm4rec_edge.serve import app


@pytest.fixture
def client(opened: Recommender) -> TestClient:
    """An application with the shop below ``/deep/shop`` and a page of its own."""
    own = Route("/", lambda _: PlainTextResponse("mine"))
    return TestClient(Starlette(routes=[own, Mount("/deep/shop", app(opened))]), base_url=HERE)


def test_it_answers_below_its_path_and_leaves_the_rest_alone(client: TestClient) -> None:
    assert client.get("/").text == "mine"
    assert client.get("/deep/shop/v1/info").json()["items"] == 60
    assert client.get("/v1/info").status_code == 404
    answer = client.post("/deep/shop/v1/recommend", json={"history": ["item-1"], "k": 2})
    assert len(answer.json()["recommendations"]) == 2


@pytest.mark.parametrize("item", [one for one in ODD_IDS if "\n" not in one], ids=ascii)
def test_odd_ids_work_there_too(client: TestClient, item: str) -> None:
    """But for one with a line break, which Starlette's ``Mount`` takes for no path."""
    path = "".join(f"%{byte:02X}" for byte in item.encode())
    assert client.get(f"/deep/shop/v1/items/{path}").json()["id"] == item


def test_the_page_finds_its_files_there(client: TestClient) -> None:
    moved = client.get("/deep/shop", follow_redirects=False)
    assert moved.headers["location"].endswith("/deep/shop/")
    page = client.get("/deep/shop/").text
    for path in re.findall(r'(?:href|src)="([^"#]+)"', page):
        assert client.get(f"/deep/shop/{path}").status_code == 200, path
    assert "http://127.0.0.1:8000/deep/shop/v1/info" in client.get("/deep/shop/reference").text


def test_an_application_may_look_at_hosts_itself(opened: Recommender) -> None:
    with app(opened, hosts=None) as application:
        assert TestClient(application, base_url="https://shop.example").get("/v1/info").status_code == 200


def test_it_starts_and_stops_with_the_server_that_runs_it(served_index: Path) -> None:
    with Recommender.open(served_index) as shop:
        with TestClient(app(shop), base_url=HERE) as client:
            assert client.get("/v1/info").status_code == 200
        assert shop.items(limit=1).items, "the recommender that was given stays open"


def test_it_can_be_one_of_several_in_one_process(served_index: Path) -> None:
    @asynccontextmanager
    async def nothing(_: Starlette) -> AsyncIterator[None]:
        yield

    with Recommender.open(served_index) as one, Recommender.open(served_index) as other:
        routes = [Mount("/one", app(one)), Mount("/other", app(other, token="a token of its own, long"))]
        client = TestClient(Starlette(routes=routes, lifespan=nothing), base_url=HERE)
        assert client.get("/one/v1/info").status_code == 200
        assert client.get("/other/v1/info").status_code == 401


def test_a_web_socket_is_refused(client: TestClient) -> None:
    from starlette.websockets import WebSocketDisconnect

    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/deep/shop/v1/info"):
        pass
