"""Every snippet of the documentation is run, or it is listed here with the reason and the test that does so instead."""

from __future__ import annotations

import re
import shlex
import shutil
import tomllib
from pathlib import Path

import pytest
from drawings import Drawing, draw
from program import typed

from vlm4rec_edge import LlamaCaptioner, OnnxEncoder, build_index

ROOT = Path(__file__).parent.parent
ALL_PAGES = sorted([*ROOT.glob("*.md"), *(page for part in ("docs", "models") for page in (ROOT / part).rglob("*.md"))])
# The others are followed from their top to their end by test_readme.py.
PAGES = [
    page
    for page in ALL_PAGES
    if page.name == "plugins.md" or (page.parent.name != "guides" and page.stem != "tutorial")
]
# Languages of blocks that are pictures, or examples of output.
NOT_CODE = {"text", "mermaid"}
# Page and number of a block that is not run here: why, and where what it shows is run.
ELSEWHERE = {
    ("README.md", 0): ("makes a virtual environment, with a compiler and downloads", ".ci/run"),
    **{("README.md", number): ("in order, in one folder", "tests/test_readme.py") for number in range(1, 4)},
    ("docs/guides/plugins.md", 2): ("needs the endpoint of a model", "tests/plugins/test_examples.py"),
}
# What stands before a block in the reader's own program.
BEFORE = {
    ("docs/guides/plugins.md", 0): (
        "import shutil; shutil.rmtree('shop.index')\n"
        "from vlm4rec_edge import ImportedCaptions, open_encoder as MyEncoder\n"
        "MyCaptioner = lambda: ImportedCaptions('captions.csv')\n"
    ),
    (
        "docs/guides/plugins.md",
        3,
    ): "from vlm4rec_edge import open_captioner as MyCaptioner, open_encoder as MyEncoder\n",
}
# And what makes a reader's test run.
AFTER = {("docs/guides/plugins.md", 3): "test_my_captioner()\ntest_my_encoder()\n"}


def _blocks() -> dict[tuple[str, int], tuple[str, str]]:
    found = {}
    for page in PAGES:
        blocks = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
        code = [block for block in blocks if block[0] not in NOT_CODE]
        found.update({(page.relative_to(ROOT).as_posix(), number): block for number, block in enumerate(code)})
    return found


BLOCKS = _blocks()


@pytest.fixture(scope="module")
def shop_index_of_photos(
    tmp_path_factory: pytest.TempPathFactory, captioner: LlamaCaptioner, encoder: OnnxEncoder
) -> Path:
    """A folder as the pages suppose it: photos, their index and a bundle of it, captions of another model."""
    folder = tmp_path_factory.mktemp("snippets")
    (folder / "photos").mkdir()
    names = []
    for kind, colour in (("t-shirt", "red"), ("jeans", "blue"), ("coat", "black"), ("dress", "pink"), ("cap", "green")):
        names.append(f"{kind}-1")
        draw(Drawing(kind, colour, "solid", 1)).save(folder / "photos" / f"{kind}-1.jpg")
    for number, name in enumerate(("shirt.jpg", "shoe.jpg", "street.jpg")):
        shutil.copy(folder / "photos" / f"{names[number]}.jpg", folder / name)
    (folder / "captions.csv").write_text("id,caption\n" + "".join(f"{name},A {name}.\n" for name in names))
    build_index(folder / "photos", folder / "shop.index", captioner=captioner, encoder=encoder)
    return folder


@pytest.fixture
def folder(tmp_path: Path, shop_index_of_photos: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(shop_index_of_photos, tmp_path / "reader")


def _run(command: list[str], folder: Path) -> str:
    done = typed(command, folder)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_what_is_run_elsewhere_is_there_and_names_a_file() -> None:
    assert set(ELSEWHERE) <= set(BLOCKS)
    assert set(BEFORE) | set(AFTER) <= set(BLOCKS)
    for reason, place in ELSEWHERE.values():
        assert reason
        assert (ROOT / place).is_file()


@pytest.mark.parametrize("block", [key for key in BLOCKS if key not in ELSEWHERE], ids=lambda key: f"{key[0]}-{key[1]}")
def test_a_snippet_runs_as_it_stands(block: tuple[str, int], folder: Path) -> None:
    language, text = BLOCKS[block]
    if language in ("bash", "sh"):
        for line in filter(None, map(str.strip, text.splitlines())):
            assert _run(shlex.split(line), folder).strip(), f"{line} says nothing"
    elif language == "python":
        _run(["vlm4rec-edge", "bundle", "shop.index", "shop.bundle"], folder)
        _run(["python", "-c", BEFORE.get(block, "") + text + AFTER.get(block, "")], folder)
    elif language == "toml":
        for points in tomllib.loads(text)["project"]["entry-points"].values():
            for point in points.values():
                module, _, name = point.partition(":")
                assert f"class {name}" in (ROOT / "docs" / "examples" / f"{module}.py").read_text(encoding="utf-8")
    else:
        raise AssertionError(f"A block of {language or 'no language'}: run it, or say why not.")


IN_PYTHON = [
    (page.relative_to(ROOT).as_posix(), snippet)
    for page in PAGES
    for snippet in re.findall(r"in Python `([^`]+\([^`]*\))`", page.read_text(encoding="utf-8"))
]


def test_there_are_calls_in_the_text() -> None:
    assert IN_PYTHON


@pytest.mark.parametrize(("page", "snippet"), IN_PYTHON)
def test_a_call_in_the_text_runs_as_it_stands(page: str, snippet: str, folder: Path) -> None:
    code = f"from vlm4rec_edge import *\nshop = Recommender.open('shop.index')\nprint({snippet})\n"
    assert _run(["python", "-c", code], folder)
