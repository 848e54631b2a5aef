"""What the README tells a user to type really works, in the order it is written there."""

import re
import shlex
from pathlib import Path

import pytest
from drawings import Drawing, draw
from program import typed

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BASH_BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
PYTHON_BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
# `make demo` and `make test` make and fill a virtual environment: CI runs them, and this test runs inside the second.
BY_CI = {"make demo", "make test"}


def commands() -> list[str]:
    lines = [line for block in BASH_BLOCKS for line in block.splitlines() if line.strip()]
    return [line for line in lines if line not in BY_CI]


@pytest.fixture(scope="module")
def shop_owner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the README supposes it: photos, histories and purchases, and the export scripts of the checkout."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "photos").mkdir()
    for kind, colour in (("t-shirt", "red"), ("jeans", "blue"), ("coat", "black"), ("dress", "pink"), ("cap", "green")):
        draw(Drawing(kind, colour, "solid", 1)).save(folder / "photos" / f"{kind}-1.jpg")
    (folder / "histories.csv").write_text('user_id,history\nada,"t-shirt-1,jeans-1"\nbela,coat-1\n', encoding="utf-8")
    taken = [
        (user, item, f"2026-01-0{day}")
        for user in ("ada", "bela", "cem", "dana", "eli", "fay", "gus", "hua")
        for items in ("t-shirt jeans coat cap dress" if user < "c" else "coat dress cap jeans t-shirt",)
        for day, item in enumerate(items.split(), start=1)
    ]
    rows = "".join(f"{user},{item}-1,{date}\n" for user, item, date in taken)
    (folder / "purchases.csv").write_text(f"user_id,item_id,date\n{rows}", encoding="utf-8")
    (folder / "export").symlink_to(ROOT / "export")
    return folder


def test_the_readme_has_commands_and_they_are_ours() -> None:
    assert len(commands()) >= 8
    assert all(line.startswith(("vlm4rec-edge ", "python export/")) for line in commands())
    assert {line for block in BASH_BLOCKS for line in block.splitlines()} >= BY_CI
    assert all(command in (ROOT / ".ci" / "run").read_text() for command in BY_CI)


def test_every_command_of_the_readme_succeeds_in_order(shop_owner: Path) -> None:
    for line in commands():
        result = typed(shlex.split(line), shop_owner)
        assert result.returncode == 0, f"{line}\n{result.stdout}\n{result.stderr}"
        assert result.stdout.strip(), f"{line} says nothing"


def test_the_python_of_the_readme_runs_as_it_stands(shop_owner: Path) -> None:
    (block,) = PYTHON_BLOCKS
    result = typed(["python", "-c", block], shop_owner)
    assert result.returncode == 0, result.stderr
    assert "5 items" in result.stdout
    recommended = re.findall(r"^\d+\. (\S+)", result.stdout, re.MULTILINE)
    assert len(recommended) == 3
    assert not {"t-shirt-1", "jeans-1"} & set(recommended)
