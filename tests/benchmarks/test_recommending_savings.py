"""The parts of the savings benchmark: its rows, stored vectors, what is kept, and the models of a checkpoint."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from made_full_precision import full_precision
from recommending.keeping import Target, kept_share, overlap
from recommending.quantized import Quantized
from recommending.saved import _distinct, _scorer
from recommending.savings_report import front
from recommending.setups import FULL, PROJECTOR_TYPES, SEARCHES, TEXT_TYPES, VECTOR_FORMS, WHOLE, Setup, savings
from recommending.stored import open_stored, stored_bytes, write_stored
from recommending.vectors import unit

from vlm4rec_edge import evaluation, resolve_encoder, resolve_lvlm
from vlm4rec_edge.errors import ModelError, UsageError
from vlm4rec_edge.evaluation import Estimate, Split
from vlm4rec_edge.evaluation.split import ItemLists, starts_of

SHIPPED = Setup("Q8_0-F16", "Q8_0", "int8-weights")


def made_vectors(count: int, dimensions: int = 64, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).standard_normal((count, dimensions)))


def made_split(histories: list[list[int]], items: int) -> Split:
    lists = ItemLists(starts_of(np.array(list(map(len, histories)))), np.concatenate(histories).astype(np.int32))
    tests = ItemLists(np.arange(len(histories) + 1), np.arange(len(histories), dtype=np.int32))
    ones = np.ones(len(lists.items))
    users = tuple(f"user-{number}" for number in range(len(histories)))
    counts, everybody = np.zeros(items, np.int64), np.arange(len(histories))
    return Split(
        users,
        lists,
        ones,
        ones,
        tests,
        lists,
        items,
        counts,
        len(users),
        0,
        (),
        lists,
        everybody,
        np.ones(len(histories)),
    )


def test_each_row_saves_on_one_thing_but_the_last_which_save_on_all() -> None:
    rows = savings(SHIPPED)
    assert rows[0] == FULL
    assert len({row.name for row in rows}) == len({(row.name, row.setup) for row in rows}) == len(rows)
    full = asdict(FULL.setup)
    for row in rows[1:]:
        changed = {name for name, value in asdict(row.setup).items() if value != full[name]}
        assert changed
        if row.stage == "language model":
            assert changed <= {"text", "projector"} or changed == {"vision"}
        elif row.stage == WHOLE:
            assert {"text", "projector", "encoder"} <= changed
        else:
            assert len(changed) == 1
    pairs = {(row.setup.text, row.setup.projector) for row in rows}
    assert pairs >= {(text, "F16") for text in TEXT_TYPES} | {("F16", projector) for projector in PROJECTOR_TYPES}
    assert next(row for row in rows if row.name == "as shipped").setup == SHIPPED


def test_a_shipped_pair_that_is_no_usual_one_gets_a_row() -> None:
    rows = savings(replace(SHIPPED, text="Q6_K", projector="Q8_0"))
    assert "text Q6_K, projector Q8_0" in [row.name for row in rows]


@pytest.mark.parametrize("form", VECTOR_FORMS)
@pytest.mark.parametrize("search", SEARCHES)
def test_stored_vectors_find_themselves(form: str, search: str, tmp_path: Path) -> None:
    if search == "hnsw" and form != "float32":
        pytest.skip("the graph is over float32")
    vectors = made_vectors(300)
    write_stored(vectors, form, search, tmp_path)
    opened = open_stored(tmp_path, form, search, 64)
    for row in range(0, 300, 30):
        found, scores = opened.index.top(vectors[row], 5)
        assert found[0] == row
        assert (np.diff(scores) <= 0).all()
    lengths = np.linalg.norm(opened.vectors[np.arange(300)], axis=1)
    assert lengths == pytest.approx(1, abs=0.02)


def test_smaller_forms_are_smaller_and_nearer_the_truth_the_larger_they_are(tmp_path: Path) -> None:
    vectors = made_vectors(2000)
    sizes, errors = {}, {}
    for form in VECTOR_FORMS:
        write_stored(vectors, form, "exact", tmp_path / form)
        sizes[form] = stored_bytes(tmp_path / form) / vectors.nbytes
        kept = open_stored(tmp_path / form, form, "exact", 64).vectors[np.arange(2000)]
        errors[form] = float(np.abs(kept - vectors).max())
    assert sizes["float16"] == pytest.approx(1 / 2, rel=0.01)
    assert sizes["int8"] == pytest.approx(1 / 4 + 1 / 64, rel=0.01)
    assert sizes["binary"] == pytest.approx(1 / 32, rel=0.05)
    assert sizes["binary-int8"] == pytest.approx(sizes["binary"] + sizes["int8"], rel=0.01)
    assert errors["float32"] == 0 < errors["float16"] < errors["int8"] == errors["binary-int8"] < errors["binary"]


def test_bits_choose_and_int8_puts_in_order(tmp_path: Path) -> None:
    vectors = made_vectors(1000)
    for form in ("int8", "binary-int8"):
        write_stored(vectors, form, "exact", tmp_path / form)
    coarse, fine = (open_stored(tmp_path / form, form, "exact", 64) for form in ("binary-int8", "int8"))
    queries = made_vectors(20, seed=1)
    for query in queries:
        everything, scores = coarse.index.top(query, 1000)
        expected, expected_scores = fine.index.top(query, 1000)
        assert np.array_equal(everything, expected)
        assert scores == pytest.approx(expected_scores, abs=1e-6)
        few, _ = coarse.index.top(query, 10)
        own = np.flatnonzero(np.isin(expected, few))
        assert (np.diff([np.flatnonzero(expected == row)[0] for row in few]) > 0).all()
        assert len(own) == 10


def test_exact_float32_recommends_what_the_evaluation_does(tmp_path: Path) -> None:
    vectors = made_vectors(60)
    vectors[40:50] = vectors[30:40]  # items of one caption
    vectors[59] = 0
    split = made_split([[50, 51], [30, 59], [59], list(range(40, 60))], 60)
    distinct, rows = _distinct(vectors)
    assert len(distinct) == 49
    assert rows[59] == -1
    write_stored(distinct, "float32", "exact", tmp_path)
    found = evaluation.rank(_scorer(split, open_stored(tmp_path, "float32", "exact", 64), rows), split).top
    expected = evaluation.rank(evaluation.profile_scorer(split, vectors), split).top
    for user in (0, 1, 3):
        assert np.array_equal(found[user], expected[user])
    assert (found[2] == -1).all()
    assert 59 not in found


@pytest.mark.parametrize("search", SEARCHES)
def test_the_captions_of_a_history_of_two_are_tied(search: str, tmp_path: Path) -> None:
    """Rounding in the sum of a product would put one of them before the other, another one in every kind of search."""
    vectors = np.repeat(made_vectors(30), 4, axis=0)
    split = made_split([[4 * one, 4 * one + 4] for one in range(0, 29, 2)], len(vectors))
    distinct, rows = _distinct(vectors)
    write_stored(distinct, "float32", search, tmp_path)
    scores = _scorer(split, open_stored(tmp_path, "float32", search, 64), rows)(range(len(split)))
    own = np.sort(scores, axis=1)[:, -8:]
    assert (own == own[:, :1]).all()


def test_a_share_that_is_kept_is_paired() -> None:
    reference = np.array([0.0, 0.2, 0.4, 1.0] * 20)
    same = kept_share(reference, reference)
    assert (same.mean, same.low, same.high) == (1, 1, 1)
    half = kept_share(reference / 2, reference)
    assert (half.mean, half.low, half.high) == pytest.approx((0.5, 0.5, 0.5))
    changed = reference.copy()
    changed[3] = 0
    lost = kept_share(changed, reference)
    assert lost.mean == pytest.approx(1 - 1 / 32)
    assert lost.low < lost.mean < lost.high <= 1
    assert np.isnan(kept_share(reference, np.zeros(80)).mean)


def test_overlap_is_of_items_in_any_order() -> None:
    reference = np.array([[1, 2, 3, 4], [1, 2, -1, -1], [-1, -1, -1, -1], [5, 6, 7, 8]])
    top = np.array([[4, 3, 2, 1], [2, 9, 8, 7], [1, 2, 3, 4], [-1, -1, -1, -1]])
    assert overlap(top, reference).tolist() == [1, 0.5, 1, 0]


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (Estimate(1.0, 0.995, 1.01), "reached, with its whole interval"),
        (Estimate(1.0, 0.9, 1.1), "reached by the mean, not by the whole interval"),
        (Estimate(0.98, 0.9, 1.1), "missed"),
        (Estimate(np.nan, np.nan, np.nan), "cannot be said: nothing was found at all"),
    ],
)
def test_a_target_is_reached_or_not(found: Estimate, verdict: str) -> None:
    assert Target("row", "of it", 0.99, found).verdict == verdict


def test_few_users_who_all_keep_their_hit_show_little() -> None:
    kept = Estimate(1.0, 1.0, 1.0)
    assert "27 users with a hit are too few" in Target("row", "of it", 0.99, kept, 27).verdict
    assert Target("row", "of it", 0.99, kept, 500).verdict == "reached, with its whole interval"


def test_the_front_leaves_out_what_is_beaten() -> None:
    assert front([1, 2, 3, 4, 1], [0.1, 0.3, 0.2, 0.4, 0.2]) == [4, 1, 3]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return full_precision(tmp_path_factory.mktemp("full"))


def quantized(checkpoint: Path, folder: Path, said: list[str]) -> Quantized:
    return Quantized(resolve_lvlm(), resolve_encoder(), checkpoint, "no-package", folder, said.append)


def test_each_file_is_made_once_in_its_type_and_asked_as_the_shipped_one(full: Path, tmp_path: Path) -> None:
    said: list[str] = []
    models = quantized(full, tmp_path, said)
    assert models.setup == SHIPPED
    sizes = {}
    for text in ("F16", "Q8_0-F16", "Q8_0", "Q4_0"):
        files = models.lvlm(text, "F16")
        assert files.name == "stylist-lvlm"
        assert files.settings == models.shipped.settings
        sizes[text] = files.text.stat().st_size
    assert sizes["F16"] > sizes["Q8_0-F16"] > sizes["Q8_0"] > sizes["Q4_0"]
    assert len(said) == 3
    models.lvlm("Q8_0", "F16")
    assert len(said) == 3
    assert models.encoder_in("int8-weights") == models.encoder


def test_another_checkpoint_is_not_taken_for_the_shipped_one(full: Path, tmp_path: Path) -> None:
    models = quantized(full, tmp_path / "one", [])
    assert quantized(resolve_lvlm().folder, tmp_path, []).setup == SHIPPED
    own = models.lvlm(SHIPPED.text, SHIPPED.projector)
    own.text.write_bytes(resolve_lvlm().text.read_bytes())
    own.projector.write_bytes(resolve_lvlm().projector.read_bytes())
    assert models.is_shipped()
    shutil.copy(full / "text.gguf", own.text)
    assert not models.is_shipped()


def test_what_is_no_full_precision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is an export in Q8_0-F16, Q8_0; give one in F16"):
        quantized(resolve_lvlm().folder, tmp_path, []).lvlm("Q8_0", "F16")
    with pytest.raises(UsageError, match="neither a checkpoint"):
        quantized(tmp_path, tmp_path, []).lvlm("F16", "F16")
    with pytest.raises(ModelError, match=r"encoder_to_onnx\.py failed: .*(no-package|needs torch)"):
        quantized(tmp_path, tmp_path, []).encoder_in("fp16")
