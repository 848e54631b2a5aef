"""Model files from strangers: no pickle is ever read, and what a manifest names is compared before native code sees it."""

from __future__ import annotations

import ast
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pictures import swatch
from program import program

from vlm4rec_edge import resolve_encoder, resolve_lvlm
from vlm4rec_edge.errors import ModelError

ROOT = Path(__file__).parents[2]
_UNPICKLING_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
_CODE_FROM_TEXT = {"eval", "exec"}


def _sources() -> list[Path]:
    return [
        path for folder in ("vlm4rec_edge", "export", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))
    ]


def _dangers(source: str) -> Iterator[str]:
    """What in a source file reads pickles, or could, by line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"{node.lineno}: imports {name}" for name in names if name.split(".")[0] in _UNPICKLING_MODULES)
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            settings = {word.arg: ast.unparse(word.value) for word in node.keywords}
            if called == "torch.load" and settings.get("weights_only") != "True":
                yield f"{node.lineno}: torch.load without weights_only=True"
            if settings.get("allow_pickle", "False") != "False":
                yield f"{node.lineno}: {called} with allow_pickle"
            if settings.get("trust_remote_code", "False") != "False":
                yield f"{node.lineno}: {called} with trust_remote_code"
            if called in _CODE_FROM_TEXT:
                yield f"{node.lineno}: {called}"


def test_nothing_of_ours_reads_a_pickle_or_runs_code_out_of_a_file() -> None:
    sources = _sources()
    assert len(sources) > 40
    found = {str(path.relative_to(ROOT)): list(_dangers(path.read_text(encoding="utf-8"))) for path in sources}
    assert {path: dangers for path, dangers in found.items() if dangers} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "eval(text)",
    ],
)
def test_the_search_for_pickles_finds_them(source: str) -> None:
    assert list(_dangers(source))


@pytest.mark.parametrize("kind", ["lvlm", "encoder"])
def test_one_changed_byte_anywhere_in_a_model_with_a_manifest_is_refused(tmp_path: Path, kind: str) -> None:
    resolve = resolve_lvlm if kind == "lvlm" else resolve_encoder
    folder = Path(shutil.copytree(resolve().folder, tmp_path / "copy"))
    assert resolve(folder).manifest is not None
    chance = random.Random(4)
    manifest = resolve(folder).manifest
    assert manifest is not None
    files = [folder / file.name for file in manifest.files.values()]
    for _ in range(25):
        path = chance.choice(files)
        at, flip = chance.randrange(path.stat().st_size), 1 << chance.randrange(8)
        _flip(path, at, flip)
        with pytest.raises(ModelError, match=f"{path.name} is damaged"):
            resolve(folder)
        _flip(path, at, flip)
    assert resolve(folder).manifest == manifest


def _flip(path: Path, at: int, bits: int) -> None:
    with path.open("r+b") as stream:
        stream.seek(at)
        (byte,) = stream.read(1)
        stream.seek(at)
        stream.write(bytes([byte ^ bits]))


def _caption_with_damaged_copy(tmp_path: Path, file: str, damage: dict[int, int] | tuple[bytes, bytes]) -> int:
    """Caption a photo with a copy of the embedded model that has no manifest and is damaged; return the exit code."""
    model = resolve_lvlm()
    (tmp_path / "own").mkdir()
    for path in (model.text, model.projector):
        shutil.copy(path, tmp_path / "own")
    path = tmp_path / "own" / (model.text if file == "text" else model.projector).name
    if isinstance(damage, tuple):
        assert damage[0] in path.read_bytes()
        path.write_bytes(path.read_bytes().replace(*damage, 1))
    else:
        for at, bits in damage.items():
            _flip(path, at, bits)
    swatch(200, 30, 30, size=(48, 64)).save(tmp_path / "photo.png")
    done = program("caption", tmp_path / "photo.png", "--model", tmp_path / "own", "--max-tokens", "4")
    assert done.code <= 0 or done.err.strip().endswith((".", "?")), done.err
    return done.code


@pytest.mark.parametrize("file", ["text", "projector"])
def test_damaged_weights_of_an_own_model_without_manifest_make_a_bad_caption_or_a_sentence(
    tmp_path: Path, file: str
) -> None:
    chance = random.Random(f"weights of {file}")
    damage = {chance.randrange(200_000, 2_600_000): 1 << chance.randrange(8) for _ in range(50)}
    assert _caption_with_damaged_copy(tmp_path, file, damage) in {0, 1}


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("text", (b"llama.block_count", b"llama.block_counT")),
        ("text", (b"blk.0.attn_q.weight", b"blk.0.attn_q.weighs")),
        ("text", {8: 0xFF}),
        ("projector", (b"mm.model.fc.weight", b"mm.model.fc.weighs")),
        ("projector", {4: 0xFF}),
    ],
)
def test_a_damaged_header_of_an_own_model_without_manifest_is_a_sentence(
    tmp_path: Path, file: str, damage: dict[int, int] | tuple[bytes, bytes]
) -> None:
    assert _caption_with_damaged_copy(tmp_path, file, damage) == 1


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("text", (b"\3\0\0\0\0\0\0\0ter", b"\3\0\0\0\0\0\0\0eta")),  # then a word is there twice
        ("projector", (b"v.blk.0.attn_q.weight", b"v.blk.0.attn_q.weighs")),
        ("projector", (b"v.patch_embd.weight", b"v.patch_embd.weighs")),
    ],
)
def test_an_own_model_without_manifest_whose_names_are_damaged_ends_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, damage: tuple[bytes, bytes]
) -> None:
    monkeypatch.setenv("GGML_NO_BACKTRACE", "1")  # which calls gdb, for seconds
    assert _caption_with_damaged_copy(tmp_path, file, damage) in {0, 1}
