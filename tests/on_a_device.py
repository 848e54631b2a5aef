"""Run by `make test-wheel` in an environment that has the package and no extra: it recommends from a bundle."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("vlm4rec-edge")


def program(*arguments: str) -> tuple[int, dict]:
    """Run the program with --json; return its exit code and its document."""
    done = subprocess.run([PROGRAM, *arguments, "--json"], capture_output=True, encoding="utf-8", check=False)
    return done.returncode, json.loads(done.stdout)


def main(bundle: str) -> None:
    """Check what a device can do, and what it says where it cannot."""
    extras = ("onnxruntime", "llama_cpp", "tokenizers", "PIL", "pyarrow", "torch", "hnswlib", "jinja2")
    assert not [name for name in extras if find_spec(name)], "this environment has an extra installed"
    assert (files("vlm4rec_edge") / "py.typed").is_file(), "the wheel does not carry the mark of a typed package"
    from vlm4rec_edge import Recommender

    with Recommender.open(bundle) as shop:
        first, second, *_ = (item.id for item in shop.store.items())
        expected = [hit.item_id for hit in shop.recommend([first, second], k=5)]
    code, answer = program("recommend", bundle, "--history", f"{first},{second}", "-k", "5")
    assert code == 0, answer
    assert [hit["item_id"] for hit in answer["recommendations"]] == expected
    assert len(set(expected) - {first, second}) == 5
    code, about = program("info", bundle)
    assert (code, about["method"]) == (0, "exact"), about
    code, refused = program("search", bundle, "a red dress")
    assert (code, refused["error"]["kind"]) == (1, "ModelError"), refused
    assert "pip install vlm4rec-edge-all-minilm-l6-v2" in refused["error"]["message"], refused
    sys.stdout.write(f"{bundle}: {about['items']} items, recommended from without any extra.\n")


if __name__ == "__main__":
    main(sys.argv[1])
