"""The trained rows: they learn what there is to learn, from histories only, the same with the same seed, and once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from paper import histories as histories_module
from paper.histories import Histories, histories_of, validation_value
from paper.system import Learned, TrainedSystem
from recommending.measuring import METRICS, measure_all, values_of
from recommending.shop import Task
from recommending.system import Row, system_of_vectors
from recommending.vectors import average, unit

from vlm4rec_edge import evaluation
from vlm4rec_edge.evaluation import ItemLists, Split
from vlm4rec_edge.interactions import Interactions

torch = pytest.importorskip("torch")

from paper.attention import AttentionFusion  # noqa: E402
from paper.cross_attention import CrossModalAttention  # noqa: E402
from paper.gating import GatedFusion  # noqa: E402
from paper.graphs import interactions_graphs, larger_of, neighbours_graph  # noqa: E402
from paper.leave_one_out import FusionSettings, train_fusion  # noqa: E402
from paper.smore import Smore  # noqa: E402
from paper.smore_training import SmoreSettings, train_smore  # noqa: E402
from paper.stopping import EarlyStopping  # noqa: E402

FUSIONS = [AttentionFusion, GatedFusion, CrossModalAttention]
ITEMS, KINDS, WIDTH = 120, 6, 64
# Small enough for a test, and quick to learn.
TAUGHT = FusionSettings(negatives=64, rate=3e-3, epochs=12)
SMORE = SmoreSettings(width=16, vision_neighbours=5, text_neighbours=5, batch=128, rate=2e-2, steps=150, look_every=25)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


def kinds() -> np.ndarray:
    return np.arange(ITEMS) % KINDS


def made_inputs() -> tuple[np.ndarray, np.ndarray]:
    """Photos are noise. Of texts a few values tell the kind, and the others are louder and say nothing."""
    generator = np.random.default_rng(1)
    photos = generator.standard_normal((ITEMS, WIDTH)).astype(np.float32)
    texts = 1.5 * generator.standard_normal((ITEMS, WIDTH)).astype(np.float32)
    texts[:, :KINDS] = 2 * np.eye(KINDS, dtype=np.float32)[kinds()]
    return unit(photos), unit(texts)


def made_split(users: int = 60, bought: int = 8) -> Split:
    """Each user buys one kind."""
    generator = np.random.default_rng(2)
    names = tuple(f"item-{number:03}" for number in range(ITEMS))
    chosen = [generator.choice(np.flatnonzero(kinds() == user % KINDS), bought, replace=False) for user in range(users)]
    interactions = Interactions(
        users=tuple(f"user-{number:02}" for number in range(users)),
        items=names,
        user=np.repeat(np.arange(users), bought),
        item=np.concatenate(chosen),
        date=np.tile(np.arange(bought), users).astype(np.int64),
        weight=np.ones(users * bought),
    )
    return evaluation.chronological_split(interactions, names)


def task() -> Task:
    return Task("customers", "60 customers", made_split())


def histories(seed: int = 0) -> Histories:
    split = made_split()
    return histories_of(split.history, split.item_count, seed)


def quiet(_: str) -> None:
    """Say nothing."""


def fusion_training(make: Callable[[int], object]) -> Callable[..., Learned]:
    def training(
        vision: np.ndarray, text: np.ndarray, own: Histories, seed: int, say: Callable[[str], None]
    ) -> Learned:
        return Learned(train_fusion(make, vision, text, own, seed, say, TAUGHT))  # type: ignore[arg-type]

    training.__name__ = make.__name__  # type: ignore[attr-defined]
    return training


def smore_training(
    vision: np.ndarray, text: np.ndarray, own: Histories, seed: int, say: Callable[[str], None]
) -> Learned:
    users, items = train_smore(vision, text, own, seed, say, SMORE)
    return Learned(items, users)


TRAININGS = [*map(fusion_training, FUSIONS), smore_training]


def row(training: Callable[..., Learned], folder: Path, say: Callable[[str], None] = quiet) -> TrainedSystem:
    vision, text = made_inputs()
    return TrainedSystem("trained", "fusion", "", training, vision, text, folder, say, 1, seeds=(0, 1))


def recall(system: Row, where: Task, folder: Path) -> float:
    return float(values_of(system, where, folder)["recall@10"].mean())


@pytest.mark.parametrize("make", FUSIONS)
def test_an_untrained_fusion_is_the_average(make: type) -> None:
    vision, text = made_inputs()
    text[0] = 0
    never = FusionSettings(epochs=0)
    assert train_fusion(make, vision, text, histories(), 0, quiet, never) == pytest.approx(
        average(vision, text), abs=1e-6
    )


@pytest.mark.parametrize("training", TRAININGS)
def test_what_histories_teach_is_learned(training: Callable[..., Learned], tmp_path: Path) -> None:
    """All that predicts a test item is the kind, which untrained vectors hide behind louder values."""
    vision, text = made_inputs()
    before = recall(system_of_vectors("average", "fusion", "", average(vision, text)), task(), tmp_path / "values")
    after = recall(row(training, tmp_path), task(), tmp_path / "values")
    assert after > before + 0.15


@pytest.mark.parametrize("training", TRAININGS)
def test_nothing_is_learned_of_test_items(training: Callable[..., Learned], tmp_path: Path) -> None:
    """Tests and counts are taken away, or replaced by others: what is learned is the same to the last bit."""
    where = task()
    split = where.split
    nothing = ItemLists(np.zeros(len(split) + 1, np.int64), np.zeros(0, np.int32))
    blind = replace(where, split=replace(split, test=nothing, counts=np.zeros_like(split.counts)))
    first = row(training, tmp_path / "a")._learned(where, 0)
    second = row(training, tmp_path / "b")._learned(blind, 0)
    assert np.array_equal(first.items, second.items)
    # The same test items in the histories, and it is another thing.
    told = np.concatenate([np.concatenate([split.history[user], split.test[user]]) for user in range(len(split))])
    sizes = split.history.sizes + split.test.sizes
    leaking = replace(split, history=ItemLists(np.concatenate([[0], np.cumsum(sizes)]), told))
    third = row(training, tmp_path / "c")._learned(replace(where, split=leaking), 0)
    assert not np.array_equal(first.items, third.items)


@pytest.mark.parametrize("training", TRAININGS)
def test_a_seed_decides_all_and_another_decides_otherwise(training: Callable[..., Learned], tmp_path: Path) -> None:
    first = row(training, tmp_path / "a")
    again = row(training, tmp_path / "b")
    assert np.array_equal(first._learned(task(), 0).items, again._learned(task(), 0).items)
    assert not np.array_equal(first._learned(task(), 0).items, first._learned(task(), 1).items)


def test_a_row_is_trained_once_for_each_seed_and_with_variants_and_without(tmp_path: Path) -> None:
    said: list[str] = []
    system = row(TRAININGS[1], tmp_path, said.append)
    where = task()
    first = values_of(system, where, tmp_path / "values")
    assert {line.split(":")[0] for line in said} == {"trained, customers, seed 0", "trained, customers, seed 1"}
    said.clear()
    groups = np.arange(ITEMS) // 2
    reduced = Task("no-variants-customers", "", evaluation.without_variants(where.split, groups), where.split)
    values_of(system, reduced, tmp_path / "values")
    values_of(replace(system, say=pytest.fail), where, tmp_path / "other values")
    assert not said
    # Another seed, another text or another history is another training.
    other = replace(system, text=system.text[::-1].copy())
    fewer = replace(where, split=made_split(users=30))
    keys = [next(iter(one.tries(where).values())).key for one in (system, replace(system, seeds=(1,)), other)]
    keys.append(system.tries(fewer)[0].key)
    assert len(set(keys)) == 4
    assert system.tries(where)[0].key == system.tries(reduced)[0].key
    assert np.array_equal(values_of(system, where, tmp_path / "values")["ndcg@10"], first["ndcg@10"])


def test_a_users_value_is_the_mean_over_seeds_and_each_seed_is_told(tmp_path: Path) -> None:
    def drawn(_: np.ndarray, __: np.ndarray, own: Histories, seed: int, ___: object) -> Learned:
        generator = np.random.default_rng(seed)
        return Learned(generator.random((ITEMS, 4), np.float32), generator.random((len(own.whole), 4), np.float32))

    system, where = row(drawn, tmp_path), task()
    tries = system.tries(where)
    (found,) = measure_all([system], where, None, tmp_path / "values")
    alone = {seed: values_of(one, where, tmp_path / "values") for seed, one in tries.items()}
    for metric in METRICS:
        together = values_of(system, where, tmp_path / "values")[metric]
        assert together == pytest.approx((alone[0][metric] + alone[1][metric]) / 2)
        assert found.figures[metric].mean == pytest.approx(together.mean())
        for seed in (0, 1):
            assert found.by_seed[seed][metric] == pytest.approx(alone[seed][metric].mean())
    assert found.by_seed[0] != found.by_seed[1]


def test_a_user_is_found_by_name_where_others_are_left_out(tmp_path: Path) -> None:
    """Without variants some users are missing: the others must not be given their neighbours' vectors."""
    users = np.eye(60, dtype=np.float32)

    def numbered(_: np.ndarray, __: np.ndarray, own: Histories, ___: int, ____: object) -> Learned:
        return Learned(np.eye(ITEMS, 60, dtype=np.float32), users[: len(own.whole)])

    where = task()
    split = where.split
    half = np.arange(0, 60, 2)
    fewer = replace(
        split,
        users=split.users[::2],
        history=split.history.of(half),
        test=split.test.of(half),
        excluded=split.excluded.of(half),
    )
    system = row(numbered, tmp_path).tries(Task("no-variants-customers", "", fewer, split))[0]
    scores = system.scorer(fewer)(range(10, 20))
    assert scores.argmax(axis=1).tolist() == list(range(20, 40, 2))


