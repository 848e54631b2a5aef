"""Shards on a real Ray cluster: whatever dies, the index is the same, and what does not fit is refused with a sentence."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray
from made_shards import captions_made
from shard_trials import Trial, new_trial
from traced import Running, why_not

import vlm4rec_edge
from vlm4rec_edge.encoding.text import DEFAULT_TEXT
from vlm4rec_edge.errors import DeviceError, StoreError
from vlm4rec_edge.shards import cluster as running
from vlm4rec_edge.shards.cluster import Cluster, run_on_ray
from vlm4rec_edge.shards.making import ModelChoice
from vlm4rec_edge.shards.running import RunReport
from vlm4rec_edge.shards.status import shard_status

_TIMES = 5
_ADDRESS = re.compile(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"')


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """An odd catalog in shards, of which nothing was run."""
    return new_trial(tmp_path, items=120, rows=10)


def _choice(trial: Trial, seconds: float = 0.0, word: str = "") -> ModelChoice:
    return ModelChoice(f"stand-in:{trial.log},{seconds},{word}", "stand-in", DEFAULT_TEXT)


def _run(trial: Trial, seconds: float = 0.0, **settings: Any) -> RunReport:
    place = settings.pop("cluster", Cluster(actors=2))
    return run_on_ray(trial.folder, cluster=place, choice=_choice(trial, seconds), **settings)


def test_all_shards_are_run_and_a_second_run_asks_no_cluster(
    nodes: Any, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    report = _run(trial, on_items=seen.append)
    assert sorted(report.done) == list(range(report.shards))
    assert seen == sorted(seen)
    trial.check(0)
    monkeypatch.setattr(running, "load_ray", lambda: None)
    assert _run(trial).there == report.shards


def _actor_processes(name: bytes = b"ShardWorker.run") -> list[int]:
    """Return the processes in which actors run shards, by the titles that Ray gives them."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if name in (place / "cmdline").read_bytes():
                found.append(int(place.name))
        except OSError:
            continue
    return found


def _with_faults(trial: Trial, fault: Callable[[random.Random], None], times: int = _TIMES) -> RunReport:
    """Run all shards while a fault happens again and again, at random moments."""
    chance, stopped, happened = random.Random(5), threading.Event(), []

    def happen() -> None:
        while len(happened) < times and not stopped.wait(chance.uniform(0.5, 2)):
            if _actor_processes():
                fault(chance)
                happened.append(time.monotonic())

    thread = threading.Thread(target=happen)
    thread.start()
    try:
        report = _run(trial, 0.05)
    finally:
        stopped.set()
        thread.join()
    assert happened
    return report


def _kill_one(chance: random.Random, how: int = signal.SIGKILL) -> None:
    if processes := _actor_processes():
        os.kill(chance.choice(processes), how)


def test_processes_of_actors_are_killed(nodes: Any, trial: Trial) -> None:
    _with_faults(trial, _kill_one)
    trial.check(_TIMES)


def test_actors_die_of_native_code(nodes: Any, trial: Trial) -> None:
    _with_faults(trial, lambda chance: _kill_one(chance, signal.SIGSEGV))
    trial.check(_TIMES)


def test_a_node_dies(nodes: Any, trial: Trial) -> None:
    """In the thread of the driver, because Ray makes nodes in the main thread alone."""
    chance, there, removed = random.Random(5), list(nodes.worker_nodes), 0

    def happen(_: int) -> None:
        nonlocal removed
        if removed < _TIMES and chance.random() < 0.7 and _actor_processes():
            nodes.remove_node(there.pop(), allow_graceful=False)
            there.append(nodes.add_node(num_cpus=2, object_store_memory=100 * 1024 * 1024))
            removed += 1

    _run(trial, 0.05, cluster=Cluster(actors=4), on_items=happen)
    assert removed
    trial.check(2 * _TIMES)


