"""What the README, the tutorial and the guides tell a user to type really works, in the order it is written there."""

import json
import re
import shutil
from pathlib import Path

import pytest
from program import typed
from reader import blocks, reading, shown_in

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
# `make demo` and `make test` make and fill a virtual environment: CI runs them, and this test runs inside the second.
BY_CI = {"make demo", "make test"}
IN_IT = "source .venv/bin/activate"
MOST_WORDS = 900


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert len(README.read_text(encoding="utf-8").split()) <= MOST_WORDS


def test_the_first_commands_of_the_readme_are_those_of_ci() -> None:
    first, *_ = blocks(README)
    assert set(first.text.split("\n")) - {""} == BY_CI
    assert all(command in (ROOT / ".ci" / "run").read_text() for command in BY_CI)


def test_every_command_of_the_readme_succeeds_in_order_on_the_demos_shop(demo: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(demo, tmp_path / "reader")
    _, *others = blocks(README)
    printed = ""
    with reading(folder) as reader:
        for block in others:
            printed = reader.follow(block._replace(text=block.text.replace(f"{IN_IT}\n", "")))
    recommended = re.findall(r"^\d+\. (\S+)", printed, re.MULTILINE)  # by the Python block, which is the last
    assert len(recommended) == 3
    assert not {"jacket-blue-denim-1", "jeans-blue-denim-1"} & set(recommended)


# Pages that are followed from their top to their end, with what `vlm4rec-edge demo` writes.
FOLLOWED = [
    page
    for page in (ROOT / "docs" / "tutorial.md", *sorted((ROOT / "docs" / "guides").glob("*.md")))
    if blocks(page) and page.name != "plugins.md"  # whose blocks stand alone: test_snippets.py
]
# Why a block cannot be run here, as the page says it below the block; a new reason is added here, or none is needed.
REASONS = {
    "it changes the environment that runs them.",
    "it compiles for minutes; `make test-bare` runs it in an empty Debian.",
    "it compiles llama.cpp for another processor for some minutes; `make test-machines` runs it.",
    "it downloads 279 MB from the Hugging Face hub.",
    "it fetches a package.",
    "it installs into the environment that runs them; `make test-wheel` does it in an empty one.",
    "it makes a virtual environment and compiles llama.cpp for some minutes; hosted CI runs it.",
    "it needs a GPU and the Vulkan SDK.",
    "it needs a Mac.",
    "it needs a Raspberry Pi.",
    "it needs a Raspberry Pi; the same commands run in `make test-machines` on emulated ones.",
    "it needs an NVIDIA GPU and CUDA.",
    "it needs an NVIDIA GPU.",
    "it needs a cluster, or a large server.",
    "it needs an object store.",
    "it needs the larger model.",
    "there is no such folder; `--model` with a path is run in `tests/models`.",
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the demo was run, as the guides suppose it."""
    folder = tmp_path_factory.mktemp("demo")
    assert typed(["vlm4rec-edge", "demo"], folder).returncode == 0
    return folder


def test_what_is_not_run_is_listed_with_its_reason() -> None:
    found = {block.not_run for page in FOLLOWED for block in blocks(page)} - {""}
    assert found == REASONS


@pytest.mark.parametrize("page", FOLLOWED, ids=lambda page: page.stem)
def test_a_page_can_be_followed_from_its_top_to_its_end(page: Path, demo: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(demo, tmp_path / "reader")
    printed = ""
    with reading(folder) as reader:
        for block in blocks(page):
            if block.language == "text":
                assert shown_in(block.text, printed), f"The page shows:\n{block.text}\nPrinted was:\n{printed}"
            elif not block.not_run:
                printed = reader.follow(block)


def test_the_guide_to_trouble_has_every_line_of_doctor(demo: Path) -> None:
    said = json.loads(typed(["vlm4rec-edge", "doctor", "--json"], demo).stdout)
    guide = (ROOT / "docs" / "guides" / "troubleshooting.md").read_text(encoding="utf-8")
    for finding in said["findings"]:
        topic = re.sub(r"^(model|vision encoder of|plug-in) .+", r"\1", finding["topic"])
        assert f"`{topic}`" in guide
