"""Faults of the long kind, on plain processes and on a real Ray cluster of two nodes on this machine: `make test-cluster`."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ray = pytest.importorskip("ray", reason="Ray is not installed: make test-cluster")

_SHARDS = Path(__file__).parents[1] / "shards"
sys.path.append(str(_SHARDS))

# Captioner and encoder of the tests, announced as an installed package announces them: actors find them by name.
_POINTS = """
[vlm4rec_edge.captioners]
stand-in = ray_models:captioner
[vlm4rec_edge.encoders]
stand-in = ray_models:encoder
"""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder on the path of this process and of all that it starts, in which the stand-ins are installed."""
    folder = tmp_path_factory.mktemp("site")
    facts = folder / "stand_ins-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: stand-ins\nVersion: 1.0\n", encoding="utf-8")
    (facts / "entry_points.txt").write_text(_POINTS, encoding="utf-8")
    places = [str(folder), str(Path(__file__).parent), str(_SHARDS), str(_SHARDS.parent)]
    before = os.environ.get("PYTHONPATH", "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([*places, *filter(None, [before])]))
        for place in places:
            patch.syspath_prepend(place)
        yield folder


@pytest.fixture
def nodes(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of two nodes with two cores each, to which this process is connected as a driver."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    small = {"object_store_memory": 100 * 1024 * 1024, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, **small})
    cluster.add_node(num_cpus=2, object_store_memory=100 * 1024 * 1024)
    ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    cluster.wait_for_nodes()
    yield cluster
    ray.shutdown()
    cluster.shutdown()
