"""``docs/reference/store.md`` tells another program all it needs to read an index."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from breaking.child import Task

from vlm4rec_edge.store.schema import DATABASE_NAME

_PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "store.md").read_text(encoding="utf-8")


def test_the_example_of_the_page_reads_an_index_without_the_package(finished: Task, tmp_path: Path) -> None:
    shutil.copytree(finished.out, tmp_path / "shop.index")
    (example,) = re.findall(r"```python\n(.*?)```", _PAGE, flags=re.DOTALL)
    without = "import sys; sys.modules['vlm4rec_edge'] = None\n"
    done = subprocess.run(
        [sys.executable, "-c", without + example], cwd=tmp_path, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= 96


def test_the_page_names_every_table_and_column(finished: Task) -> None:
    with closing(sqlite3.connect(Path(finished.out) / DATABASE_NAME)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert tables
        for table in tables:
            assert f"| `{table}` |" in _PAGE
            for _, column, *_ in database.execute(f"PRAGMA table_info({table})"):
                assert f"`{column}`" in _PAGE, f"{table}.{column}"
        for (key,) in database.execute("SELECT key FROM meta"):
            assert f"`{key}`" in _PAGE


def test_the_page_names_every_file(finished: Task) -> None:
    for path in Path(finished.out).iterdir():
        form = re.sub(r"-[0-9a-f]{16}-\d+", "-<encoder>-<generation>", path.name)
        form = re.sub(r">-\d+\.(bin|json)", r">-<rows>.bin", form)
        assert form in _PAGE or form.removeprefix("store.sqlite") in _PAGE
