"""What the README tells a user to type really works, in the order it is written there."""

import re
import shlex
from pathlib import Path

import pytest
from program import typed

from vlm4rec_edge.demo.shop_files import ITEM_COUNT

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BASH_BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
PYTHON_BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
# `make demo` and `make test` make and fill a virtual environment: CI runs them, and this test runs inside the second.
BY_CI = {"make demo", "make test"}


# What the demo leaves, where the commands run.
FOLDER = "cd demo-output"


def commands() -> list[str]:
    lines = [line for block in BASH_BLOCKS for line in block.splitlines() if line.strip()]
    return [line for line in lines if line not in {*BY_CI, FOLDER}]


@pytest.fixture(scope="module")
def demo_output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the demo leaves."""
    folder = tmp_path_factory.mktemp("readme")
    done = typed(["vlm4rec-edge", "demo"], folder)
    assert done.returncode == 0, done.stderr
    return folder / FOLDER.removeprefix("cd ")


def test_the_readme_has_commands_and_they_are_ours() -> None:
    assert len(commands()) >= 8
    assert all(line.startswith(("vlm4rec-edge ", "python export/")) for line in commands())
    assert {line for block in BASH_BLOCKS for line in block.splitlines()} >= {*BY_CI, FOLDER}
    own = next(block for block in BASH_BLOCKS if "vlm4rec-edge" in block)
    assert own.startswith(FOLDER), "the first commands begin where the demo left its files"
    assert all(command in (ROOT / ".ci" / "run").read_text() for command in BY_CI)


def test_every_command_of_the_readme_succeeds_in_order_on_the_demos_shop(demo_output: Path) -> None:
    for line in commands():
        result = typed(shlex.split(line), ROOT if line.startswith("python export/") else demo_output)
        assert result.returncode == 0, f"{line}\n{result.stdout}\n{result.stderr}"
        assert result.stdout.strip(), f"{line} says nothing"


def test_the_python_of_the_readme_runs_as_it_stands(demo_output: Path) -> None:
    (block,) = PYTHON_BLOCKS
    result = typed(["python", "-c", block], demo_output)
    assert result.returncode == 0, result.stderr
    assert f"{ITEM_COUNT} items" in result.stdout
    recommended = re.findall(r"^\d+\. (\S+)", result.stdout, re.MULTILINE)
    assert len(recommended) == 5
    assert not {"t-shirt-1", "jeans-1"} & set(recommended)