def test_items_kept_apart_are_the_last_and_are_not_taught() -> None:
    whole = made_split().history
    own = histories_of(whole, ITEMS, 0)
    assert len(own.validated) == 30
    for user, item in zip(own.validated, own.held, strict=True):
        assert item == whole[user][-1]
        assert own.taught[user].tolist() == whole[user][:-1].tolist()
    assert own.taught.sizes.sum() == whole.sizes.sum() - 30
    assert not np.array_equal(histories_of(whole, ITEMS, 1).validated, own.validated)
    short = ItemLists(np.array([0, 2, 4]), np.array([1, 2, 3, 4], np.int32))
    own = histories_of(short, ITEMS, 0)
    assert not len(own.validated)
    assert np.isnan(validation_value(np.zeros((0, 4)), np.zeros((ITEMS, 4)), own))


def test_the_best_state_is_kept_and_the_last_where_none_can_be_compared() -> None:
    for values, best, ends in (
        ([0.1, 0.3, 0.2, 0.3, 0.1], 1, [False, False, False, True, True]),
        ([0.1, 0.1, 0.1], 0, [False, False, True]),
        ([np.nan, np.nan, np.nan], 2, [False, False, False]),
    ):
        network = torch.nn.Linear(1, 1)
        stopping = EarlyStopping(patience=2)
        for number, value in enumerate(values):
            network.weight.data.fill_(number)
            assert stopping.look(value, network) is ends[number]
        stopping.restore(network)
        assert network.weight.item() == stopping.best == best


