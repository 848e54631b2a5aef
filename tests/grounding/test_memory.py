"""The batch is chosen from the memory at hand, which is what the system and the container leave, whichever is less."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictures import answers, requests_for, swatch

from vlm4rec_edge import LlamaCaptioner, resolve_lvlm
from vlm4rec_edge.grounding.llama import captioner as captioner_module
from vlm4rec_edge.grounding.llama.memory import available_bytes
from vlm4rec_edge.grounding.llama.native import kv_bytes_per_token

MIB = 1 << 20


def _system(root: Path, available: int, groups: str = "", **files: int | str) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(f"MemTotal: 99999999 kB\nMemAvailable:  {available // 1024} kB\n")
    (root / "proc/self/cgroup").write_text(groups)
    for name, value in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    return root


def test_without_a_limit_it_is_what_the_system_has(tmp_path: Path) -> None:
    assert available_bytes(_system(tmp_path / "bare", 700 * MIB)) == 700 * MIB
    unlimited = {"app/memory.max": "max", "app/memory.current": 5 * MIB}
    assert available_bytes(_system(tmp_path / "v2", 700 * MIB, "0::/app\n", **unlimited)) == 700 * MIB
    unlimited = {"memory/memory.limit_in_bytes": 2**63 - 4096, "memory/memory.usage_in_bytes": 5}
    assert available_bytes(_system(tmp_path / "v1", 700 * MIB, "4:memory:/\n", **unlimited)) == 700 * MIB


@pytest.mark.parametrize(
    ("groups", "files"),
    [
        ("0::/\n", {"memory.max": 100 * MIB, "memory.current": 40 * MIB}),
        ("0::/app/job\n", {"app/memory.max": 100 * MIB, "app/memory.current": 40 * MIB, "app/job/memory.max": "max"}),
        (
            "3:cpuset:/\n4:memory:/outside/of/the/container\n",
            {"memory/memory.limit_in_bytes": 100 * MIB, "memory/memory.usage_in_bytes": 40 * MIB},
        ),
    ],
    ids=["container", "a group above", "version 1"],
)
def test_a_limit_of_a_control_group_counts_with_what_is_used_of_it(
    tmp_path: Path, groups: str, files: dict[str, int | str]
) -> None:
    assert available_bytes(_system(tmp_path, 700 * MIB, groups, **files)) == 60 * MIB


def test_what_was_read_from_files_before_gives_way(tmp_path: Path) -> None:
    stat = f"anon {10 * MIB}\ninactive_file {25 * MIB}\nactive_file {5 * MIB}"
    files = {"memory.max": 100 * MIB, "memory.current": 40 * MIB, "memory.stat": stat}
    assert available_bytes(_system(tmp_path, 700 * MIB, "0::/\n", **files)) == 85 * MIB


def test_damaged_files_of_the_system_are_no_error(tmp_path: Path) -> None:
    root = _system(tmp_path, 700 * MIB, "::::\nnonsense\n0::/../..\n", **{"memory.max": "?", "memory.current": "-1"})
    assert available_bytes(root) == 700 * MIB


@pytest.mark.parametrize("photos", [1, 3])
def test_a_batch_takes_half_of_what_the_model_leaves_and_at_least_one_photo(
    monkeypatch: pytest.MonkeyPatch, photos: int
) -> None:
    files = resolve_lvlm()
    each = kv_bytes_per_token(files.text) * files.settings.context_length
    weights = files.text.stat().st_size + files.projector.stat().st_size
    monkeypatch.setattr(captioner_module, "available_bytes", lambda: weights + 2 * photos * each + each)
    with LlamaCaptioner(files, max_tokens=2, threads=1, device="cpu", vision="mtmd") as captioner:
        assert answers(captioner, requests_for({"a": swatch(200, 30, 40)}))[0]
        assert captioner.batch == photos
        assert captioner.kv_bytes == photos * each
    monkeypatch.setattr(captioner_module, "available_bytes", lambda: 0)
    assert LlamaCaptioner(files, device="cpu")._affordable_batch(0) == 1


def test_the_graph_of_a_vision_tower_counts_as_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    files = resolve_lvlm()
    each = kv_bytes_per_token(files.text) * files.settings.context_length
    weights = files.text.stat().st_size + files.projector.stat().st_size
    monkeypatch.setattr(captioner_module, "available_bytes", lambda: weights + 8 * each)
    captioner = LlamaCaptioner(files, device="cpu")
    assert captioner._affordable_batch(0) == 4
    assert captioner._affordable_batch(4 * each) == 2


def test_a_batch_is_no_larger_than_it_is_worth_and_never_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    captioner = LlamaCaptioner(resolve_lvlm(), device="cpu")
    monkeypatch.setattr(captioner_module, "available_bytes", lambda: 1 << 50)
    most = captioner._affordable_batch(0)
    monkeypatch.setattr(captioner_module, "available_bytes", lambda: None)
    assert captioner._affordable_batch(0) == most < 100
