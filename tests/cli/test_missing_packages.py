"""Where an optional package is missing, the message holds the command that installs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictures import swatches
from program import watched


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of two photos and a table of them."""
    first, second = swatches(tmp_path / "photos", 2)
    (first.parent / "items.csv").write_text(f"id,image,title\na,{first.name},Red\nb,{second.name},Blue\n")
    return first.parent


@pytest.mark.parametrize("package", ["onnxruntime", "llama_cpp", "tokenizers", "PIL", "jinja2"])
def test_indexing_without_a_package_says_which_command_installs_it(photos: Path, package: str) -> None:
    done = watched("index", photos, "--out", photos.parent / "x.index", without=package)
    assert done.code == 1
    assert 'pip install "vlm4rec-edge[cpu]"' in done.err
    assert done.err.count("Error: ") == 1
    assert done.out == ""


def test_captioning_without_llama_cpp_says_which_command_installs_it(photos: Path) -> None:
    done = watched("caption", photos / "0000.png", "--json", without="llama_cpp")
    assert done.code == 1
    assert done.json["error"]["kind"] == "MissingDependencyError"
    assert 'pip install "vlm4rec-edge[cpu]"' in done.json["error"]["message"]


def test_titles_are_indexed_without_llama_cpp_and_without_pillow(photos: Path) -> None:
    out = photos.parent / "x.index"
    done = watched("index", photos / "items.csv", "--out", out, "--encode", "title", without="llama_cpp,PIL")
    assert done.code == 0, done.err


def test_a_parquet_table_without_pyarrow_says_which_command_installs_it(photos: Path) -> None:
    table = photos / "items.parquet"
    table.write_bytes(b"PAR1")
    done = watched("index", table, "--out", photos.parent / "x.index", without="pyarrow")
    assert done.code == 1
    assert 'pip install "vlm4rec-edge[parquet]"' in done.err


def test_recommending_needs_neither_models_nor_pillow_nor_the_hub(shop_index: Path) -> None:
    """A till or a container that only recommends installs none of the extras."""
    none = "onnxruntime,llama_cpp,tokenizers,PIL,huggingface_hub,pyarrow,torch,jinja2,hnswlib"
    with_ids = watched("info", shop_index, "--json", without=none)
    assert with_ids.code == 0, with_ids.err
    for command in (["recommend", shop_index, "--history"], ["similar", shop_index]):
        done = watched(*command, "t-shirt-no-such", "--json", without=none)
        assert done.json["error"]["kind"] == "UnknownItemError"
        assert not {"onnxruntime", "llama_cpp", "tokenizers", "PIL", "torch", "huggingface_hub"} & done.loaded


def test_searching_without_the_encoder_says_which_command_installs_it(shop_index: Path) -> None:
    done = watched("search", shop_index, "red dress", without="onnxruntime")
    assert done.code == 1
    assert 'pip install "vlm4rec-edge[cpu]"' in done.err
