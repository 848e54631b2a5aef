"""How a process ended, as a user can read it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vlm4rec_edge.grounding.death import Death, LastWords, death_of, oom_kills

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no signals")


def _death(code: str, *, oom_kills_before: int | None = 0) -> Death:
    process = subprocess.Popen([sys.executable, "-c", f"import os, sys\n{code}"], stderr=subprocess.PIPE)
    assert process.stderr is not None
    words = LastWords(process.stderr)
    process.wait()
    return death_of(process, words.lines, oom_kills_before=oom_kills_before)


def test_a_signal_is_named_and_explained() -> None:
    assert str(_death("os.kill(os.getpid(), 11)")) == "SIGSEGV: a wrong memory access"


def test_what_native_code_gave_as_its_reason_is_kept_among_other_lines() -> None:
    said = "sys.stderr.write('one\\nggml.c:7: GGML_ASSERT(n > 0) failed\\ntwo\\n'); sys.stderr.flush(); os.abort()"
    assert str(_death(said)) == "SIGABRT: it gave up: ggml.c:7: GGML_ASSERT(n > 0) failed"


def test_a_shell_that_ran_the_program_tells_its_signal_too() -> None:
    assert _death("os._exit(128 + 4)").cause == "SIGILL"


def test_an_exit_code_is_told() -> None:
    assert str(_death("sys.stderr.write('no such file'); os._exit(3)")).startswith("exit code 3: ")


def test_a_kill_counts_as_lack_of_memory_only_if_the_system_killed_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    kill = "os.kill(os.getpid(), 9)"
    for before, now, expected in ((3, 3, False), (3, 4, True), (None, 4, True), (3, None, True)):
        monkeypatch.setattr("vlm4rec_edge.grounding.death.oom_kills", lambda now=now: now)
        death = _death(kill, oom_kills_before=before)
        assert (death.cause, death.out_of_memory, death.from_outside) == ("SIGKILL", expected, not expected)


def test_an_allocation_that_failed_is_lack_of_memory() -> None:
    assert _death("sys.stderr.write('what(): std::bad_alloc'); sys.stderr.flush(); os.abort()").out_of_memory


def test_much_that_is_said_neither_blocks_nor_is_kept() -> None:
    death = _death(
        "sys.stderr.write('x' * 99 + '\\n' * 50000); sys.stderr.write('last'); sys.stderr.flush(); os._exit(1)"
    )
    assert death.words == "last"


def test_a_line_without_an_end_is_not_kept_whole() -> None:
    death = _death("sys.stderr.write('x' * 100_000); sys.stderr.flush(); os._exit(1)")
    assert 100 < len(death.words) < 1000


def test_a_process_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlm4rec_edge.grounding.death._SECONDS_TO_END", 0.01)
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    assert str(death_of(process, [], oom_kills_before=0)) == "no answer: it runs, but its output cannot be read"
    assert process.returncode is not None


def test_kills_for_memory_are_read_from_the_system(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/vmstat").write_text("oom_kill_x 9\noom_kill 42\nother 1\n")
    assert oom_kills(tmp_path) == 42
    (tmp_path / "proc/vmstat").write_text("other 1\n")
    assert oom_kills(tmp_path) is None
    assert oom_kills(tmp_path / "nowhere") is None
