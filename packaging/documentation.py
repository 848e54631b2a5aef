"""``make docs``: stage the pages of the repository in ``build/docs``, the generated reference among them, and build the site.

A page of the repository reads well where it lies, and its links lead to files. On the site the same links lead to the pages
made of those files; what is not on the site (source code, tests) is named instead.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html import escape
from os.path import normpath, relpath
from pathlib import Path, PurePosixPath

from kept import ROOT
from plots import PLOTS
from reference_pages import GENERATED

STAGED = ROOT / "build" / "docs"
SITE = ROOT / "build" / "site"
SCHEMAS = "vlm4rec_edge/documents"
# Pages of the repository that are on the site under another name; whole folders of it end in a slash.
_PLACES = {
    "docs/": "",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "README.md": "index.md",
    "benchmarks/README.md": "results/index.md",
    "benchmarks/results/": "results/",
    "models/": "models/",
    f"{SCHEMAS}/": "reference/schemas/",
}
_SUFFIXES = {".md", ".png", ".svg", ".css"}
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")
_DRAWING = re.compile(r"^!\[([^\]]*)\]\(([^)]+\.svg)\)$", re.MULTILINE)
_CODE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.DOTALL | re.MULTILINE)
_FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+?)\$", re.DOTALL)
# The one page with formulas; elsewhere a dollar is a dollar.
_WITH_FORMULAS = "docs/reference/profiles.md"


def sources() -> Iterator[str]:
    """Yield every file of the repository that is on the site, by its path there."""
    yield from ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/README.md")
    for folder in ("docs", "benchmarks/results", "models"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in _SUFFIXES or (
                folder == "docs" and path.suffix == ".py" and path.parent.name == "examples"
            ):
                yield path.relative_to(ROOT).as_posix()
    yield from (path.relative_to(ROOT).as_posix() for path in sorted((ROOT / SCHEMAS).glob("*.json")))


def place(source: str) -> str:
    """Return where a file of the repository lies on the site."""
    if source in _PLACES:
        return _PLACES[source]
    folder = next(name for name in _PLACES if name.endswith("/") and source.startswith(name))
    return re.sub(r"(^|/)README\.md$", r"\1index.md", _PLACES[folder] + source.removeprefix(folder))


def stage() -> None:
    """Fill ``build/docs`` anew."""
    shutil.rmtree(STAGED, ignore_errors=True)
    known = set(sources())
    for source in known:
        target = STAGED / place(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.endswith(".md"):
            target.write_text(staged(source, known), encoding="utf-8")
        else:
            shutil.copyfile(ROOT / source, target)


def staged(source: str, known: set[str]) -> str:
    """Return a page as the site wants it: drawings inside it, formulas as MathML, links to pages of the site."""
    text = (ROOT / source).read_text(encoding="utf-8")
    for mark, write in {**GENERATED, **PLOTS}.items():
        text = text.replace(f"<!-- generated: {mark} -->", write())
    text = _DRAWING.sub(lambda found: _drawing(source, *found.groups()), text)
    code: list[str] = []

    def put_aside(found: re.Match[str]) -> str:
        code.append(found[0])
        return f"\0{len(code) - 1}\0"

    text = _CODE.sub(put_aside, text)
    if source == _WITH_FORMULAS:
        text = _FORMULA.sub(_mathml, text)
    text = _LINK.sub(lambda found: _link(source, known, found), text)
    return re.sub(r"\0(\d+)\0", lambda found: code[int(found[1])], text)


def _drawing(source: str, alternative: str, target: str) -> str:
    svg = (ROOT / source).parent.joinpath(target).read_text(encoding="utf-8")
    lines = " ".join(line.strip() for line in svg.splitlines() if line.strip())
    label = f'<svg role="img" aria-label="{escape(alternative, quote=True)}" '
    return f'<figure class="drawing">{lines.replace("<svg ", label, 1)}</figure>'


def _mathml(found: re.Match[str]) -> str:
    from latex2mathml.converter import convert

    display = "block" if found[1] else "inline"
    return str(convert((found[1] or found[2]).strip(), display=display)).replace("\n", " ")


def _link(source: str, known: set[str], found: re.Match[str]) -> str:
    image, text, target, anchor = found.groups()
    path = normpath(str(PurePosixPath(source).parent / target))
    if (ROOT / path).is_dir():
        path = f"{path}/README.md"
    if path == "README.md":  # of which the site has its own
        return f"[{text}]({relpath('index.md', str(PurePosixPath(place(source)).parent))})"
    if path in known:
        return f"{image}[{text}]({relpath(place(path), str(PurePosixPath(place(source)).parent))}{anchor or ''})"
    name = path.removesuffix("/README.md")
    return text if PurePosixPath(name).name in text or "\0" in text else f"{text} (`{name}` in the repository)"


def build() -> None:
    """Build the site of the staged pages; a link that leads nowhere ends it."""
    shutil.rmtree(SITE, ignore_errors=True)
    command = [str(Path(sys.executable).with_name("zensical")), "build", "--strict", "--clean"]
    if subprocess.run([*command, "--config-file", str(ROOT / "mkdocs.yml")], check=False, cwd=ROOT).returncode:
        sys.exit("The site was not built.")


def main() -> None:
    """Stage and build."""
    stage()
    build()
    pages = sum(1 for _ in SITE.rglob("*.html"))
    sys.stdout.write(f"{pages} pages in {SITE.relative_to(ROOT)}; open {SITE.relative_to(ROOT)}/index.html\n")


if __name__ == "__main__":
    main()
