"""Only who may ask is answered: the Host, the Origin and the token are looked at, and a browser is told what not to do."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
from served import Client
from starlette.testclient import TestClient

from vlm4rec_edge import Recommender
from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.serve import app
from vlm4rec_edge.serve.guards import ANY_ADDRESS, COOKIE

TOKEN = "a token that nobody guesses"
PATHS = ("/", "/page/main.js", "/v1/info", "/v1/items/item-1/photo", "/openapi.json", "/reference", "/healthz", "/none")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "", "[::2]"],
)
def test_a_foreign_host_is_refused(client: TestClient, path: str, host: str) -> None:
    """So a name that an attacker makes point here (DNS rebinding) reads nothing."""
    answer = client.get(path, headers={"host": host})
    assert (answer.status_code, answer.json()["error"]["kind"]) == (403, "ForbiddenHostError")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:9999", "localhost:8000", "LOCALHOST", "[::1]:8000", "localhost."]
)
def test_this_machine_is_no_foreign_host(client: TestClient, host: str) -> None:
    assert client.get("/v1/info", headers={"host": host}).status_code == 200


def test_a_host_that_was_named_is_answered_and_no_other(client_of: Client, served_index: Path) -> None:
    client = client_of(served_index, hosts=["shop.local"])
    assert client.get("/healthz", headers={"host": "shop.local:8000"}).status_code == 200
    assert client.get("/healthz", headers={"host": "127.0.0.1"}).status_code == 403


def test_where_others_may_ask_any_address_in_numbers_is_answered(client_of: Client, served_index: Path) -> None:
    client = client_of(served_index, hosts=[ANY_ADDRESS], token=TOKEN)
    for host, status in (("192.168.1.5:8000", 200), ("[fe80::1]:8000", 200), ("evil.example", 403), ("1.2.3.4.a", 403)):
        assert client.get("/healthz", headers={"host": host}).status_code == status


@pytest.mark.parametrize("path", ["/v1/recommend", "/v1/session", "/v1/similar-photo"])
@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://127.0.0.1:8001", "http://127.0.0.1", "file://", "http://localhost:8000"],
)
def test_a_page_of_a_foreign_origin_is_refused(client: TestClient, path: str, origin: str) -> None:
    answer = client.post(path, json={"history": ["item-1"]}, headers={"origin": origin})
    assert (answer.status_code, answer.json()["error"]["kind"]) == (403, "ForbiddenOriginError")
    assert "access-control-allow-origin" not in answer.headers
    preflight = client.options(path, headers={"origin": origin, "access-control-request-method": "POST"})
    assert preflight.status_code == 403


def test_our_own_page_is_no_foreign_origin(client: TestClient) -> None:
    answer = client.post("/v1/recommend", json={"history": ["item-1"]}, headers={"origin": "http://127.0.0.1:8000"})
    assert answer.status_code == 200


def test_a_picture_that_another_site_shows_is_refused_and_a_link_to_us_is_not(client: TestClient) -> None:
    shown = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert client.get("/v1/items/item-1/photo", headers=shown).status_code == 403
    followed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/", headers=followed).status_code == 200


def test_an_origin_that_was_named_may_ask_and_read(client_of: Client, served_index: Path) -> None:
    client, shop = client_of(served_index, origins=["https://shop.example"]), {"origin": "https://shop.example"}
    preflight = client.options("/v1/recommend", headers={**shop, "access-control-request-method": "POST"})
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "https://shop.example"
    assert "content-type" in preflight.headers["access-control-allow-headers"]
    answer = client.post("/v1/recommend", json={"history": ["item-1"]}, headers=shop)
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    refused = client.post("/v1/recommend", json={"history": ["item-1"]}, headers={"origin": "https://evil.example"})
    assert refused.status_code == 403


@pytest.mark.parametrize("origin", ["https://shop.example/", "shop.example", "*", "https://a/b", "null"])
def test_what_is_no_origin_cannot_be_named(opened: Recommender, origin: str) -> None:
    with pytest.raises(UsageError, match="is not an origin"):
        app(opened, origins=[origin])


@pytest.mark.parametrize("path", [*PATHS, "/v1/items?limit=0"])
def test_every_answer_tells_a_browser_what_not_to_do(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["object-src"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers


def test_without_the_token_nothing_of_the_index_is_told(client_of: Client, served_index: Path) -> None:
    client = client_of(served_index, token=TOKEN)
    for path in ("/v1/info", "/v1/items", "/v1/items/item-1", "/v1/items/item-1/photo", "/v1/state", "/reference"):
        answer = client.get(path)
        assert answer.status_code == 401, path
        assert "item-1" not in answer.text
        assert answer.headers["www-authenticate"] == "Bearer"
    assert client.post("/v1/recommend", json={"history": ["item-1"]}).status_code == 401
    for path in ("/", "/page/main.js", "/healthz"):
        assert client.get(path).status_code == 200, path


def test_the_description_of_a_server_with_a_token_names_no_item_of_it(client_of: Client, served_index: Path) -> None:
    client = client_of(served_index, token=TOKEN)
    assert client.get("/openapi.json").status_code == 401
    told = client.get("/openapi.json", headers={"authorization": f"Bearer {TOKEN}"}).json()
    assert told["security"] == [{"token": []}]
    assert told["paths"]["/v1/session"]["post"]["security"] == []


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN.upper()}",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer \xe9",
        "Bearer None",
    ],
)
def test_a_token_that_is_guessed_is_refused(client_of: Client, served_index: Path, header: str) -> None:
    client = client_of(served_index, token=TOKEN)
    assert client.get("/v1/info", headers={"authorization": header.encode("latin-1")}).status_code == 401


def test_the_token_opens_as_a_bearers_and_as_a_session(client_of: Client, served_index: Path) -> None:
    client = client_of(served_index, token=TOKEN)
    assert client.get("/v1/info", headers={"authorization": f"bearer {TOKEN}"}).status_code == 200
    assert client.post("/v1/session", json={"token": "a wrong token, as long"}).status_code == 401
    assert client.get("/v1/info").status_code == 401
    answer = client.post("/v1/session", json={"token": TOKEN})
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"]
    assert TOKEN not in cookie
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    client.cookies.set(COOKIE, answer.cookies[COOKIE])
    assert client.get("/v1/info").status_code == 200
    client.cookies.set(COOKIE, answer.cookies[COOKIE][:-1] + "0")
    client.cookies.delete(COOKIE)
    assert client.get("/v1/info", headers={"cookie": f"{COOKIE}={'0' * 64}"}).status_code == 401
    assert client.get("/v1/info", headers={"cookie": "]=\x01;;"}).status_code == 401


def test_tokens_are_compared_in_a_time_that_tells_nothing() -> None:
    source = (Path(__file__).parents[2] / "vlm4rec_edge" / "serve" / "guards.py").read_text(encoding="utf-8")
    assert "hmac.compare_digest" in source
    assert not re.search(r"(==|!=) *(self\.)?token", source)


def test_a_short_token_is_none(opened: Recommender) -> None:
    with pytest.raises(UsageError, match="at least 16"):
        app(opened, token="short")


def test_log_lines_hold_no_histories_unless_that_was_asked_for(
    client_of: Client, served_index: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vlm4rec_edge.serve")
    for asked in (False, True):
        caplog.clear()
        client = client_of(served_index, log_histories=asked)
        client.post("/v1/recommend", json={"history": ["item-7"]})
        client.get("/v1/items/item-8/similar")
        client.get("/v1/items?text=item-9")
        told = caplog.text
        assert "/v1/recommend" in told
        assert [name in told for name in ("item-7", "item-8", "item-9")] == [asked] * 3


def test_a_token_is_in_no_log_line(client_of: Client, served_index: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "vlm4rec_edge.serve")
    client_of(served_index, token=TOKEN, log_histories=True).post("/v1/session", json={"token": TOKEN})
    assert "/v1/session" in caplog.text
    assert TOKEN not in caplog.text


@pytest.mark.parametrize("token", ["пароль-пароль-пароль", " blanks at its ends ", " " * 20, "a line\nand another one"])
def test_a_token_that_no_header_carries_is_refused_at_once(opened: Recommender, token: str) -> None:
    with pytest.raises(UsageError, match="The token"):
        app(opened, token=token)


@pytest.mark.parametrize("origin", ["http://[::1", "http://[", "//", "http://]"])
def test_half_an_origin_is_a_foreign_one(client: TestClient, origin: str) -> None:
    answer = client.get("/v1/info", headers={"origin": origin})
    assert (answer.status_code, answer.json()["error"]["kind"]) == (403, "ForbiddenOriginError")
