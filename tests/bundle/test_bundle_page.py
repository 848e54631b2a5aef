"""``docs/reference/bundle.md`` tells another program all it needs to read a bundle."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vlm4rec_edge import Recommender
from vlm4rec_edge.bundle.writer import make_bundle

_PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "bundle.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["float16", "int8"])
def test_the_example_of_the_page_recommends_without_the_package(index: Path, tmp_path: Path, kind: str) -> None:
    make_bundle(index, tmp_path / "shop.bundle", vectors=kind)  # type: ignore[arg-type]
    (example,) = re.findall(r"```python\n(.*?)```", _PAGE, flags=re.DOTALL)
    without = "import sys; sys.modules['vlm4rec_edge'] = None\n"
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", without + example],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with Recommender.open(tmp_path / "shop.bundle") as shop:
        first, second = list(shop.store.items())[:2]
        expected = shop.recommend([first.id, second.id], k=3)
    found = [line.split()[0] for line in done.stdout.splitlines()]
    assert len(found) == 5
    assert {item for item in found if item not in (first.id, second.id)} == {hit.item_id for hit in expected}


def test_the_page_names_every_key_and_array(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_bytes())
    for key in manifest:
        assert f"`{key}`" in _PAGE, key
    for name, entry in manifest["files"].items():
        assert f"`{name}`" in _PAGE
        for section, *_ in entry["sections"]:
            group = re.sub(r"^attribute\.\d+\..*", "attribute.N.…", section)
            assert f"`{group}`" in _PAGE or f"`{group.partition('.')[0]}.…`" in _PAGE, section
