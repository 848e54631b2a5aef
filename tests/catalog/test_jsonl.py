"""A JSONL table is a catalog; a bad line spoils itself and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlm4rec_edge.catalog.reader import open_catalog
from vlm4rec_edge.errors import CatalogError
from vlm4rec_edge.items import Failure, Item


def _read(path: Path, content: str | bytes) -> tuple[list[Item], list[Failure]]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    entries = list(open_catalog(path).read())
    return (
        [entry for entry in entries if isinstance(entry, Item)],
        [entry for entry in entries if isinstance(entry, Failure)],
    )


@pytest.mark.parametrize("name", ["items.jsonl", "items.NDJSON"])
def test_values_of_every_kind_become_text(tmp_path: Path, name: str) -> None:
    line = '{"id": 7, "image": "7.jpg", "title": null, "price": 9.5, "new": true, "tags": ["a", "é"], "of": {"x": 1}}'
    (item,), failures = _read(tmp_path / name, line + "\n")
    assert failures == []
    assert item == Item(
        "7", tmp_path / "7.jpg", "", {"price": "9.5", "new": "true", "tags": '["a", "é"]', "of": '{"x": 1}'}
    )


def test_half_a_character_in_a_name_or_a_value_can_be_stored(tmp_path: Path) -> None:
    (item,), failures = _read(tmp_path / "items.jsonl", r'{"id": "7", "image": "7.jpg", "a\ud83d": "b\ud83d"}')
    assert failures == []
    assert item.attributes == {"a?": "b?"}


def test_blank_lines_a_mark_at_the_start_and_a_missing_last_line_break_do_no_harm(tmp_path: Path) -> None:
    content = '\ufeff{"id": "1", "image": "a.jpg"}\n\n  \r\n{"id": "2", "image": "b.jpg"}'
    items, failures = _read(tmp_path / "items.jsonl", content)
    assert ([item.id for item in items], failures) == (["1", "2"], [])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "is not JSON"),
        (b'{"id": "2", "image": "b.jpg"', "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'["2", "b.jpg"]', "is not a JSON object"),
        (b'"2"', "is not a JSON object"),
        (b"null", "is not a JSON object"),
        (b'{"id": "caf\xe9", "image": "b.jpg"}', "is not UTF-8"),
        (b'{"image": "b.jpg"}', "has no id"),
        (b'{"id": null, "image": "b.jpg"}', "has no id"),
        (b'{"id": "2"}', "names no image"),
        (b'{"id": "2", "image": ""}', "names no image"),
        (b'{"id": "2\\u0000", "image": "b.jpg"}', "control characters"),
        (b'{"id": "2", "image": "b\\u0000.jpg"}', "not usable"),
        (b'{"id": ' + b"9" * 5000 + b', "image": "b.jpg"}', ""),
    ],
)
def test_a_bad_line_is_a_failure_and_its_neighbours_are_items(tmp_path: Path, line: bytes, reason: str) -> None:
    content = b'{"id": "1", "image": "a.jpg"}\n' + line + b'\n{"id": "3", "image": "c.jpg"}\n'
    items, failures = _read(tmp_path / "items.jsonl", content)
    assert [item.id for item in items] == ["1", "3"]
    (failure,) = failures
    assert reason in failure.reason
    assert failure.where in {"items.jsonl, line 2", "2"}


def test_half_a_character_is_replaced_since_no_database_could_hold_it(tmp_path: Path) -> None:
    items, failures = _read(tmp_path / "items.jsonl", '{"id": "1\\ud83d", "image": "a.jpg", "title": "\\udc00 coat"}\n')
    assert failures == []
    assert (items[0].id, items[0].title) == ("1?", "? coat")


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_an_empty_table_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "items.jsonl"
    path.write_bytes(content)
    with pytest.raises(CatalogError, match="has no rows"):
        open_catalog(path)
