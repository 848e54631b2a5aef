"""``make release VERSION=x.y.z``: refuse what is not ready, set the version, and collect what the other targets have built.

It commits and tags on this machine, and pushes nothing. It can be run again: what is done already is not done twice.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from kept import ROOT
from offline import about

DIST = ROOT / "dist"
SITE = ROOT / "build" / "site"
CHANGELOG = "CHANGELOG.md"
SUMS, NOTES = "SHA256SUMS", "RELEASE_NOTES.md"
# A file of dist: what it is by its name, and the target that makes it. {} is the version.
WANTED = {
    "vlm4rec_edge-{}-*.whl": "make wheels",
    "vlm4rec_edge_all_minilm_l6_v2-{}-*.whl": "make wheels",
    "vlm4rec_edge_stylist_lvlm-{}-*.whl": "make wheels",
    "llama_cpp_python-*-1vlm4rec-*.whl": "make wheels",
    "hnswlib-*.whl": "make wheels",
    "scipy-*.whl": "make wheels",
    "starlette-*.whl": "make wheels",
    "vlm4rec_edge-{}.tar.gz": "make sdist",
}
# Without these a release is not tagged.
STEPS = ("check", "test", "test-pages", "test-docs", "test-wheel", "wheels", "sdist", "docs")
_VERSION = re.compile(r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)")
# Where the version stands: the file, and what stands around it.
_PLACES = (
    ("vlm4rec_edge/__init__.py", r'(?m)^(__version__ = ")[^"]+(")$'),
    ("models/*/pyproject.toml", r'(?m)^(version = ")[^"]+(")$'),
    ("pyproject.toml", r'("vlm4rec-edge-[a-z0-9-]+==)[^"]+(")'),
)


class NotReadyError(Exception):
    """Why no release can be made, as a sentence."""


def begin(version: str, today: date) -> str:
    """Set the version and the changelog's section, and commit them; return what was done, as a sentence.

    Raises:
        NotReadyError: the tree is not clean, the version is none, is tagged or is older, or the changelog lacks it.
    """
    _check_version(version)
    if changed := _git("status", "--porcelain"):
        raise NotReadyError(f"The working tree is not clean; commit or stash first:\n{changed}")
    if f"v{version}" in _git("tag", "--list").split():
        raise NotReadyError(f"v{version} is tagged already; a released version is never rebuilt.")
    # Nothing is written before all of it is known to be right.
    texts = {ROOT / CHANGELOG: _with_section((ROOT / CHANGELOG).read_text(encoding="utf-8"), version, today)}
    for pattern, around in _PLACES:
        for path in sorted(ROOT.glob(pattern)):
            text = texts.get(path) or path.read_text(encoding="utf-8")
            texts[path], count = re.subn(around, rf"\g<1>{version}\g<2>", text)
            if not count:
                raise NotReadyError(f"{path.relative_to(ROOT)} holds no version where one is expected.")
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    if not _git("status", "--porcelain"):
        return f"Version {version} is set already."
    try:
        _git("commit", "--quiet", "--all", "--message", f"Version {version}")
    except NotReadyError:
        _git("checkout", "--quiet", "HEAD", "--", ".")
        raise
    return f"Version {version} is set and committed; `git reset --hard HEAD~1` takes it back."


def _check_version(version: str) -> None:
    _check_form(version)
    tagged = [tag.removeprefix("v") for tag in _git("tag", "--list", "v*").split()]
    own = re.search(_PLACES[0][1].replace('[^"]+', '([^"]+)'), (ROOT / _PLACES[0][0]).read_text(encoding="utf-8"))
    known = [*(tag for tag in tagged if _VERSION.fullmatch(tag)), *([own[2]] if own else [])]
    newest = max(known, key=_numbers, default="0.0.0")
    if _numbers(version) < _numbers(newest):
        raise NotReadyError(f"{version} is older than {newest}, which is tagged or set.")


def _check_form(version: str) -> None:
    if not _VERSION.fullmatch(version):
        raise NotReadyError(f"{version!r} is not a version; run make release VERSION=x.y.z.")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _with_section(text: str, version: str, today: date) -> str:
    """Return the changelog with a section of the version: made from "Unreleased", unless it is there."""
    unreleased = _section(text, "Unreleased")
    if _section(text, version):
        if unreleased:
            raise NotReadyError(
                f'{CHANGELOG} has a section {version} and entries under "Unreleased"; move them to one.'
            )
        return text
    if not unreleased:
        raise NotReadyError(f'{CHANGELOG} has nothing about {version}: no section, and nothing under "Unreleased".')
    return text.replace("## Unreleased\n", f"## Unreleased\n\n## {version} - {today.isoformat()}\n", 1)


def _section(text: str, name: str) -> str:
    found = re.search(rf"^## {re.escape(name)}\b[^\n]*\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    return found[1].strip() if found else ""


def collect(version: str) -> list[Path]:
    """Put the site, the release notes and the checksums beside the wheels in ``dist``; return all of its files.

    Raises:
        NotReadyError: something is missing, or of another version.
    """
    missing = [f"{name.format(version)} ({by})" for name, by in WANTED.items() if not _found(name.format(version))]
    if not (SITE / "index.html").is_file():
        missing.append("build/site (make docs)")
    if missing:
        raise NotReadyError("dist is not complete. Missing: " + ", ".join(missing) + ".")
    if other := [path.name for path in _found("vlm4rec_edge*") if f"-{version}" not in path.name]:
        raise NotReadyError(f"dist holds files of another version: {', '.join(other)}. Remove them.")
    _zip(SITE, DIST / f"vlm4rec_edge-{version}-site.zip")
    notes = _section((ROOT / CHANGELOG).read_text(encoding="utf-8"), version)
    if not notes:
        raise NotReadyError(f"{CHANGELOG} has no section {version}.")
    (DIST / NOTES).write_text(f"{notes}\n\n{about()}", encoding="utf-8")
    files = sorted(path for path in DIST.iterdir() if path.is_file() and path.name != SUMS)
    sums = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)
    (DIST / SUMS).write_text(sums, encoding="utf-8")
    return [*files, DIST / SUMS]


def _found(pattern: str) -> list[Path]:
    return sorted(DIST.glob(pattern))


def _zip(folder: Path, archive: Path) -> None:
    """Pack a folder; the same files make the same archive."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(f"site/{path.relative_to(folder).as_posix()}")
                entry.compress_type = zipfile.ZIP_DEFLATED
                packed.writestr(entry, path.read_bytes())


