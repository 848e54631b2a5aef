"""Pulling through the real huggingface_hub against a stand-in of the hub on 127.0.0.1."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from hub_stand_in import COMMIT, Hub, Pull
from made_models import ONNX, PROJECTOR_GGUF, TOKENIZER, gguf_bytes

import vlm4rec_edge
from vlm4rec_edge.models.manifest import check_files, read_manifest
from vlm4rec_edge.models.resolve import resolve_encoder, resolve_lvlm

pytest.importorskip("huggingface_hub")

# huggingface_hub writes in blocks of 10 MB; what a broken transfer leaves is whole blocks.
BLOCK = 10 << 20


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _entry(**changes: Any) -> dict[str, Any]:
    return {
        "name": "made-encoder",
        "kind": "encoder",
        "description": "made for a test",
        "license": "MIT",
        "repository": "made/repository",
        "revision": "main",
        "embedded": False,
        "files": {
            "model": {"name": "onnx/model.onnx", "size_mb": 0.1},
            "tokenizer": {"name": "tokenizer.json", "size_mb": 0.1},
        },
        "quantization": {"model": "F32"},
        "memory_mb": 10,
        "was_run": False,
        "encoder": {"dimensions": 384, "max_tokens": 256, "pooling": "mean"},
        **changes,
    }


def _pinned(model: str) -> dict[str, Any]:
    entry = _entry()
    entry["files"]["model"]["sha256"] = model
    return entry


@pytest.fixture
def encoder_hub(hub: Hub) -> Hub:
    hub.files = {"onnx/model.onnx": ONNX, "tokenizer.json": TOKENIZER}
    hub.small = {"tokenizer.json"}
    return hub


def _left(home: Path) -> list[str]:
    return [path.name for path in home.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_a_pull_asks_for_the_files_of_the_model_and_for_nothing_else(encoder_hub: Hub, pull: Pull, home: Path) -> None:
    """Left alone, huggingface_hub first asks for a list of programs that may be calling it, and tells its versions."""
    assert pull(_entry()).returncode == 0
    paths = {path for _, path, _ in encoder_hub.asked}
    assert paths
    assert all(path.startswith(("/made/repository/resolve/", "/store/")) for path in paths)
    assert not (home.parent.parent / "huggingface").exists()
    assert encoder_hub.agents == {f"vlm4rec-edge/{vlm4rec_edge.__version__}"}


def test_a_pulled_encoder_is_whole_checked_and_says_where_it_came_from(
    encoder_hub: Hub, pull: Pull, home: Path
) -> None:
    done = pull(_entry())
    folder = home / "made-encoder"
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(folder)
    manifest = read_manifest(folder)
    check_files(folder, manifest)
    assert (manifest.source.repository, manifest.source.revision) == ("made/repository", COMMIT)
    assert manifest.files["model"].sha256 == _sha256(ONNX)
    assert manifest.encoder is not None
    assert manifest.encoder.pooling == "mean"
    assert sorted(_left(home)) == ["manifest.json", "model.onnx", "tokenizer.json"]
    assert resolve_encoder(str(folder)).model == folder / "onnx" / "model.onnx"


def test_a_pulled_pair_of_gguf_files_resolves(hub: Hub, pull: Pull, home: Path) -> None:
    text = gguf_bytes("llama")
    hub.files = {"text.gguf": text, "mmproj-text.gguf": PROJECTOR_GGUF}
    entry = _entry(
        name="made-lvlm",
        kind="lvlm",
        files={
            "text": {"name": "text.gguf", "size_mb": 1, "sha256": _sha256(text)},
            "projector": {"name": "mmproj-text.gguf", "size_mb": 1},
        },
        quantization={"text": "F32", "projector": "F32"},
        lvlm={"context_length": 512},
    )
    done = pull(entry)
    assert done.returncode == 0, done.stderr
    assert resolve_lvlm(str(home / "made-lvlm")).settings.context_length == 512
    checked = read_manifest(home / "made-lvlm").verification["checked_against"]
    assert checked == {"text": "registry", "projector": "hub"}


def test_a_pair_with_its_roles_swapped_on_the_hub_is_refused(hub: Hub, pull: Pull, home: Path) -> None:
    hub.files = {"text.gguf": PROJECTOR_GGUF, "mmproj-text.gguf": gguf_bytes("llama")}
    entry = _entry(
        kind="lvlm",
        files={
            "text": {"name": "text.gguf", "size_mb": 1},
            "projector": {"name": "mmproj-text.gguf", "size_mb": 1},
        },
        lvlm={"context_length": 512},
    )
    done = pull(entry)
    assert "swapped" in done.stderr
    assert not (home / entry["name"]).exists()


def test_a_broken_transfer_continues_with_the_missing_bytes_only(encoder_hub: Hub, pull: Pull, home: Path) -> None:
    graph = ONNX + bytes(3 * BLOCK)
    encoder_hub.files["onnx/model.onnx"] = graph
    encoder_hub.cut_at = 2 * BLOCK + 4096
    broken = pull(_entry())
    assert broken.returncode == 1
    assert broken.stderr.splitlines()[-1].startswith("ModelError: ")
    assert "models pull made-encoder (it continues where it stopped)" in broken.stderr
    assert "Traceback" not in broken.stderr
    assert not (home / "made-encoder").exists()

    encoder_hub.heal()
    done = pull(_entry())
    assert done.returncode == 0, done.stderr
    starts = [start for start in encoder_hub.transfers("onnx/model.onnx") if start]
    assert starts, "the second run asked for the whole file again"
    assert all(int(start.removeprefix("bytes=").rstrip("-")) >= BLOCK for start in starts)
    assert (home / "made-encoder" / "onnx" / "model.onnx").read_bytes() == graph


def test_a_file_that_was_finished_before_the_break_is_not_sent_again(encoder_hub: Hub, pull: Pull) -> None:
    encoder_hub.served["tokenizer.json"] = TOKENIZER[:-1] + b"!"
    assert pull(_entry()).returncode == 1
    encoder_hub.served.clear()
    encoder_hub.heal()
    assert pull(_entry()).returncode == 0
    assert encoder_hub.transfers("onnx/model.onnx") == []
    assert encoder_hub.transfers("tokenizer.json") == [None]


@pytest.mark.parametrize("name", ["onnx/model.onnx", "tokenizer.json"])
def test_bytes_that_differ_from_the_stated_checksum_are_refused_and_thrown_away(
    encoder_hub: Hub, pull: Pull, home: Path, name: str
) -> None:
    whole = encoder_hub.files[name]
    encoder_hub.served[name] = whole[:-1] + bytes([whole[-1] ^ 1])
    done = pull(_entry())
    assert done.returncode == 1
    assert "arrived damaged or changed" in done.stderr
    assert not (home / "made-encoder").exists()
    assert Path(name).name not in _left(home)
    assert "manifest.json" not in _left(home)


def test_a_pin_that_differs_from_the_hub_is_refused_before_anything_is_sent(
    encoder_hub: Hub, pull: Pull, home: Path
) -> None:
    done = pull(_pinned(_sha256(b"another file")))
    assert done.returncode == 1
    assert "another sha256" in done.stderr
    assert encoder_hub.transfers("onnx/model.onnx") == []
    assert not (home / "made-encoder").exists()


def test_a_pin_is_held_against_what_arrived_where_the_hub_states_no_sha256(encoder_hub: Hub, pull: Pull) -> None:
    encoder_hub.small.add("onnx/model.onnx")
    assert "arrived damaged" in pull(_pinned(_sha256(b"another file"))).stderr
    assert pull(_pinned(_sha256(ONNX))).returncode == 0


def test_a_missing_file_and_a_missing_repository_are_sentences(encoder_hub: Hub, pull: Pull) -> None:
    del encoder_hub.files["tokenizer.json"]
    for entry, status in ((_entry(), 404), (_entry(repository="made/nothing"), 401)):
        done = pull(entry)
        assert done.returncode == 1
        mirror = f"The mirror {encoder_hub.endpoint} (HF_ENDPOINT)"
        assert done.stderr.startswith(f"ModelError: {mirror} does not have all of onnx/model.onnx, tokenizer.json in ")
        assert f"({status})" in done.stderr
        assert "unset HF_ENDPOINT to ask the hub itself" in done.stderr
        assert ("HF_TOKEN" in done.stderr) == (status == 401)
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("status", "headers"), [(401, {}), (403, {}), (403, {"X-Error-Code": "GatedRepo"})])
def test_who_is_not_let_in_is_told_of_tokens_and_gated_models(
    encoder_hub: Hub, pull: Pull, status: int, headers: dict[str, str]
) -> None:
    encoder_hub.refusals = [(status, headers)]
    done = pull(_entry())
    assert done.returncode == 1
    assert f"does not give public access to made/repository at main ({status}); set HF_TOKEN" in done.stderr
    assert "accept its license first, on https://huggingface.co/made/repository" in done.stderr


def test_too_many_requests_are_waited_out_as_the_hub_says(encoder_hub: Hub, pull: Pull, home: Path) -> None:
    encoder_hub.refusals = [(429, {"Retry-After": "1"}), (429, {"Retry-After": "Thu, 01 Jan 2026 00:00:00 GMT"})]
    done = pull(_entry())
    assert done.returncode == 0, done.stderr
    assert encoder_hub.refusals == []
    assert resolve_encoder(home / "made-encoder").settings.dimensions == 384
    encoder_hub.refusals = [(429, {"Retry-After": "7200"})]
    done = pull(_entry(name="other"))
    assert done.returncode == 1
    assert "limits the rate of requests from here; wait 120 min, or set HF_TOKEN" in done.stderr


def test_a_cache_that_is_no_folder_is_no_matter_of_the_network(encoder_hub: Hub, pull: Pull, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = pull(_entry(), environment={"VLM4REC_EDGE_HOME": str(tmp_path / "file")})
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "set VLM4REC_EDGE_HOME to a folder that can" in done.stderr
    assert "network" not in done.stderr


def test_no_network_is_a_sentence(pull: Pull) -> None:
    done = pull(_entry(), environment={"HF_ENDPOINT": "http://127.0.0.1:9"})
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ModelError: made-encoder could not be fetched")


@pytest.mark.parametrize(
    ("options", "environment"),
    [(("--offline",), {}), ((), {"HF_HUB_OFFLINE": "1"}), ((), {"HF_HUB_OFFLINE": "yes"})],
)
def test_offline_says_what_is_missing_and_asks_nothing(
    encoder_hub: Hub, pull: Pull, options: tuple[str, ...], environment: dict[str, str]
) -> None:
    done = pull(_entry(), *options, environment=environment)
    assert done.returncode == 1
    assert "onnx/model.onnx, tokenizer.json" in done.stderr
    assert "vlm4rec-edge models pull made-encoder" in done.stderr
    assert encoder_hub.asked == []


def test_offline_is_content_with_a_pulled_model(encoder_hub: Hub, pull: Pull) -> None:
    assert pull(_entry()).returncode == 0
    encoder_hub.heal()
    assert pull(_entry(), "--offline").returncode == 0
    assert pull(_entry()).returncode == 0
    assert encoder_hub.asked == []


def test_pulling_again_mends_a_damaged_file_and_only_that(encoder_hub: Hub, pull: Pull, home: Path) -> None:
    assert pull(_entry()).returncode == 0
    (home / "made-encoder" / "tokenizer.json").write_bytes(TOKENIZER[:-2])
    encoder_hub.heal()
    assert pull(_entry()).returncode == 0
    check_files(home / "made-encoder", read_manifest(home / "made-encoder"))
    assert encoder_hub.transfers("onnx/model.onnx") == []


def test_a_newly_pinned_revision_replaces_an_older_one(encoder_hub: Hub, pull: Pull, home: Path) -> None:
    assert pull(_entry()).returncode == 0
    encoder_hub.heal()
    assert pull(_entry(revision=COMMIT)).returncode == 0
    assert encoder_hub.asked == []
    manifest_path = home / "made-encoder" / "manifest.json"
    manifest_path.write_text(manifest_path.read_text().replace(COMMIT, "b" * 40))
    assert pull(_entry(revision=COMMIT)).returncode == 0
    assert read_manifest(home / "made-encoder").source.revision == COMMIT
    assert encoder_hub.transfers("onnx/model.onnx") == []


def test_a_model_larger_than_the_free_disk_is_refused_before_it_is_sent(
    encoder_hub: Hub, pull: Pull, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import shutil, collections\n"
        "usage = collections.namedtuple('usage', 'total used free')\n"
        "shutil.disk_usage = lambda path: usage(1, 1, 1 << 10)\n"
    )
    import vlm4rec_edge

    package = Path(vlm4rec_edge.__file__).parent.parent
    done = pull(_entry(), environment={"PYTHONPATH": f"{tmp_path}{os.pathsep}{package}"})
    assert "make room" in done.stderr
    assert encoder_hub.transfers("onnx/model.onnx") == []