def test_the_driver_dies(site: Path, trial: Trial) -> None:
    code = (
        "import json, sys\nfrom vlm4rec_edge.shards.cluster import Cluster, run_on_ray\n"
        "from vlm4rec_edge.shards.making import ModelChoice\n"
        "folder, model = sys.argv[1:]\n"
        "run_on_ray(folder, cluster=Cluster(actors=2), choice=ModelChoice(model, 'stand-in'))\n"
    )
    chance = random.Random(6)
    model = str(_choice(trial, 0.05).model)
    for _ in range(_TIMES):
        with subprocess.Popen([sys.executable, "-c", code, str(trial.folder), model], start_new_session=True) as driver:
            before, deadline = captions_made(trial.log).total(), time.monotonic() + 60
            while captions_made(trial.log).total() == before and driver.poll() is None and time.monotonic() < deadline:
                time.sleep(0.1)
            time.sleep(chance.uniform(0, 1))
            os.killpg(driver.pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while _actor_processes(b"ShardWorker"):
        assert time.monotonic() < deadline, "actors outlive their driver"
        time.sleep(0.2)
    trial.check(2 * _TIMES)


def test_a_shard_that_always_fails_is_left_and_the_others_are_done(nodes: Any, trial: Trial) -> None:
    rows = trial.folder / "plan"
    broken = sorted(rows.iterdir())[1]
    broken.write_bytes(b"no rows")
    report = _run(trial)
    assert [one.index for one in report.failed] == [1]
    assert report.failed[0].reason.startswith("3 attempts failed; the last: The rows of a shard")
    assert len(report.done) == report.shards - 1


def test_workers_that_cannot_begin_end_the_run(nodes: Any, trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    order = running._order

    def deadly(*arguments: Any) -> Any:
        made = order(*arguments)
        return running.Order(**{**vars(made), "choice": {**made.choice, "encoder": "stand-in:dies"}})

    monkeypatch.setattr(running, "_order", deadly)
    with pytest.raises(StoreError, match="3 workers in a row died before they could begin"):
        _run(trial)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda made: {"package": "0.0.9"}, f"has vlm4rec-edge {vlm4rec_edge.__version__}, the driver 0.0.9"),
        (lambda made: {"made_by": "0" * 64}, "has other model files or settings"),
        (lambda made: {"choice": {**made.choice, "model": "no-such-model"}}, "cannot run shards: .*no-such-model"),
    ],
    ids=["package", "models", "missing"],
)
def test_a_worker_that_differs_is_refused(
    nodes: Any, trial: Trial, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], Any], said: str
) -> None:
    order = running._order

    def other(*arguments: Any) -> Any:
        made = order(*arguments)
        return running.Order(**{**vars(made), **change(made)})

    monkeypatch.setattr(running, "_order", other)
    with pytest.raises(StoreError, match=said):
        _run(trial)
    assert shard_status(trial.folder).done == 0


def test_more_than_a_node_has_is_refused(nodes: Any, trial: Trial) -> None:
    with pytest.raises(DeviceError, match="No node of the cluster has 64 cores"):
        _run(trial, cluster=Cluster(cores=64))


def test_no_actor_has_more_than_one_shard(nodes: Any, trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    most = 0
    hand_out = running._hand_out

    def counted(pool: Any) -> None:
        nonlocal most
        hand_out(pool)
        most = max(most, len(pool.at_work))
        assert len({id(actor) for actor, _ in pool.at_work.values()}) == len(pool.at_work)

    monkeypatch.setattr(running, "_hand_out", counted)
    _run(trial)
    assert most == 2


def _foreign(call: str) -> str:
    """Return what a call does towards another machine, and which; empty if it stays on this one."""
    named = [one for pair in _ADDRESS.findall(call) for one in pair if one]
    ours = {"127.0.0.1", "0.0.0.0", ray.util.get_node_ip_address()}
    own = {"::1", "::", *ours, *(f"::ffff:{one}" for one in ours)}
    others = sorted(set(named) - own)
    port = "".join(re.findall(r"htons\((\d+)\)", call)[:1])
    return f"{call.partition('(')[0]} {others[0]} {port}" if others else ""


@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_the_program_starts_a_cluster_of_its_own_that_tells_nobody(site: Path, trial: Trial, tmp_path: Path) -> None:
    assert not ray.is_initialized()
    for name in ("home", "temporary"):
        (tmp_path / name).mkdir()
    words = ["shard", "run", trial.folder, "--ray", "--actors", 2, "--model", _choice(trial).model]
    with tempfile.TemporaryDirectory(prefix="ray") as short:  # the paths of Ray's sockets have a bound
        trace = Running(
            [
                sys.executable,
                "-c",
                "from vlm4rec_edge.cli import main; main()",
                *words,
                "--encoder",
                "stand-in",
                "--json",
            ],
            cwd=tmp_path,
            home=tmp_path / "home",
            temporary=tmp_path / "temporary",
            env={"PYTHONPATH": os.environ["PYTHONPATH"], "RAY_TMPDIR": short, "RAY_USAGE_STATS_ENABLED": "1"},
        ).wait()
    assert trace.code in (0, 3), trace.out
    assert len(json.loads(trace.out)["done"]) == shard_status(trial.folder).shards
    assert trace.spoken, "Ray's own processes speak to each other"
    # docs/explanation/privacy.md says so: the name and the address by which clouds tell what they are, and a UDP socket over
    # which nothing is sent. Names are asked of whatever answers at port 53.
    foreign = {one for call in trace.spoken if (one := _foreign(call)) and not one.endswith(" 53")}
    assert foreign <= {"connect 169.254.169.254 80"}
    trial.check(0)
