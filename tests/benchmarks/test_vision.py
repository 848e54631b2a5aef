"""The benchmark of vision towers measures each in turns, and compares words with those of llama.cpp's own."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from forked import run_script
from timing import vision
from timing.grounding_engines import HANDLER, OURS, Done, Task
from with_bf16 import why_no_bf16

pytest.importorskip("gguf")
pytest.importorskip("onnx")

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_every_way_is_measured_on_the_same_photos(tmp_path: Path) -> None:
    small = ("--photo-count", "0", "--small-count", "2", "--words-count", "3", "--index-count", "2", "--rounds", "1")
    places = ("--work", tmp_path / "work", "--out", tmp_path / "out")
    process = run_script(BENCHMARKS / "vision.py", "--ways", "mtmd,fp32,int8,bf16,handler,server", *small, *places)
    assert process.returncode == 0, process.stderr
    speed, words, alone, index, roofline = json.loads((tmp_path / "out" / "vision.json").read_text())["sections"]
    towers = {own["engine"]: own["tower"] for own in speed["figures"]}
    expected = {"mtmd": "mtmd", "fp32": "onnx-fp32", "int8": "onnx-int8", "handler": ""}
    expected |= {"server": ""} if find_spec("xllamacpp") else {}
    expected |= {} if why_no_bf16() else {"bf16": "onnx-bf16"}
    assert towers == {vision.WAYS[way].label: tower for way, tower in expected.items()}
    for own in speed["figures"]:
        assert own["photos"] == 2
        assert min(own["photos_per_s"][0], own["cpu_s_per_photo"][0], own["times_handler"]) > 0
    assert [own["photos"] for own in words["figures"]] == [3] * (2 if why_no_bf16() else 3)
    labels = {vision.WAYS[way].label for way in expected}
    assert {own["engine"] for own in alone["figures"]} == labels
    assert {own["engine"] for own in index["figures"]} == labels - {vision.WAYS["server"].label}
    assert min(own["times_handler"] for own in index["figures"]) > 0
    assert {own["encoder"] for own in roofline["figures"]} == set(expected) - {"handler", "server"}
    assert min(own["least_s"] for own in roofline["figures"]) > 0


def test_a_way_that_fails_is_left_out_with_the_reason_and_the_others_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(task: Task) -> Done:
        if task.engine == HANDLER:
            raise RuntimeError("no memory")
        return Done(2.0, [], ["a red dress"] * len(task.photos), [3] * len(task.photos), tower=task.vision)

    monkeypatch.setattr(vision, "measure", measured)
    setting = vision.Setting("stylist-lvlm", "stylist-lvlm", [tmp_path / f"{number}.jpg" for number in range(5)], 2)
    section = vision.speed([setting], ("mtmd", "handler"), rounds=2)
    (own,) = section.figures
    assert own["engine"] == vision.WAYS["mtmd"].label
    assert own["photos_per_s"] == [2.0, 2.0]  # four photos in two seconds; the first is for warming up
    assert any("handler failed and was left out: no memory" in remark for remark in section.remarks)
    assert vision.WAYS["mtmd"].engine == OURS


def test_words_are_compared_photo_by_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"mtmd": ["a red dress", "a blue coat"], "onnx": ["a red dress", "a black coat"]}
    monkeypatch.setattr(vision, "measure", lambda task: Done(1.0, [], said[task.vision], [3, 3]))
    setting = vision.Setting("stylist-lvlm", "stylist-lvlm", [tmp_path / "1.jpg", tmp_path / "2.jpg"], 2)
    (own,) = vision.words(setting, ("fp32",)).figures
    assert (own["same"], own["same_words"]) == (0.5, pytest.approx((1 + 2 / 4) / 2))
