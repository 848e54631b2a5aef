"""What was learned from purchases goes along: other engines find what the index recommends, and for the same reasons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_purchases import shop, together

from vlm4rec_edge import Recommender, export_to_lancedb
from vlm4rec_edge.errors import StoreError, UsageError
from vlm4rec_edge.index_folder import IndexFolder
from vlm4rec_edge.interchange.qdrant import ABOUT_KEY, open_client, upsert
from vlm4rec_edge.recommend.source import open_source

HISTORIES = (["item-3"], ["item-10", "item-77", "item-12"])


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index that recommends by what is bought together."""
    folder = shop(tmp_path_factory.mktemp("learned") / "index")
    assert IndexFolder(folder).learn(together()).stored
    return folder


def test_qdrant_answers_as_the_index_does_by_a_query_made_of_the_points(learned: Path) -> None:
    pytest.importorskip("qdrant_client", reason="qdrant-client is not installed")
    client = open_client(":memory:")
    source, _ = open_source(learned, exact_limit=0)
    upsert(source, client, "shop")
    about = client.get_collection("shop").config.metadata[ABOUT_KEY]
    assert (about["representation"], about["space"]) == ("learned", source.space)
    assert about["learned"]["content"] + about["learned"]["factors"] + 2 == about["dimensions"] == source.dimensions
    assert about["learned"]["weights"] == source.learned["weights"]
    points, _ = client.scroll("shop", limit=source.count(), with_vectors=True)
    vectors = {point.payload["id"]: np.array(point.vector) for point in points}
    with Recommender.open(learned) as index:
        for history in HISTORIES:
            query = sum(vectors[item] for item in history)
            query[-1] = 0
            found = client.query_points("shop", query=query.tolist(), limit=10 + len(history)).points
            ids = [point.payload["id"] for point in found if point.payload["id"] not in history][:10]
            assert ids == [hit.item_id for hit in index.recommend(history, 10)]
    source.close()


def test_a_collection_of_another_space_is_left_alone(learned: Path) -> None:
    pytest.importorskip("qdrant_client", reason="qdrant-client is not installed")
    client = open_client(":memory:")
    source, _ = open_source(learned, exact_limit=0)
    upsert(source, client, "shop")
    client.update_collection("shop", metadata={ABOUT_KEY: {"space": "another"}})
    with pytest.raises(StoreError, match="another encoder, or of what was learned"):
        upsert(source, client, "shop")
    source.close()


def test_a_table_answers_as_the_index_does_and_tells_the_parts(learned: Path, tmp_path: Path) -> None:
    pytest.importorskip("lancedb", reason="lancedb is not installed")
    address = f"lancedb://{tmp_path / 'shop'}"
    export_to_lancedb(learned, address)
    with Recommender.open(learned) as index, Recommender.open(address) as table:
        assert (table.representation, table.store.space) == ("learned", index.store.space)
        assert table.store.learned == index.store.learned
        for history in HISTORIES:
            answers = [one.recommend(history, 10, explain=True) for one in (index, table)]
            assert [hit.item_id for hit in answers[0]] == [hit.item_id for hit in answers[1]]
            for one, other in zip(*answers, strict=True):
                assert one.score == pytest.approx(other.score, abs=1e-3)
                assert one.because[0].parts == pytest.approx(other.because[0].parts, abs=1e-3)
        profile = index.profile(HISTORIES[1])
        assert [hit.item_id for hit in table.recommend_profile(profile)] == [
            hit.item_id for hit in index.recommend_profile(profile)
        ]
    with pytest.raises(UsageError, match="vectors of titles and captions alone"):
        Recommender.open(address, words_alone=True)
