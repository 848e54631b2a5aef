"""What an attacker would send ends in an error of 4xx, soon, and the next client is answered."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from served import SCRIPT, Client
from starlette.testclient import TestClient

from vlm4rec_edge import Recommender
from vlm4rec_edge.serve import requests
from vlm4rec_edge.serve.application import Application
from vlm4rec_edge.serve.endpoints import Endpoints
from vlm4rec_edge.serve.operations import MOST_BODY_BYTES, MOST_PHOTO_BYTES, OPERATIONS

JSON = {"content-type": "application/json"}
_NAMES = sorted({field.name for operation in OPERATIONS for field in operation.body or ()})
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["item-1", "price < 3"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_BODIES = (
    st.dictionaries(st.sampled_from(_NAMES), _VALUES, max_size=6)
    .map(lambda body: {"history": ["item-1"], **body})
    .map(json.dumps)
    | _VALUES.map(json.dumps)
    | st.text()
    | st.binary()
)


def test_a_thousand_malformed_bodies_end_in_documents(application: Application) -> None:
    statuses: set[int] = set()

    @settings(max_examples=1000)
    @given(body=_BODIES)
    def sent(body: str | bytes) -> None:
        content = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": content, "more_body": False}

        status, answer = _asked(application, "POST", b"/v1/recommend", headers=JSON, receive=receive)
        assert status in (200, 400, 404, 501), (content, answer)  # 501: there is no encoder for a text
        assert ("recommendations" if status == 200 else "error") in json.loads(answer)
        statuses.add(status)

    sent()
    assert {200, 400} <= statuses


@settings(max_examples=300)
@given(path=st.text(max_size=30) | st.binary(max_size=30), query=st.binary(max_size=40))
def test_any_path_and_query_end_in_an_answer(served_index: Path, path: str | bytes, query: bytes) -> None:
    raw = path.encode("utf-8", "surrogatepass") if isinstance(path, str) else path
    assert _asked(_application(served_index), "GET", b"/v1/items/" + raw, query=query)[0] in (200, 304, 400, 404, 405)


_APPLICATIONS: dict[Path, Application] = {}


def _application(index: Path) -> Application:
    from vlm4rec_edge.serve import app

    return _APPLICATIONS.setdefault(index, app(Recommender.open(index)))


def _asked(
    application: Application,
    method: str,
    raw_path: bytes,
    *,
    query: bytes = b"",
    headers: dict[str, str] | None = None,
    receive: Callable[[], Any] | None = None,
) -> tuple[int, bytes]:
    """Ask the application itself, with bytes that no client library would send."""
    sent: list[Any] = []

    async def nothing() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    given_headers = {"host": "127.0.0.1:8000", **(headers or {})}
    scope = {
        "type": "http",
        "method": method,
        "scheme": "http",
        "path": raw_path.decode("utf-8", "replace"),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in given_headers.items()],
    }
    asyncio.run(application(scope, receive or nothing, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


@pytest.mark.parametrize(
    ("path", "kind", "most"),
    [("/v1/recommend", "application/json", MOST_BODY_BYTES), ("/v1/similar-photo", "image/jpeg", MOST_PHOTO_BYTES)],
)
@pytest.mark.parametrize("tells", [True, False])
def test_a_body_without_end_is_cut_off(
    application: Application, monkeypatch: pytest.MonkeyPatch, path: str, kind: str, most: int, tells: bool
) -> None:
    monkeypatch.setattr(Endpoints, "check_captioner", lambda _: None)  # as if there were one; else no photo is taken
    taken = 0

    async def endless() -> dict[str, Any]:
        nonlocal taken
        taken += 1 << 16
        assert taken < most + (1 << 20), "it goes on reading"
        return {"type": "http.request", "body": b" " * (1 << 16), "more_body": True}

    headers = {"content-type": kind, **({"content-length": str(10**12)} if tells else {})}
    status, body = _asked(application, "POST", path.encode(), headers=headers, receive=endless)
    assert (status, json.loads(body)["error"]["kind"]) == (413, "TooLargeError")
    assert taken == 0 if tells else taken > most


def test_a_body_that_comes_too_slowly_is_given_up(application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "_JSON_SECONDS", 0.2)

    async def slow() -> dict[str, Any]:
        await asyncio.sleep(0.05)
        return {"type": "http.request", "body": b" ", "more_body": True}

    status, body = _asked(application, "POST", b"/v1/recommend", headers=JSON, receive=slow)
    assert (status, json.loads(body)["error"]["kind"]) == (408, "TooSlowError")


@pytest.mark.parametrize("length", ["-1", "1e9", "abc", "9" * 5000, ""])
def test_a_length_that_is_none_harms_nobody(application: Application, length: str) -> None:
    headers = {**JSON, "content-length": length}
    assert _asked(application, "POST", b"/v1/recommend", headers=headers)[0] in (400, 413)


def test_fifty_clients_at_once_are_answered_or_told_to_come_again(client_of: Client, served_index: Path) -> None:
    client = client_of(served_index)
    with client:
        found: list[int] = []
        start = threading.Barrier(50)

        def ask() -> None:
            start.wait()
            for number in range(10):
                body = {"history": [f"item-{number}"], "explain": True, "diversity": 0.5}
                found.append(client.post("/v1/recommend", json=body).status_code)

        threads = [threading.Thread(target=ask) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 500
        assert set(found) <= {200, 429}
        assert 200 in found
        assert client.get("/healthz").status_code == 200


def test_beyond_what_may_wait_a_client_is_told_to_come_again(
    client_of: Client, served_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(served_index)
    client.app._answering._most = 1  # type: ignore[attr-defined]
    inside, may_end = threading.Event(), threading.Event()
    recommend = Recommender.recommend

    def slow(*given: Any, **how: Any) -> Any:
        inside.set()
        may_end.wait(20)
        return recommend(*given, **how)

    monkeypatch.setattr(Recommender, "recommend", slow)
    with client:
        first: list[int] = []
        body = {"history": ["item-1"]}
        thread = threading.Thread(target=lambda: first.append(client.post("/v1/recommend", json=body).status_code))
        thread.start()
        assert inside.wait(20)
        refused = client.post("/v1/recommend", json=body)
        may_end.set()
        thread.join()
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert first == [200]
        assert client.post("/v1/recommend", json=body).status_code == 200


def test_titles_and_captions_that_are_scripts_are_data(client: TestClient) -> None:
    item = client.get("/v1/items", params={"id": SCRIPT}).json()["items"][0]
    assert item["attributes"]["note"] == SCRIPT
    reference = client.get("/reference").text
    assert "<script" not in reference
    error = client.get("/v1/items/%3Cscript%3Ealert(2)%3C%2Fscript%3E")
    assert error.headers["content-type"] == "application/json"
    assert error.headers["x-content-type-options"] == "nosniff"


def test_the_api_changes_nothing() -> None:
    assert {operation.method for operation in OPERATIONS} == {"GET", "POST"}
    assert {one.name for one in OPERATIONS if one.method == "POST"} == {"recommend", "similar_photo", "session"}


@pytest.mark.parametrize("body", [{"history": ["item-1"], "k": 10**400}, {"history": ["item-1"], "weights": [10**400]}])
def test_a_number_of_many_digits_is_refused(client: TestClient, body: dict[str, Any]) -> None:
    answer = client.post("/v1/recommend", json=body)
    assert (answer.status_code, answer.json()["error"]["kind"]) == (400, "UsageError")


def test_more_words_than_a_person_types_are_refused(client: TestClient) -> None:
    answer = client.get("/v1/items", params={"text": " ".join(f"word{number}" for number in range(17))})
    assert (answer.status_code, answer.json()["error"]["kind"]) == (400, "UsageError")
