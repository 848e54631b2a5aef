"""A shard is run once: a second run does nothing, a stopped one goes on, and what is damaged is made again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_plugins import MadeEncoder
from made_shards import LoggingCaptioner, captions_made, models, plain_catalog, write_table
from pyarrow import parquet

from vlm4rec_edge import CaptionRequest, ModelError, UsageError
from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.shards import attempts, one_shard, running
from vlm4rec_edge.shards.attempts import claimed
from vlm4rec_edge.shards.folder import read_plan, running_place
from vlm4rec_edge.shards.making import ModelChoice, Models, noted_making
from vlm4rec_edge.shards.output import read_note, read_output
from vlm4rec_edge.shards.planning import plan_shards
from vlm4rec_edge.shards.running import RunReport, run_shards
from vlm4rec_edge.shards.status import shard_status


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where made captions are noted."""
    return tmp_path / "captions.log"


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """40 items in four shards."""
    plan_shards(plain_catalog(tmp_path / "shop", 40), tmp_path / "plain", rows=10)
    return tmp_path / "plain"


def _outputs(folder: Path) -> list[Path]:
    return sorted((folder / "output").iterdir())


def _counts(report: RunReport) -> tuple[int, int, int]:
    return len(report.done), report.there, report.captioned


class OpenedModels:
    """Models, as ``ModelChoice.opened`` gives them."""

    def __init__(self, log: Path, **members: Any) -> None:
        self._models = models(log, **members)

    def __enter__(self) -> Models:
        return self._models

    def __exit__(self, *_: object) -> None:
        pass


def test_a_second_run_does_nothing_and_opens_no_model(plain: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ModelChoice, "opened", lambda choice: OpenedModels(log))
    assert _counts(run_shards(plain)) == (4, 0, 40)
    files = {path: path.stat().st_mtime_ns for path in _outputs(plain)}
    monkeypatch.setattr(ModelChoice, "opened", lambda choice: pytest.fail("a model was opened"))
    assert _counts(run_shards(plain)) == (0, 4, 0)
    assert {path: path.stat().st_mtime_ns for path in _outputs(plain)} == files
    assert sorted(path.name for path in plain.iterdir()) == ["models.json", "output", "plan", "plan.json", "running"]
    assert list((plain / "running").iterdir()) == []


def test_shards_can_be_run_by_number(plain: Path, log: Path) -> None:
    own = models(log)
    assert run_shards(plain, [2, 2, 0], models=own).done == (2, 0)
    assert [one.index for one in shard_status(plain).missing] == [1, 3]
    assert run_shards(plain, models=own).done == (1, 3)
    with pytest.raises(UsageError, match="no shard 4; the plan has shards 0 to 3"):
        run_shards(plain, [4], models=own)


def test_what_an_output_holds(shards: Path, log: Path) -> None:
    run_shards(shards, models=models(log))
    path = next(path for path in _outputs(shards) if "item-3" in parquet.read_table(path)["id"].to_pylist())
    table = parquet.read_table(path)
    row = next(row for row in table.to_pylist() if row["id"] == "item-3")
    assert row["caption"].startswith("a photo ")
    assert row["image"].endswith("/images/3.jpg")
    assert dict(row["attributes"]) == {"price": "3", "sparse": ""}
    assert [photo["image"].rpartition("/")[2] for photo in row["photos"]] == ["second.jpg"]
    assert len(row["vector"]) == 8
    note = read_note(path)
    assert note.items == table.num_rows
    assert any("gone.jpg does not exist" in failure.reason for failure in note.failures)
    assert note.making.making.captions_by.identity == {"name": "made", "prompt": "What?"}
    assert sum(len(entries) for entries, _ in read_output(path, note)) == note.items


def test_a_stopped_shard_goes_on_and_makes_no_caption_twice(plain: Path, log: Path) -> None:
    class Stopped(LoggingCaptioner):
        def caption(self, photos: Iterable[CaptionRequest]) -> Any:
            for number, answer in enumerate(super().caption(photos)):
                yield answer
                if number == 3:
                    raise KeyboardInterrupt

    stopped = run_shards(plain, [0, 1], models=replace(models(log), captioner=Stopped(log)))
    assert (stopped.interrupted, stopped.done) == (True, ())
    assert next((one.index, one.attempts, one.reason) for one in shard_status(plain).missing) == (0, 1, "")
    assert run_shards(plain, models=models(log)).done == (0, 1, 2, 3)
    assert len(captions_made(log)) == 40
    assert captions_made(log).total() - 40 <= 1