def tag(version: str, ran: Iterable[str]) -> str:
    """Tag the commit if nothing was left out; return what was done, as a sentence.

    Raises:
        NotReadyError: steps were left out, or the tree has changed.
    """
    _check_form(version)
    if left := [step for step in STEPS if step not in set(ran)]:
        raise NotReadyError(f"Not tagged, because this was left out: {', '.join(left)}.")
    if changed := _git("status", "--porcelain"):
        raise NotReadyError(f"Not tagged, because files changed on the way:\n{changed}")
    _git("tag", "--annotate", f"v{version}", "--message", f"Version {version}")
    return f"Tagged v{version}. Nothing was pushed; that is yours: git push origin HEAD v{version}"


def publishable(version: str, folder: Path) -> list[Path]:
    """Copy what goes to the package index: the code and the encoder. The captioner's weights are for research only."""
    names = ("vlm4rec_edge-{}-*.whl", "vlm4rec_edge-{}.tar.gz", "vlm4rec_edge_all_minilm_l6_v2-{}-*.whl")
    folder.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copy2(path, folder)) for name in names for path in _found(name.format(version))]


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise NotReadyError(f"git {arguments[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()


def main(arguments: Sequence[str] | None = None) -> None:
    """Do one step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["begin", "collect", "tag", "publishable"])
    parser.add_argument("version", help="x.y.z")
    parser.add_argument("--ran", nargs="*", default=[], help="With tag: the targets of make that were run.")
    parser.add_argument("--into", type=Path, default=ROOT / "build" / "publish", help="With publishable: the folder.")
    given = parser.parse_args(arguments)
    try:
        if given.step == "begin":
            said = begin(given.version, datetime.now(UTC).date())
        elif given.step == "collect":
            files = collect(given.version)
            said = "".join(f"{path.stat().st_size / 1e6:8.2f} MB  {path.name}\n" for path in files).rstrip()
        elif given.step == "tag":
            said = tag(given.version, given.ran)
        else:
            said = "\n".join(path.name for path in publishable(given.version, given.into))
    except NotReadyError as error:
        sys.exit(f"Error: {error}")
    sys.stdout.write(f"{said}\n")


if __name__ == "__main__":
    main()
