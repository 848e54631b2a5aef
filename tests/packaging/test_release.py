"""``make release`` refuses what is not ready and collects what was built. One target stands in for those that take an hour."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COPIED = (
    *(
        "Makefile",
        "pyproject.toml",
        "packaging/release.py",
        "packaging/kept.py",
        "packaging/offline.py",
        "vlm4rec_edge/__init__.py",
    ),
    *("models/all-minilm-l6-v2/pyproject.toml", "models/stylist-lvlm/pyproject.toml"),
)
UNRELEASED = "# Changes\n\n## Unreleased\n\nAdded\n\n- A thing that is new.\n\n## 0.1.0 - 2026-11-28\n\n- The first.\n"
WHEELS = (
    *("vlm4rec_edge-{}-py3-none-any.whl", "vlm4rec_edge_all_minilm_l6_v2-{}-py3-none-any.whl"),
    *("vlm4rec_edge_stylist_lvlm-{}-py3-none-any.whl", "llama_cpp_python-0.3.36-1vlm4rec-py3-none-linux_x86_64.whl"),
    *("hnswlib-0.8.0-cp311-cp311-manylinux_2_34_x86_64.whl", "starlette-1.0.0-py3-none-any.whl"),
    *("scipy-1.17.0-cp311-cp311-manylinux_2_27_x86_64.whl", "numpy-2.4.6-cp311-cp311-manylinux_2_27_x86_64.whl"),
    "vlm4rec_edge-{}.tar.gz",
)
# A target in place of those that compile and test for an hour: it makes files of the right names.
STAND_IN = "\nfiles-of-the-right-names:\n\t$(PYTHON) made.py $(VERSION)\n"
MADE = """
import sys
from pathlib import Path

for folder in ("dist", "build/site"):
    Path(folder).mkdir(parents=True, exist_ok=True)
for name in NAMES:
    Path("dist", name.format(sys.argv[1])).write_text("made for a test")