def _fails(*_: object, **__: object) -> Any:
    raise ModelError("The model is broken.")


def test_a_shard_that_fails_is_told_and_the_others_go_on(
    plain: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = one_shard._index

    def sometimes(work: Any, shard: Any, *rest: Any) -> Any:
        return _fails() if shard.index == 1 else index(work, shard, *rest)

    monkeypatch.setattr(one_shard, "_index", sometimes)
    for attempt in (1, 2):
        report = run_shards(plain, models=models(log))
        assert [(one.index, one.reason) for one in report.failed] == [(1, "The model is broken.")]
        (failed,) = shard_status(plain).failed
        assert (failed.index, failed.attempts, failed.reason) == (1, attempt, "The model is broken.")
    assert report.there == 3
    monkeypatch.setattr(one_shard, "_index", index)
    assert run_shards(plain, models=models(log)).done == (1,)
    assert shard_status(plain).is_complete


def test_where_every_shard_fails_not_all_are_tried(plain: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_shard, "_index", _fails)
    with pytest.raises(StoreError, match=r"3 shards in a row failed.* 2: The model is broken"):
        run_shards(plain, models=models(log))
    status = shard_status(plain)
    assert [one.index for one in status.failed] == [0, 1, 2]
    assert [one.index for one in status.missing] == [3]


def test_after_two_errors_a_shard_begins_anew(plain: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = one_shard._write
    monkeypatch.setattr(one_shard, "_write", _fails)
    for _ in range(2):
        run_shards(plain, [0], models=models(log))
    assert captions_made(log).total() == 10, "the second attempt goes on with the captions of the first"
    (work,) = (plain / "running").glob("*/work/index/store.sqlite")
    work.write_bytes(b"damaged" * 1000)
    monkeypatch.setattr(one_shard, "_write", write)
    assert run_shards(plain, [0], models=models(log)).done == (0,)


@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize("damage", ["torn", "foreign", "empty", "of other rows", "flipped"])
def test_a_file_that_is_not_the_output_is_made_again(plain: Path, log: Path, damage: str, verify: bool) -> None:
    own = models(log)
    run_shards(plain, models=own)
    first, second, *_ = _outputs(plain)
    content = bytearray(first.read_bytes())
    if damage == "torn":
        first.write_bytes(content[: len(content) // 2])
    elif damage == "foreign":
        first.write_bytes(b"PAR1 is not enough")
    elif damage == "empty":
        first.write_bytes(b"")
    elif damage == "of other rows":
        shutil.copyfile(second, first)
    else:
        content[200] ^= 8
        first.write_bytes(content)
    status = shard_status(plain, verify=verify)
    report = run_shards(plain, models=own, verify=verify)
    if damage == "flipped" and not verify:  # what a file says of itself is still true
        assert status.is_complete
        assert report.done == ()
        report = run_shards(plain, models=own, verify=True)
    else:
        assert [one.index for one in status.failed] == [0]
    assert report.done == (0,)
    assert len(report.damaged) == 1
    assert shard_status(plain, verify=True).is_complete


def test_other_models_are_refused(plain: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_shards(plain, [0], models=models(log))
    for other in (
        models(log, identity={"name": "made", "prompt": "What else?"}),
        replace(models(log), encoder=MadeEncoder(identity={"name": "made", "version": 2})),
        models(log, kind="caption"),
    ):
        with pytest.raises(StoreError, match="not mixed"):
            run_shards(plain, models=other)
    monkeypatch.setattr(ModelChoice, "opened", lambda choice: OpenedModels(log))
    with pytest.raises(UsageError, match="opened its models itself"):
        run_shards(plain)
    assert len(run_shards(plain, choice=ModelChoice(settings={"prompt": "What?"})).done) == 3
    assert len(_outputs(plain)) == 4


def test_later_runs_use_the_models_of_the_first(plain: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[ModelChoice] = []
    monkeypatch.setattr(ModelChoice, "opened", lambda choice: asked.append(choice) or OpenedModels(log))
    first = ModelChoice("name", None, "weighted:0.9", settings={"prompt": "What?"}, machine={"threads": 3})
    run_shards(plain, [0], choice=first)
    run_shards(plain, [1], choice=ModelChoice(machine={"threads": 5}))
    assert [choice.to_dict() for choice in asked] == [first.to_dict()] * 2
    assert [dict(choice.machine) for choice in asked] == [{"threads": 3}, {"threads": 5}]
    run_shards(plain, choice=ModelChoice("another", settings={"prompt": "Other words for the same."}))
    assert shard_status(plain).is_complete, "models are compared by what they are, not by their names"


def test_a_machine_that_computes_other_vectors_is_refused(plain: Path, log: Path) -> None:
    run_shards(plain, [0], models=models(log))

    class Elsewhere(MadeEncoder):
        def encode(self, texts: Any) -> Any:
            return -super().encode(texts)

    with pytest.raises(StoreError, match="other vectors"):
        run_shards(plain, models=replace(models(log), encoder=Elsewhere()))


def test_a_shard_that_another_process_runs_is_left_to_it(plain: Path, log: Path) -> None:
    own = models(log)
    run_shards(plain, [3], models=own)
    making, shard = noted_making(plain), read_plan(plain).shards[0]
    assert making is not None
    with claimed(running_place(plain, shard, making.fingerprint)):
        report = run_shards(plain, models=own)
        assert (report.taken, report.done) == ((0,), (1, 2))
        assert [one.index for one in shard_status(plain).running] == [0]
    assert run_shards(plain, models=own).done == (0,)


def test_a_shard_that_was_done_meanwhile_is_not_done_again(
    plain: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = models(log)
    run_shards(plain, models=own)
    monkeypatch.setattr(running, "missing_shards", lambda _, shards, *__, **___: (list(shards), []))
    assert _counts(run_shards(plain, models=own)) == (0, 4, 0)


def test_an_updated_catalog_captions_only_new_photos(tmp_path: Path, log: Path) -> None:
    table, folder = plain_catalog(tmp_path / "shop", 60), tmp_path / "shards"
    plan_shards(table, folder, rows=20)
    run_shards(folder, models=models(log))
    rows = [line.split(",") for line in table.read_text(encoding="utf-8").splitlines()[1:]]
    for row in rows:
        row[3] = "another price"
    (tmp_path / "shop/images/new.jpg").write_bytes(b"a new photo")
    rows[30][1] = "images/new.jpg"
    plan_shards(write_table(table, rows), folder, rows=20)
    report = run_shards(folder, models=models(log))
    assert (len(report.done), report.captioned) == (3, 1)
    assert captions_made(log).total() == 61


def test_unfinished_work_can_lie_elsewhere(plain: Path, log: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "fast"
    seen: list[int] = []

    def look(done: int) -> None:
        seen.append(done)
        assert not list((plain / "running").glob("*/work"))
        assert len(list(scratch.glob("*/work/index"))) <= 1

    run_shards(plain, models=models(log), scratch=scratch, on_items=look)
    assert seen[-1] == 40
    assert list(scratch.iterdir()) == []


def test_a_plan_that_was_changed_behind_the_run_is_a_sentence(plain: Path, log: Path) -> None:
    first, second, *_ = sorted((plain / "plan").iterdir())
    shutil.copyfile(second, first)
    (failed,) = run_shards(plain, [0], models=models(log)).failed
    assert "other rows than were planned" in failed.reason


@pytest.mark.parametrize("damage", ["not JSON", '{"version": 1}', '{"version": 1, "making": {}}', '{"version": 9}'])
def test_a_damaged_note_of_the_models_is_a_sentence(plain: Path, log: Path, damage: str) -> None:
    run_shards(plain, [0], models=models(log))
    (plain / "models.json").write_text(damage)
    with pytest.raises(StoreError, match=r"models\.json"):
        run_shards(plain, models=models(log))


def test_who_notes_the_models_first_decides(plain: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vlm4rec_edge.shards import making

    run_shards(plain, [0], models=models(log))
    noted, once = making.noted_making, [None]
    monkeypatch.setattr(making, "noted_making", lambda folder: once.pop() if once else noted(folder))
    with pytest.raises(StoreError, match="not mixed"):
        run_shards(plain, models=models(log, identity={"name": "late"}))
    assert json.loads((plain / "models.json").read_text())["making"]["captions_by"][1]["name"] == "made"
    assert not list(plain.glob("*.new"))


def test_what_was_tried_survives_a_line_that_was_cut_off(tmp_path: Path) -> None:
    attempts.note_attempt(tmp_path)
    attempts.note_attempt(tmp_path, reason="It broke.")
    with (tmp_path / "attempts.jsonl").open("a") as stream:
        stream.write('{"begins": tr')
    found = attempts.tried(tmp_path)
    assert (found.attempts, found.errors, found.reason, found.running) == (1, 1, "It broke.", "")
    attempts.note_attempt(tmp_path)
    assert "killed" in attempts.tried(tmp_path).reason
