"""The page is plain files of ours: no address of others, nothing that its own policy forbids, no markup made of data."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from contrasts import contrast
from starlette.testclient import TestClient

import vlm4rec_edge

PAGE = Path(vlm4rec_edge.__file__).parent / "serve" / "page"
FILES = sorted(path for path in PAGE.iterdir() if path.is_file())
SCRIPTS = [path for path in FILES if path.suffix == ".js"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_is_served_as_it_is_and_kept_by_its_tag(client: TestClient, path: Path) -> None:
    answer = client.get(f"/page/{path.name}")
    assert answer.content == path.read_bytes()
    again = client.get(f"/page/{path.name}", headers={"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_names_no_address_of_others(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"(?:https?:)?//[\w.-]+", text.replace("// ", ""))) <= {"http://www.w3.org"}
    assert "@import" not in text
    assert re.findall(r"""["'(]data:""", text) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_makes_no_markup_of_texts(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser|srcdoc|javascript:"
    )
    assert re.findall(forbidden, text) == []


def test_the_page_holds_no_script_and_no_style_of_its_own() -> None:
    text = (PAGE / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<style|style=|\son\w+=|<script(?![^>]*\ssrc=)", text) == []


def test_what_the_scripts_import_is_there() -> None:
    for path in SCRIPTS:
        for name in re.findall(r'from "\./([\w.-]+)"', path.read_text(encoding="utf-8")):
            assert (PAGE / name).is_file(), f"{path.name} imports {name}"


def test_the_colours_of_words_can_be_read_on_what_they_stand_on() -> None:
    """WCAG 2.2, 1.4.3: a contrast of 4.5 at least, in light and dark."""
    text = (PAGE / "tokens.css").read_text(encoding="utf-8")
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", part)) for part in text.split("@media", 1))
    for colours in (light, {**light, **dark}):
        for word in ("ink", "soft", "accent", "fault"):
            for ground in ("paper", "card", "hover"):
                assert contrast(colours[word], colours[ground]) >= 4.5, (word, ground)
        assert contrast(colours["on-accent"], colours["accent"]) >= 4.5
        assert contrast(colours["ink"], colours["track"]) >= 4.5
        assert contrast(colours["away"], colours["card"]) >= 4.5
        for ground in ("paper", "card"):  # 1.4.11: of the line under a word that is shared
            assert contrast(colours["under"], colours[ground]) >= 3