def test_the_validation_ranks_among_all_that_is_not_taught() -> None:
    own = Histories(
        whole=ItemLists(np.array([0, 2]), np.array([0, 3], np.int32)),
        taught=ItemLists(np.array([0, 1]), np.array([0], np.int32)),
        validated=np.array([0]),
        held=np.array([3]),
        item_count=5,
    )
    items = np.array([[9.0], [3.0], [2.0], [2.5], [1.0]], np.float32)
    assert validation_value(np.ones((1, 1), np.float32), items, own) == pytest.approx(1 / 2)
    # A row that gives all items one score is in their middle.
    assert validation_value(np.ones((1, 1), np.float32), np.ones((5, 1), np.float32), own) == pytest.approx(1 / 2.5)
    assert histories_module._LEAST_HISTORY >= 3  # two are left to be taught from


def test_graphs_are_those_of_the_formulas() -> None:
    history = ItemLists(np.array([0, 2, 3]), np.array([0, 1, 1], np.int32))
    everybody, taken = interactions_graphs(history, 3)
    links = np.zeros((5, 5))
    for user, item in ((0, 0), (0, 1), (1, 1)):
        links[user, 2 + item] = links[2 + item, user] = 1
    degrees = np.maximum(links.sum(1), 1)
    expected = links / np.sqrt(np.outer(degrees, degrees))
    assert everybody.forwards.to_dense().numpy() == pytest.approx(expected)
    assert taken.forwards.to_dense().numpy() == pytest.approx(expected[:2, 2:])

    vectors = unit(np.random.default_rng(0).standard_normal((30, 8)).astype(np.float32))
    vectors[4] = 0
    cosines = np.maximum(vectors @ vectors.T, 0)
    nearest = np.zeros_like(cosines)
    for one, own in enumerate(vectors @ vectors.T):
        best = np.argsort(-own)[:4]
        nearest[one, best] = cosines[one, best]
    sums = np.where(nearest.sum(1) > 0, nearest.sum(1), np.inf)
    graph = neighbours_graph(vectors, 4)
    assert graph.forwards.to_dense().numpy() == pytest.approx(nearest / np.sqrt(np.outer(sums, sums)), abs=1e-6)
    other = neighbours_graph(vectors[:, ::-1].copy() ** 3, 6)
    both = np.maximum(graph.forwards.to_dense().numpy(), other.forwards.to_dense().numpy())
    assert np.array_equal(larger_of(graph, other).forwards.to_dense().numpy(), both)


