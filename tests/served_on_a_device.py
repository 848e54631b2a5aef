"""Run by `make test-wheel` in an environment that has the package and `[serve]` alone: it serves a bundle."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from importlib.util import find_spec
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("vlm4rec-edge")


def main(bundle: str) -> None:
    """Ask a server for the page, its description, items, and a recommendation."""
    extras = ("onnxruntime", "llama_cpp", "tokenizers", "PIL", "pyarrow", "pydantic", "httptools", "uvloop")
    assert not [name for name in extras if find_spec(name)], "this environment has more installed than [serve]"
    with subprocess.Popen([PROGRAM, "serve", bundle, "--port", "0", "--json"], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            lines = []
            while not lines or lines[-1] != b"}\n":
                lines.append(process.stdout.readline())
                assert lines[-1], "the server ended"
            address = json.loads(b"".join(lines))["address"]

            def ask(path: str, body: bytes | None = None) -> bytes:
                request = urllib.request.Request(address + path, body, {"Content-Type": "application/json"})
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return bytes(answer.read())

            for path in ("", "page/main.js", "page/page.css", "reference", "openapi.json", "v1/info", "v1/columns"):
                assert ask(path), path
            items = [item["id"] for item in json.loads(ask("v1/items?limit=2"))["items"]]
            body = json.dumps({"history": items, "explain": True, "k": 5}).encode()
            found = json.loads(ask("v1/recommend", body))["recommendations"]
            assert len(found) == 5, found
            assert found[0]["because"], found
        finally:
            process.kill()
    sys.stdout.write(f"{bundle}: served from without any extra but its own.\n")


if __name__ == "__main__":
    main(sys.argv[1])