Path("build/site/index.html").write_text("made for a test")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with what a release touches, 0.1.0 tagged."""
    folder = tmp_path / "project"
    for name in COPIED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    found = re.search(r'__version__ = "([^"]+)"', (folder / "vlm4rec_edge/__init__.py").read_text())
    assert found
    for name in COPIED:  # the tests are run by a release as well, when the version is the new one already
        text = (folder / name).read_text()
        for before, after in (('"', '"'), ("==", '"')):
            text = text.replace(f"{before}{found[1]}{after}", f"{before}0.1.0{after}")
        (folder / name).write_text(text)
    (folder / "CHANGELOG.md").write_text(UNRELEASED)
    with (folder / "Makefile").open("a") as makefile:
        makefile.write(STAND_IN)
    (folder / "made.py").write_text(f"NAMES = {WHEELS!r}\n{MADE}")
    (folder / ".gitignore").write_text("dist/\nbuild/\n__pycache__/\n")
    _git(folder, "init", "--quiet", "--initial-branch", "main")
    _git(folder, "config", "user.name", "A maintainer")
    _git(folder, "config", "user.email", "maintainer@shop.example")
    _commit(folder, "All")
    _git(folder, "tag", "v0.1.0")
    return folder


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, encoding="utf-8", check=True)
    return done.stdout.strip()


def _commit(folder: Path, message: str) -> None:
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "--message", message)


def _make(folder: Path, version: str, *settings: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "release", f"VERSION={version}", f"PYTHON={sys.executable}"]
    return subprocess.run([*command, *settings], cwd=folder, capture_output=True, encoding="utf-8", check=False)


def _step(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "packaging/release.py", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=False)


FAST = ("RELEASE_CHECKS=", "RELEASE_BUILDS=files-of-the-right-names")


@pytest.mark.parametrize("version", ["", "1.2", "v1.2.3", "1.2.3rc1", "next"])
def test_what_is_no_version_is_refused(project: Path, version: str) -> None:
    done = _make(project, version, *FAST)
    assert done.returncode
    assert "is not a version; run make release VERSION=x.y.z." in done.stderr


def test_a_tree_that_is_not_clean_is_refused_and_left_alone(project: Path) -> None:
    (project / "pyproject.toml").write_text("changed")
    done = _make(project, "0.2.0", *FAST)
    assert done.returncode
    assert "not clean" in done.stderr
    assert "pyproject.toml" in done.stderr
    assert (project / "CHANGELOG.md").read_text() == UNRELEASED


def test_a_version_that_is_tagged_or_older_is_refused(project: Path) -> None:
    assert "v0.1.0 is tagged already" in _make(project, "0.1.0", *FAST).stderr
    assert "0.0.9 is older than 0.1.0" in _make(project, "0.0.9", *FAST).stderr


@pytest.mark.parametrize(
    ("changelog", "says"),
    [
        ("# Changes\n\n## Unreleased\n\n## 0.1.0\n\n- The first.\n", 'nothing under "Unreleased"'),
        ("# Changes\n\n## Unreleased\n\n- More.\n\n## 0.2.0\n\n- New.\n", "move them to one"),
    ],
)
def test_a_version_of_which_nothing_is_told_or_half_of_it_is_refused(project: Path, changelog: str, says: str) -> None:
    (project / "CHANGELOG.md").write_text(changelog)
    _commit(project, "Another changelog")
    done = _make(project, "0.2.0", *FAST)
    assert done.returncode
    assert says in done.stderr


def test_the_version_is_set_everywhere_and_the_changelog_has_its_section(project: Path) -> None:
    assert _step(project, "begin", "0.2.0").returncode == 0
    assert '__version__ = "0.2.0"' in (project / "vlm4rec_edge/__init__.py").read_text()
    for name in COPIED[-2:]:
        assert '\nversion = "0.2.0"\n' in (project / name).read_text()
    pins = re.findall(r'"vlm4rec-edge-[\w-]+==([^"]+)"', (project / "pyproject.toml").read_text())
    assert pins == ["0.2.0", "0.2.0"]
    assert re.search(
        r"## Unreleased\n\n## 0\.2\.0 - \d{4}-\d\d-\d\d\n\nAdded\n\n- A thing", (project / "CHANGELOG.md").read_text()
    )
    assert _git(project, "log", "-1", "--format=%s") == "Version 0.2.0"
    assert _git(project, "status", "--porcelain") == ""
    again = _step(project, "begin", "0.2.0")
    assert "set already" in again.stdout
    assert _git(project, "rev-list", "--count", "HEAD") == "2"


def test_everything_is_collected_with_checksums_notes_and_the_site(project: Path) -> None:
    done = _make(project, "0.2.0", *FAST)
    dist = project / "dist"
    sums = dict(reversed(line.split("  ")) for line in (dist / "SHA256SUMS").read_text().splitlines())
    assert set(sums) == {path.name for path in dist.iterdir()} - {"SHA256SUMS"}
    assert {name.format("0.2.0") for name in WHEELS} < set(sums)
    for name, digest in sums.items():
        assert hashlib.sha256((dist / name).read_bytes()).hexdigest() == digest
    notes = (dist / "RELEASE_NOTES.md").read_text()
    assert notes.startswith("Added\n\n- A thing that is new.\n\n## Installing from these files\n")
    assert 'pip install --no-index --find-links . "vlm4rec-edge[cpu,hnsw,learn,models,serve]"\n' in notes
    with zipfile.ZipFile(dist / "vlm4rec_edge-0.2.0-site.zip") as site:
        assert site.namelist() == ["site/index.html"]
    assert done.returncode
    assert "Not tagged, because this was left out: check, test, test-pages" in done.stderr
    assert _git(project, "tag", "--list") == "v0.1.0"


def test_a_release_that_lacks_a_part_says_which_and_what_makes_it(project: Path) -> None:
    done = _make(project, "0.2.0", "RELEASE_CHECKS=", "RELEASE_BUILDS=made.py")
    assert done.returncode
    assert "vlm4rec_edge-0.2.0.tar.gz (make sdist)" in done.stderr
    assert "llama_cpp_python-*-1vlm4rec-*.whl (make wheels)" in done.stderr
    assert "scipy-*.whl (make wheels)" in done.stderr
    assert "build/site (make docs)" in done.stderr


def test_wheels_of_another_version_are_not_taken_along(project: Path) -> None:
    _make(project, "0.2.0", *FAST)
    (project / "dist" / "vlm4rec_edge-0.1.9-py3-none-any.whl").write_text("old")
    done = _step(project, "collect", "0.2.0")
    assert done.returncode
    assert "another version: vlm4rec_edge-0.1.9-py3-none-any.whl" in done.stderr


def test_it_is_tagged_only_if_nothing_was_left_out_and_nothing_is_pushed(project: Path) -> None:
    _make(project, "0.2.0", *FAST)
    steps = ["check", "test", "test-pages", "test-docs", "test-wheel", "wheels", "sdist", "docs"]
    assert _step(project, "tag", "0.2.0", "--ran", *steps[1:]).returncode
    done = _step(project, "tag", "0.2.0", "--ran", *steps)
    assert "Nothing was pushed" in done.stdout
    assert _git(project, "tag", "--list", "v0.2.0") == "v0.2.0"


def test_the_weights_for_research_do_not_go_to_the_package_index(project: Path) -> None:
    _make(project, "0.2.0", *FAST)
    done = _step(project, "publishable", "0.2.0")
    encoder = "vlm4rec_edge_all_minilm_l6_v2-0.2.0-py3-none-any.whl"
    assert set(done.stdout.split()) == {"vlm4rec_edge-0.2.0-py3-none-any.whl", "vlm4rec_edge-0.2.0.tar.gz", encoder}


def test_the_folder_of_wheels_serves_extras_that_there_are_and_says_which() -> None:
    sys.path.insert(0, str(ROOT / "packaging"))
    from offline import EXTRAS, PACKAGE, command

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(EXTRAS.split(",")) <= set(extras)
    assert command("dist") == f'pip install --no-index --find-links dist "{PACKAGE}"'
    guide = (ROOT / "docs" / "guides" / "troubleshooting.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"--find-links dist \"vlm4rec-edge\[(.+)\]\"", guide)
    assert set(shown.split(",")) == set(EXTRAS.split(",")) - {"hnsw"}  # which is a part of cpu


def test_make_release_runs_all_steps_unless_it_is_told_otherwise() -> None:
    sys.path.insert(0, str(ROOT / "packaging"))
    from release import STEPS

    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    said = re.findall(r"^RELEASE_(?:CHECKS|BUILDS) \?= (.+)$", makefile, re.MULTILINE)
    assert " ".join(said).split() == list(STEPS)
    assert all(re.search(rf"^{step}:", makefile, re.MULTILINE) for step in STEPS)


def test_hosted_ci_publishes_without_a_token_and_only_what_was_tested() -> None:
    workflow = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    jobs = dict(re.findall(r"^  (\w+):\n((?:    .*\n|\n)+)", workflow.partition("jobs:")[2], re.MULTILINE))
    assert "uses: ./.github/workflows/ci.yml" in jobs["test"]
    assert "needs: test" in jobs["build"]
    assert "needs: build" in jobs["publish"]
    assert "id-token: write" in jobs["publish"]
    assert "pypa/gh-action-pypi-publish" in jobs["publish"]
    assert workflow.count("id-token") == 1
    assert "secrets." not in workflow
    assert "workflow_call:" in (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
