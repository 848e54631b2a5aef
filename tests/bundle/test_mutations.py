"""2,000 damaged bundles: each is refused with a sentence, or answers exactly as the whole one."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bundle_index import all_of, copy_of, forge, forge_file

from vlm4rec_edge.bundle.manifest import MANIFEST_NAME
from vlm4rec_edge.bundle.writer import make_bundle
from vlm4rec_edge.errors import BundleError

FILES = ("items.bin", "vectors.bin", MANIFEST_NAME)
Mutation = Callable[[Path, random.Random], None]


def flip_bit(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def truncate(path: Path, chance: random.Random) -> None:
    path.write_bytes(path.read_bytes()[: -chance.choice([1, 2, 22, 64, chance.randrange(1, path.stat().st_size)])])


def edit_zip_header(path: Path, chance: random.Random) -> None:
    """Overwrite up to 4 bytes of a header of a member, of the directory, or of its end."""
    data = bytearray(path.read_bytes())
    headers = [at for sign in (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06") for at in _all(data, sign)]
    at = chance.choice(headers) + chance.randrange(60)
    for place in range(at, min(at + chance.randint(1, 4), len(data))):
        data[place] = chance.choice([0, 1, 0x7F, 0xFF, chance.randrange(256)])
    path.write_bytes(data)


def _all(data: bytearray, sign: bytes) -> list[int]:
    found, at = [], data.find(sign)
    while at >= 0:
        found.append(at)
        at = data.find(sign, at + 1)
    return found


def move_bytes(path: Path, chance: random.Random) -> None:
    """Put a stretch of the file over another one."""
    data = bytearray(path.read_bytes())
    length = chance.randrange(1, 200)
    source, target = (chance.randrange(len(data) - length) for _ in range(2))
    data[target : target + length] = data[source : source + length]
    path.write_bytes(data)


def of_a_file(mutation: Mutation) -> Mutation:
    return lambda folder, chance: mutation(folder / chance.choice(FILES), chance)


def lengthen(path: Path, chance: random.Random) -> None:
    path.write_bytes(path.read_bytes() + chance.randbytes(chance.randrange(1, 100)))


def swap_files(folder: Path, chance: random.Random) -> None:
    one, other = (folder / name for name in chance.sample(FILES, 2))
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def edit_manifest(folder: Path, chance: random.Random) -> None:
    """Change a value somewhere in the manifest, and leave its digest as it was."""
    path = folder / MANIFEST_NAME
    document = json.loads(path.read_bytes())
    change_a_value(document, chance)
    path.write_text(json.dumps(document))


def forge_sizes(folder: Path, chance: random.Random) -> None:
    """Change what the manifest says of the arrays, and make its digest right."""

    def edit(document: dict[str, Any]) -> None:
        document.pop("digest")  # it is made anew
        whole = json.dumps(document)
        while json.dumps(document) == whole:
            part = chance.choice([document["files"], document["files"], document["vectors"], document])
            change_a_value(part, chance)
            for words in ("package", "models", "encoded_text", "captions", "grounding", "encoder", "attributes"):
                document[words] = json.loads(whole)[words]  # what decides no answer, or is any text

    forge(folder, edit)


def change_a_value(node: Any, chance: random.Random) -> None:
    """Change one value in a tree of dictionaries and lists."""
    key = chance.choice(sorted(node) if isinstance(node, dict) else range(len(node)))
    value = node[key]
    if isinstance(value, (dict, list)) and value and chance.random() < 0.9:
        change_a_value(value, chance)
    else:
        others = [None, -1, 0, 2**63, 1.5, True, "", "..", [], {}, [value], str(value)]
        others += [value + 1, value * 2, value // 2] if isinstance(value, int) else []
        node[key] = chance.choice([other for other in others if other != value or type(other) is not type(value)])


@pytest.fixture(scope="module")
def whole(index: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("whole")
    make_bundle(index, folder / "b.zip")
    make_bundle(index, folder / "b")
    return {"zip": folder / "b.zip", "folder": folder / "b"}


@pytest.fixture(scope="module")
def answers(whole: dict[str, Path]) -> Any:
    return all_of(whole["folder"])


@pytest.mark.parametrize(
    ("form", "mutation", "times", "harmless"),
    [
        ("zip", flip_bit, 500, True),
        ("zip", truncate, 200, False),
        ("zip", edit_zip_header, 400, True),
        ("zip", move_bytes, 200, True),
        ("folder", of_a_file(flip_bit), 200, False),
        ("folder", of_a_file(truncate), 100, False),
        ("folder", of_a_file(lengthen), 50, True),
        ("folder", swap_files, 50, False),
        ("folder", edit_manifest, 150, False),
        ("folder", forge_sizes, 150, False),
    ],
    ids=[
        "bits",
        "cut off",
        "zip headers",
        "moved",
        "file bits",
        "file cut off",
        "longer",
        "swapped",
        "edited",
        "forged",
    ],
)
def test_no_mutation_crashes_or_changes_an_answer(
    whole: dict[str, Path], answers: Any, tmp_path: Path, form: str, mutation: Mutation, times: int, harmless: bool
) -> None:
    """``harmless``: bytes that decide nothing are among those hit, such as a date in a zip header."""
    refused = 0
    for number in range(times):
        chance = random.Random(f"{form} {times} {number}")
        path = copy_of(whole[form], tmp_path / f"{number}{whole[form].suffix}")
        mutation(path, chance)
        try:
            found = all_of(path)
        except BundleError as error:
            refused += 1
            assert str(error).endswith("."), error
        else:
            assert harmless, f"mutation {number} was not seen"
            assert found == answers, f"mutation {number}"
    assert refused > times / 10
    assert harmless or refused == times


def test_other_content_under_right_hashes_is_refused_or_is_a_bundle(whole: dict[str, Path], tmp_path: Path) -> None:
    """Somebody who makes all hashes anew makes a bundle; what he cannot make is a crash, or a text that is none."""
    seen = set()
    for number in range(100):
        chance = random.Random(number)
        path = copy_of(whole["folder"], tmp_path / str(number))
        name = chance.choice(FILES[:2])
        chance.choice([flip_bit, move_bytes])(path / name, chance)
        forge_file(path, name, (path / name).read_bytes())
        try:
            all_of(path)
            seen.add("a bundle")
        except BundleError:
            seen.add("refused")
    assert seen == {"a bundle", "refused"}


def test_mutations_are_the_same_every_time(whole: dict[str, Path], tmp_path: Path) -> None:
    hashes = set()
    for name in ("a.zip", "b.zip"):
        path = copy_of(whole["zip"], tmp_path / name)
        flip_bit(path, random.Random("seed"))
        hashes.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(hashes) == 1