def test_the_gradient_through_a_graph_is_that_of_the_matrix() -> None:
    graph = neighbours_graph(unit(np.random.default_rng(0).standard_normal((20, 6)).astype(np.float32)), 5)
    vectors = torch.randn(20, 3, requires_grad=True)
    weights = torch.randn(20, 3)
    (graph.spread(vectors) * weights).sum().backward()
    assert vectors.grad.numpy() == pytest.approx((graph.forwards.to_dense().T @ weights).numpy(), abs=1e-6)


def test_spectra_are_filtered_and_their_product_is_a_convolution() -> None:
    network = Smore(3, 5, WIDTH, 8, 1, 0.0)
    for weights in network.filters.values():
        weights.data.fill_(1)
    vision, text = torch.randn(5, 8), torch.randn(5, 8)
    spectra = network.spectra(vision, text)
    assert spectra["vision"].detach().numpy() == pytest.approx(vision.numpy(), abs=1e-5)
    turned = torch.stack([torch.roll(text.flip(1), at + 1, dims=1) for at in range(8)], dim=1)
    convolved = (turned @ vision[:, :, None])[:, :, 0] / 8**0.5
    assert spectra["fusion"].detach().numpy() == pytest.approx(convolved.numpy(), abs=1e-5)
    # A filter takes frequencies away: of the zeroth alone the mean is left.
    network.filters["text"].data[1:] = 0
    means = text.mean(dim=1, keepdim=True).expand(5, 8)
    assert network.spectra(vision, text)["text"].detach().numpy() == pytest.approx(means.numpy(), abs=1e-5)
