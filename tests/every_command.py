"""Every command of the program, each run in one way or several; a new command needs a recipe here."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer.main
from program import program
from with_bf16 import why_no_bf16

from vlm4rec_edge.cli.app import make_app
from vlm4rec_edge.store.reader import StoreReader

INDEX, EMBEDDED = "shop.index", "stylist-lvlm"


def commands() -> set[str]:
    """Return the names of all commands, those of a group after its name."""
    return set(_below(typer.main.get_command(make_app())))


def _below(command: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    group = getattr(command, "commands", {})
    if not group:
        yield " ".join(path)
    for name, one in group.items():
        yield from _below(one, (*path, name))


def stock(work: Path, shop: Path, index: Path) -> Path:
    """Make a folder with what the recipes need: a copy of an index, and a few photos of its table."""
    (work / "photos").mkdir(parents=True)
    shutil.copytree(index, work / INDEX)
    for number, photo in enumerate(sorted(shop.parent.rglob("*.jpg"))[:2]):
        shutil.copy(photo, work / "photos" / f"new-{number}.jpg")
    return work


def _ids(work: Path) -> list[str]:
    with StoreReader(work / INDEX) as store:
        return [item.id for item in store.items()]


def _first(work: Path) -> str:
    return _ids(work)[0]


def _purchases(work: Path, users: str = "ab") -> str:
    rows = [f"{user},{item},2026-01-{day:02}" for user in users for day, item in enumerate(_ids(work)[:8], start=1)]
    (work / "purchases.csv").write_text("\n".join(["user_id,item_id,date", *rows]), encoding="utf-8")
    return "purchases.csv"


def _done(work: Path, *arguments: object) -> None:
    done = program(*arguments, cwd=work)
    assert done.code == 0, done.err


def _bundled(work: Path) -> str:
    _done(work, "bundle", INDEX, "old.zip")
    return "old.zip"


def _in_a_table(work: Path) -> str:
    _done(work, "export", INDEX, "lancedb://shop.lancedb")
    return "lancedb://shop.lancedb"


def _delta(work: Path) -> tuple[str, str, str]:
    old = _bundled(work)
    _done(work, "remove", INDEX, _first(work))
    _done(work, "bundle", INDEX, "news.zip", "--delta", old)
    return old, "news.zip", "new.zip"


def _planned(work: Path) -> str:
    _done(work, "shard", "plan", "photos", "--out", "shards", "--rows", 1)
    return "shards"


def _run(work: Path) -> str:
    _done(work, "shard", "run", _planned(work), "--max-tokens", 3)
    return "shards"


def _exported(form: str) -> Callable[[Path], list[object]]:
    return lambda _: ["export", INDEX, f"out-{form}", "--format", form]


# Each gets the folder that the command is run in, and returns its arguments.
RECIPES: dict[str, list[Callable[[Path], list[object]]]] = {
    "index": [
        lambda _: ["index", "photos", "--out", "new.index", "--max-tokens", 3],
        lambda _: ["index", "photos", "--out", "new.index", "--structured", "--batch", 1],
        *([] if why_no_bf16() else [lambda _: ["index", "photos", "--out", "new.index", "--vision-precision", "bf16"]]),
    ],
    "recommend": [
        lambda work: ["recommend", INDEX, "--history", _first(work), "--explain"],
        lambda work: ["recommend", INDEX, "--text", "a red dress"],
        lambda work: ["recommend", INDEX, "--histories", _purchases(work), "--out", "answers.parquet"],
        lambda work: ["recommend", _bundled(work), "--history", _first(work)],
        lambda work: [
            "recommend",
            _in_a_table(work),
            "--history",
            _first(work),
            "--where",
            "caption != 'x'",
            "--explain",
        ],
    ],
    "similar": [
        lambda work: ["similar", INDEX, _first(work)],
        lambda _: ["similar", INDEX, "--photo", "photos/new-0.jpg"],
    ],
    "search": [lambda _: ["search", INDEX, "a red dress"]],
    "caption": [lambda _: ["caption", "photos/new-0.jpg", "--max-tokens", 3]],
    "info": [lambda _: ["info", INDEX]],
    "items": [lambda _: ["items", INDEX, "--limit", 3]],
    "serve": [],  # it listens, and ends when it is told to: a test of its own in test_nothing_leaves.py
    "doctor": [lambda _: ["doctor"], lambda _: ["doctor", "--json"]],
    "evaluate": [lambda work: ["evaluate", INDEX, "--interactions", _purchases(work), "--resamples", 10]],
    "learn": [
        lambda work: ["learn", INDEX, "--interactions", _purchases(work, "abcdefghij")],
        lambda _: ["learn", INDEX, "--forget"],
    ],
    "add": [lambda _: ["add", INDEX, "photos/new-0.jpg"]],
    "remove": [lambda work: ["remove", INDEX, _first(work)]],
    "verify": [lambda _: ["verify", INDEX]],
    "repair": [lambda _: ["repair", INDEX]],
    "bundle": [lambda _: ["bundle", INDEX, "shop.bundle", "--thumbnails", 32, "--with-encoder", "--with-lvlm"]],
    "patch": [lambda work: ["patch", *_delta(work)]],
    "export": [
        *map(_exported, ("parquet", "jsonl", "csv", "numpy", "hnswlib", "faiss")),
        lambda _: ["export", INDEX, "--format", "qdrant", "--url", "qdrant-folder", "--collection", "shop"],
        lambda _: ["export", INDEX, "lancedb://shop.lancedb"],
    ],
    "demo": [lambda _: ["demo", "--out", "demo"], lambda _: ["demo", "--photos", "photos", "--out", "of-photos"]],
    "models list": [lambda _: ["models", "list"]],
    "models pull": [lambda _: ["models", "pull", EMBEDDED]],
    "models verify": [lambda _: ["models", "verify", "--golden"]],
    "models path": [lambda _: ["models", "path", EMBEDDED]],
    "shard plan": [lambda _: ["shard", "plan", "photos", "--out", "shards", "--rows", 1]],
    "shard run": [lambda work: ["shard", "run", _planned(work), "--max-tokens", 3]],
    "shard status": [lambda work: ["shard", "status", _run(work)]],
    "shard merge": [lambda work: ["shard", "merge", _run(work), "--out", "merged.index"]],
}
