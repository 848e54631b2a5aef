"""A plug-in is found by its name; one that does not work is a sentence that names it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vlm4rec_edge import ModelError, UsageError, open_captioner, open_encoder
from vlm4rec_edge.cli.app import make_app
from vlm4rec_edge.index import open_backend
from vlm4rec_edge.plugins import installed_plugins

_CODE = """
import sys

from made_plugins import MadeCaptioner, MadeEncoder
from vlm4rec_edge import UsageError

def captioner(argument):
    return MadeCaptioner(argument=argument)

def encoder(argument):
    return MadeEncoder()

def nothing(argument):
    return None

def unwilling(argument):
    raise UsageError("Say which server.")

def broken(argument):
    raise KeyError(argument)

def without_argument():
    return MadeCaptioner()

def leaving(argument):
    sys.exit(argument)
"""
_NAMES = ("captioner", "encoder", "nothing", "unwilling", "broken", "without_argument", "leaving", "absent")


@pytest.fixture(autouse=True)
def _site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a package whose plug-ins are called like its functions, once in each group."""
    facts = tmp_path / "site" / "made-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts.parent / "made_by_name.py").write_text(_CODE, encoding="utf-8")
    (facts.parent / "exits_at_import.py").write_text("raise SystemExit(3)", encoding="utf-8")
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: made\nVersion: 1.0\n", encoding="utf-8")
    lines = []
    for group in ("captioners", "encoders", "indexes"):
        lines += [f"[vlm4rec_edge.{group}]", "exits = exits_at_import:x", *(f"{n} = made_by_name:{n}" for n in _NAMES)]
    (facts / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.syspath_prepend(str(facts.parent))


def _announced(folder: Path, package: str, group: str, line: str) -> None:
    facts = folder / f"{package}-2.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 2.0\n", encoding="utf-8")
    (facts / "entry_points.txt").write_text(f"[vlm4rec_edge.{group}]\n{line}\n", encoding="utf-8")


def test_a_name_that_two_packages_announce_is_an_error_that_names_both(tmp_path: Path) -> None:
    _announced(tmp_path / "site", "other", "captioners", "captioner = elsewhere:captioner")
    with pytest.raises(
        ModelError, match=r"more than once, by made 1\.0 \(.*\) and by other 2\.0 \(elsewhere:captioner\)"
    ):
        open_captioner("captioner:x")
    assert open_encoder("encoder").dimensions == 8


def test_a_name_of_a_model_is_refused_to_a_plug_in(tmp_path: Path) -> None:
    _announced(tmp_path / "site", "other", "encoders", "all-minilm-l6-v2 = elsewhere:encoder")
    with pytest.raises(ModelError, match=r"all-minilm-l6-v2 of other 2\.0 has the name of a model of this program"):
        open_encoder("all-minilm-l6-v2")


def test_the_plug_ins_of_installed_packages_are_listed() -> None:
    names = [(plugin.name, plugin.package, plugin.problem) for plugin in installed_plugins("captioners")]
    assert names == [(name, "made 1.0", "") for name in sorted([*_NAMES, "exits"])]
    assert {plugin.group for plugin in installed_plugins()} >= {"captioners", "encoders", "indexes"}
    shown = CliRunner().invoke(make_app(["models"]), ["models", "list"])
    assert "Plug-ins of installed packages" in shown.output
    assert "made 1.0" in shown.output
    document = json.loads(CliRunner().invoke(make_app(["models"]), ["models", "list", "--json"]).output)
    assert {"group", "name", "value", "package", "problem"} == set(document["plugins"][0])


@pytest.mark.parametrize("find", [open_captioner, open_encoder])
def test_an_unknown_name_lists_the_plug_ins(find: Callable[[str], object]) -> None:
    with pytest.raises(ModelError, match=r"Installed plug-ins: .*captioner|Installed plug-ins: .*encoder"):
        find("nowhere-to-be-found")
    with pytest.raises(ModelError, match=r"did you mean (captioner|encoder)"):
        find({open_captioner: "captionr", open_encoder: "encodr"}[find])


def test_what_follows_the_first_colon_is_handed_on() -> None:
    for name, argument in (
        ("captioner", ""),
        ("captioner:", ""),
        ("captioner:http://[::1]:80#a:b", "http://[::1]:80#a:b"),
    ):
        assert vars(open_captioner(name))["argument"] == argument
    assert open_encoder("encoder:C:\\words").dimensions == 8


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "makes a NoneType, which is none of the"),
        ("broken:x", "cannot be opened with 'x': KeyError"),
        ("without_argument", "cannot be opened with '': TypeError"),
        ("leaving:7", "cannot be opened with '7': SystemExit"),
        ("absent", "cannot be imported"),
        ("exits", "cannot be imported"),
    ],
)
def test_a_plug_in_that_does_not_work_is_a_sentence(name: str, message: str) -> None:
    for find in (open_captioner, open_encoder):
        with pytest.raises(ModelError, match=message):
            find(name)
    head, _, argument = name.partition(":")  # a back end is named alone: its files begin with its name
    with pytest.raises(ModelError, match=message.replace(repr(argument), "''")):
        open_backend(head)


def test_a_plug_in_of_another_kind_is_a_sentence() -> None:
    with pytest.raises(ModelError, match="none of the captioners: it has no caption"):
        open_captioner("encoder")
    with pytest.raises(ModelError, match="none of the encoders: it has no dimensions and no encode"):
        open_encoder("captioner")


def test_a_plug_in_speaks_for_itself() -> None:
    with pytest.raises(UsageError, match="Say which server"):
        open_captioner("unwilling")


def test_a_plug_in_takes_no_setting_of_ours_but_may_know_how_many_photos_come() -> None:
    with pytest.raises(UsageError, match="leave out batch"):
        open_captioner("captioner", batch=4)
    assert vars(open_captioner("captioner", photos=1))["argument"] == ""


@pytest.mark.parametrize("name", ["C:\\models\\mine", "/models/openai:7", ":", "captioner/model", "./captioner"])
def test_a_path_is_no_plug_in(name: str) -> None:
    with pytest.raises(ModelError, match="There is no"):
        open_captioner(name)
    with pytest.raises(ModelError, match="There is no"):
        open_encoder(name)
