"""`serve` parses, calls and prints: every option is one argument of the public call."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vlm4rec_edge.cli import serve as command
from vlm4rec_edge.cli.app import make_app
from vlm4rec_edge.serve import running
from vlm4rec_edge.serve.running import Serving

SERVING = Serving("shop.index", 1234, "http://127.0.0.1:8000/", "http://127.0.0.1:8000/reference", 8000)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the command called, in place of a server that runs until it is stopped."""
    calls: list[Any] = []

    def serve(index: Path, **how: Any) -> None:
        calls.append((index, {name: value for name, value in how.items() if name != "on_start"}))
        how["on_start"](SERVING)

    monkeypatch.setattr(running, "serve", serve)
    return calls


def _run(*arguments: str) -> Any:
    return CliRunner().invoke(make_app(["serve"]), ["serve", "shop.index", *arguments])


def test_without_options_it_is_for_this_machine_alone(asked: list[Any]) -> None:
    done = _run()
    assert done.exit_code == 0
    assert "1,234 items at http://127.0.0.1:8000/" in done.stdout
    ((index, how),) = asked
    assert str(index) == "shop.index"
    assert how == {
        "host": "127.0.0.1",
        "port": None,
        "hosts": [],
        "origins": [],
        "token": None,
        "captioner": False,
        "log": False,
        "log_histories": False,
    }


def test_every_option_is_an_argument_of_the_call(asked: list[Any]) -> None:
    done = _run(
        *("--host", "0.0.0.0", "--port", "9000", "--token", "t" * 16, "--allow-host", "a.local,b.local"),
        *("--allow-origin", "https://a.example", "--captioner", "--log", "--log-histories"),
    )
    assert done.exit_code == 0
    assert asked[0][1] == {
        "host": "0.0.0.0",
        "port": 9000,
        "hosts": ["a.local", "b.local"],
        "origins": ["https://a.example"],
        "token": "t" * 16,
        "captioner": True,
        "log": True,
        "log_histories": True,
    }


def test_the_token_may_stand_in_the_environment(asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLM4REC_EDGE_TOKEN", "from the environment")
    _run()
    assert asked[0][1]["token"] == "from the environment"


def test_json_prints_the_document_of_the_call(asked: list[Any]) -> None:
    import json

    assert json.loads(_run("--json").stdout) == SERVING.to_dict()


@pytest.mark.parametrize("listening", [8000, 8001])
def test_it_is_said_that_the_usual_port_is_in_use(
    asked: list[Any], monkeypatch: pytest.MonkeyPatch, listening: int
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "SERVING", replace(SERVING, port=listening))
    said = "Port 8000 is in use; listening at 8001."
    assert (said in _run().stderr) is (listening == 8001)
    assert "in use" not in _run("--port", str(listening)).stderr


def test_open_opens_the_page(asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(command.webbrowser, "open", opened.append)
    _run()
    assert opened == []
    _run("--open")
    assert opened == [SERVING.address]
