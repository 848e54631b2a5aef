"""lvlm_to_gguf.py: what it writes is quantized as asked, and llama.cpp captions photos with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_checkpoints import make_lvlm, need_export_extra, run_script

from vlm4rec_edge.models.manifest import check_files, read_manifest

SCRIPT = "lvlm_to_gguf.py"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny SmolVLM with random weights."""
    need_export_extra()
    return make_lvlm(tmp_path_factory.mktemp("lvlm") / "tiny-smolvlm")


@pytest.fixture(scope="module")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint as Q8_0, text model and projector."""
    out = tmp_path_factory.mktemp("exported") / "tiny"
    types = ["--text-type", "q8_0", "--projector-type", "Q8_0", "--min-agreement", "0"]
    settings = ["--name", "tiny", "--prompt", "describe this product", "--max-tokens", "8"]
    done = run_script(SCRIPT, checkpoint, "--out", out, *types, *settings)
    assert done.returncode == 0, done.stderr
    assert "of the tokens equal position by position" in done.stdout.replace("\n", " ")
    return out


def _types(path: Path) -> dict[str, str]:
    from gguf import GGUFReader

    return {tensor.name: tensor.tensor_type.name for tensor in GGUFReader(path).tensors}


def test_weights_are_quantized_and_embeddings_of_patches_and_positions_are_not(exported: Path) -> None:
    text, projector = _types(exported / "tiny-Q8_0.gguf"), _types(exported / "mmproj-tiny-Q8_0.gguf")
    assert {kind for name, kind in text.items() if name.endswith("attn_q.weight")} == {"Q8_0"}
    assert projector["v.blk.0.ffn_up.weight"] == projector["mm.model.fc.weight"] == "Q8_0"
    assert projector["v.position_embd.weight"] == "F32"
    assert projector["v.patch_embd.weight"] in ("F16", "F32")


def test_the_table_of_words_can_stay_in_f16(checkpoint: Path, tmp_path: Path) -> None:
    types = ["--text-type", "q8_0-f16", "--projector-type", "Q8_0", "--min-agreement", "0", "--max-tokens", "8"]
    done = run_script(SCRIPT, checkpoint, "--out", tmp_path / "out", *types, "--name", "tiny")
    assert done.returncode == 0, done.stderr
    found = _types(tmp_path / "out" / "tiny-Q8_0-F16.gguf")
    tables = {name: kind for name, kind in found.items() if name in ("token_embd.weight", "output.weight")}
    assert set(tables.values()) == {"F16"}
    assert found["blk.0.attn_q.weight"] == "Q8_0"
    assert read_manifest(tmp_path / "out").quantization == {"text": "Q8_0-F16", "projector": "Q8_0"}


def test_the_manifest_tells_origin_settings_and_captions_that_repeat(exported: Path) -> None:
    from vlm4rec_edge.grounding.llama.captioner import LlamaCaptioner
    from vlm4rec_edge.models.resolve import resolve_lvlm

    manifest = read_manifest(exported)
    check_files(exported, manifest)
    assert manifest.quantization == {"text": "Q8_0", "projector": "Q8_0"}
    assert manifest.source.repository == "tiny-smolvlm"
    assert manifest.lvlm is not None
    assert (manifest.lvlm.context_length, manifest.lvlm.max_tokens) == (256, 8)
    assert len(manifest.golden_captions) == 2
    with LlamaCaptioner(resolve_lvlm(exported), device="cpu", threads=1) as captioner:
        for golden in manifest.golden_captions:
            assert captioner.caption_file(exported / golden.image) == golden.caption != ""


def test_nothing_is_left_beside_the_model(exported: Path) -> None:
    assert {path.name for path in exported.iterdir()} == {
        "tiny-Q8_0.gguf",
        "mmproj-tiny-Q8_0.gguf",
        "manifest.json",
        "reference-1.png",
        "reference-2.png",
    }


def test_a_quantization_that_changes_the_captions_fails(checkpoint: Path, tmp_path: Path) -> None:
    settings = ["--text-type", "Q4_0", "--projector-type", "Q4_0", "--max-tokens", "8", "--min-agreement", "1"]
    done = run_script(SCRIPT, checkpoint, "--out", tmp_path / "out", *settings)
    assert done.returncode == 1
    assert "differs too much from F16" in done.stderr
    assert list((tmp_path / "out").iterdir()) == [], "what failed must not pass for a model of one's own"


def test_a_text_model_is_refused_before_any_work(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "llama").mkdir()
    (tmp_path / "llama" / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    (tmp_path / "llama" / "model.safetensors").write_bytes(b"weights")
    done = run_script(SCRIPT, tmp_path / "llama", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "is a llama checkpoint without a vision part" in done.stderr


def test_an_unknown_type_is_refused_with_the_known_ones(checkpoint: Path, tmp_path: Path) -> None:
    done = run_script(SCRIPT, checkpoint, "--out", tmp_path / "out", "--text-type", "Q9")
    assert done.returncode == 2
    assert "Q4_K_M" in done.stderr
    done = run_script(SCRIPT, checkpoint, "--out", tmp_path / "out", "--projector-type", "Q8_0-F16")
    assert done.returncode == 2
    assert "--projector-type Q8_0-F16 is not a type" in done.stderr


def test_what_the_converter_cannot_read_is_told_in_one_line(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    config = (checkpoint / "config.json").read_text(encoding="utf-8")
    (tmp_path / "broken" / "config.json").write_text(config, encoding="utf-8")
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"no weights")
    done = run_script(SCRIPT, tmp_path / "broken", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "converter cannot convert" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_has_a_worked_example() -> None:
    done = run_script(SCRIPT, "--help")
    assert done.returncode == 0
    assert "python export/lvlm_to_gguf.py HuggingFaceTB/SmolVLM-256M-Instruct" in done.stdout
