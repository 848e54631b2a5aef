"""Nothing leaves the machine: every command, and a process that lives long, watched by strace.

What may speak, and where files may be written, stands in ``vlm4rec_edge/privacy.py`` and ``docs/explanation/privacy.md``.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from every_command import INDEX, RECIPES, commands, stock
from file_server import FileHandler, Files, serving
from pictures import encoded, swatch
from traced import PROGRAM, Running, Trace, why_not
from with_bf16 import needs_bf16

from vlm4rec_edge import privacy

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

# ONNX Runtime 1.32 asks for its collector nine seconds after its import.
SECONDS = 13


@dataclass(frozen=True)
class Owner:
    """Somebody with an empty home, a folder to work in, and one for temporary files."""

    work: Path
    home: Path
    temporary: Path

    @property
    def cache(self) -> Path:
        """The documented place in the home."""
        return self.home / ".cache" / "vlm4rec-edge"

    def start(self, *command: object, before: Sequence[str] = (), **environment: str) -> Running:
        """Start a command under strace."""
        return Running([*before, *command], cwd=self.work, home=self.home, temporary=self.temporary, env=environment)

    def outside(self, trace: Trace) -> list[str]:
        """Return what was written in no documented place; the folders above the cache are made with it."""
        written = trace.outside(self.work, self.temporary, self.cache)
        return [path for path in written if not self.cache.is_relative_to(path)]

    def check(self, trace: Trace) -> None:
        """Check that a command succeeded, that it spoke to nobody, and that it wrote only where it may."""
        assert trace.code == 0, trace.err
        assert "telemetry" not in trace.err.lower()
        assert trace.spoken == ()
        assert self.outside(trace) == []
        assert [path for path in self.home.rglob("*") if not _is_in_or_above(path, self.cache)] == []
        assert list(self.temporary.iterdir()) == []


def _is_in_or_above(path: Path, folder: Path) -> bool:
    return path.is_relative_to(folder) or folder.is_relative_to(path)


def _owner(folder: Path, shop: Path, index: Path) -> Owner:
    made = Owner(stock(folder / "work", shop, index), folder / "home", folder / "temporary")
    made.home.mkdir()
    made.temporary.mkdir()
    return made


@pytest.fixture
def owner(tmp_path: Path, shop: Path, shop_index: Path) -> Owner:
    """Somebody with a shop."""
    return _owner(tmp_path, shop, shop_index)


# A process that searches, and captions by itself and in a child, for longer than telemetry waits.
_LIVES = """
import sys, time
from pathlib import Path
from vlm4rec_edge import LlamaCaptioner, IsolatedCaptioner, Recommender, resolve_lvlm
inside, child = (kind(resolve_lvlm(), max_tokens=3) for kind in (LlamaCaptioner, IsolatedCaptioner))
with Recommender.open("shop.index") as shop, inside, child:
    shop.search("a red dress")
    end = time.monotonic() + float(sys.argv[1])
    while time.monotonic() < end:
        shop.search("a red dress")
        assert inside.caption_file(Path("photos/new-0.jpg")) == child.caption_file(Path("photos/new-0.jpg"))
        time.sleep(2)
print("lived")
"""
# The same time with ONNX Runtime as it comes.
_SPEAKS = "import sys, time, onnxruntime\ntime.sleep(float(sys.argv[1]))"


@pytest.fixture(scope="module")
def lives(
    tmp_path_factory: pytest.TempPathFactory, shop: Path, shop_index: Path
) -> Iterator[dict[str, tuple[Owner, Trace]]]:
    """What three processes did that lived long, side by side."""
    owners = {name: _owner(tmp_path_factory.mktemp("lives"), shop, shop_index) for name in ("usual", "no home", "loud")}
    without_rights = _unwritable(owners["no home"].home)
    running = {
        "usual": owners["usual"].start(sys.executable, "-c", _LIVES, SECONDS),
        "no home": owners["no home"].start(sys.executable, "-c", _LIVES, SECONDS, before=without_rights),
        "loud": owners["loud"].start(sys.executable, "-c", _SPEAKS, SECONDS),
    }
    yield {name: (owners[name], process.wait()) for name, process in running.items()}
    owners["no home"].home.chmod(0o700)


def _unwritable(home: Path) -> list[str]:
    """Make a home that cannot be written; return the command that takes from root the right to do it nevertheless."""
    home.chmod(0o500)
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root can write everything, and there is no setpriv (util-linux) that takes the right away")
    return ["setpriv", "--bounding-set=-dac_override"]


def test_every_command_of_the_program_is_watched() -> None:
    """A new command fails here until it has a recipe."""
    assert commands() == set(RECIPES)
    assert {speaker.command for speaker in privacy.COMMANDS} <= commands()


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param(recipe, id=f"{name} {number}")
        for name, ways in RECIPES.items()
        for number, recipe in enumerate(ways)
    ],
)
def test_a_command_speaks_to_nobody_and_writes_where_it_may(
    owner: Owner, recipe: Callable[[Path], list[object]]
) -> None:
    owner.check(owner.start(PROGRAM, *recipe(owner.work)).wait())


@pytest.mark.parametrize("name", ["index", "search", "similar", "models list"])
def test_a_home_that_cannot_be_written_changes_nothing(owner: Owner, name: str) -> None:
    arguments = RECIPES[name][0](owner.work)
    before = _unwritable(owner.home)
    tried = owner.start(sys.executable, "-c", "open('x', 'w')", before=["env", "-C", str(owner.home), *before]).wait()
    assert "Permission denied" in tried.err
    owner.check(owner.start(PROGRAM, *arguments, before=before).wait())


@pytest.mark.parametrize("name", ["usual", "no home"])
def test_a_process_that_lives_long_speaks_to_nobody(lives: dict[str, tuple[Owner, Trace]], name: str) -> None:
    owner, trace = lives[name]
    assert trace.out == "lived\n"
    owner.check(trace)


# Serves, asks as a browser would, and ends the server.
_SERVES = """
import json, signal, subprocess, sys, urllib.request
command = [*sys.argv[1:], "serve", "shop.index", "--port", "0", "--json", "--captioner"]
process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
lines = iter(process.stdout.readline, "}\\n")
address = json.loads("".join(lines) + "}")["address"]
def ask(path, body=None, kind="application/json"):
    request = urllib.request.Request(address + path, body, {"Content-Type": kind} if body else {})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        return answer.read()
item = json.loads(ask("v1/items?limit=1"))["items"][0]["id"]
assert ask(f"v1/items/{item}/photo")
for path in ("", "page/main.js", "reference", "openapi.json", "v1/search?q=red", "v1/state", "v1/info"):
    assert ask(path)
assert ask("v1/recommend", json.dumps({"history": [item], "explain": True}).encode())
assert ask("v1/similar-photo", open("photos/new-0.jpg", "rb").read(), "image/jpeg")
process.send_signal(signal.SIGTERM)
process.wait()
print("asked at", address)
"""


def test_a_server_listens_on_this_machine_alone_and_speaks_to_who_asks(owner: Owner) -> None:
    trace = owner.start(sys.executable, "-c", _SERVES, PROGRAM).wait()
    assert trace.code == 0, trace.err
    port = trace.out.rstrip("/\n").rpartition(":")[2]
    assert port.isdecimal(), trace.out
    named = [call for call in trace.spoken if not call.startswith("listen(")]
    assert all(f"htons({port})" in call and '"127.0.0.1"' in call for call in named if "htons" in call), named
    listeners = {call.partition(",")[0] for call in trace.spoken if call.startswith("listen(")}
    assert len(listeners) == 1, "one socket, however often it is told to listen"
    assert owner.outside(trace) == []
    assert [path for path in owner.home.rglob("*") if not _is_in_or_above(path, owner.cache)] == []
    assert list(owner.temporary.iterdir()) == []


class _Refusing(FileHandler):
    """A server that has nothing."""

    def answer(self) -> None:
        self.refuse(404, "RepoNotFound")


@pytest.mark.parametrize(
    ("arguments", "variable"),
    [
        (["models", "pull", "smolvlm-256m-instruct"], "HF_ENDPOINT"),
        (["export", INDEX, "--format", "qdrant", "--collection", "shop", "--url"], ""),
    ],
    ids=["models pull", "export"],
)
def test_a_command_that_may_speak_does_so_with_the_address_it_was_given(
    owner: Owner, arguments: list[str], variable: str
) -> None:
    state = Files()
    with serving(_Refusing, state) as (address,):
        command = [PROGRAM, *arguments] if variable else [PROGRAM, *arguments, address]
        trace = owner.start(*command, **({variable: address} if variable else {})).wait()
    assert trace.code == 1, trace.out
    assert state.asked, "it did not speak"
    port = address.rpartition(":")[2]
    called = {call for call in trace.spoken if call.startswith(("connect(", "sendto(", "sendmsg("))}
    assert called
    assert {tuple(re.findall(r'htons\((\d+)\).*?"([\d.]+)"', call)) for call in called} == {((port, "127.0.0.1"),)}
    assert owner.outside(trace) == []


@pytest.mark.parametrize("options", [[], ["--fetch"], ["--fetch-private"]], ids=["as it comes", "fetch", "private"])
def test_photos_of_the_web_are_asked_for_only_where_that_was_said(owner: Owner, options: list[str]) -> None:
    """The server is on this machine, so that ``--fetch`` alone does not ask it either."""
    (owner.work / "photos" / "own.png").write_bytes(encoded(swatch(1, 2, 3)))
    state = Files()
    with serving(_Refusing, state) as (address,):
        table = owner.work / "photos" / "web.csv"
        table.write_text(f"id,image\nown,own.png\nweb,{address}/a.png\n", encoding="utf-8")
        trace = owner.start(PROGRAM, "index", table, "--out", "new.index", "--max-tokens", 3, *options).wait()
    assert trace.code == 3, trace.err
    assert bool(state.asked) == ("--fetch-private" in options)
    port = address.rpartition(":")[2]
    called = {call for call in trace.spoken if call.startswith(("connect(", "sendto(", "sendmsg("))}
    assert all(f"htons({port})" in call and '"127.0.0.1"' in call for call in called), called
    assert bool(called) == bool(state.asked)
    assert owner.outside(trace) == []


def test_onnxruntime_as_it_comes_would_be_found_out(lives: dict[str, tuple[Owner, Trace]]) -> None:
    from vlm4rec_edge.quiet import load

    if tuple(map(int, load("onnxruntime").__version__.split(".")[:2])) < (1, 29):
        pytest.skip("this ONNX Runtime has no telemetry")
    owner, trace = lives["loud"]
    assert any("DeveloperTools" in path for path in owner.outside(trace))
    assert any("AF_INET" in call for call in trace.spoken)


@needs_bf16
def test_openvino_as_it_comes_would_be_found_out(owner: Owner) -> None:
    trace = owner.start(sys.executable, "-c", "import openvino").wait()
    assert any("openvino_ga_cid" in path for path in owner.outside(trace))
    assert any("AF_INET" in call for call in trace.spoken)


@pytest.mark.parametrize(
    "speech",
    [
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('127.0.0.53', 53))",
        "import socket; socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b'x', ('::1', 9))",
        "import socket\ntry: socket.getaddrinfo('an-address.invalid', 80)\nexcept OSError: pass",
        "import socket; socket.create_server(('127.0.0.1', 0))",
        "import os, subprocess, sys\n"
        "subprocess.run([sys.executable, '-c', 'import socket; socket.socket().connect_ex((\"127.0.0.1\", 9))'])",
        "import os, socket\nif os.fork() == 0: socket.socket().connect_ex(('127.0.0.1', 9))",
        "import threading, socket\nthreading.Thread(target=socket.socket().connect_ex, args=[('127.0.0.1', 9)]).start()",
    ],
    ids=["connect", "send", "name", "server", "child", "fork", "thread"],
)
def test_speaking_in_any_way_would_be_found_out(owner: Owner, speech: str) -> None:
    trace = owner.start(sys.executable, "-c", speech).wait()
    assert trace.spoken, trace.err


@pytest.mark.parametrize(
    "deed",
    [
        "open(there, 'w')",
        "open(there, 'a')",
        "os.mkdir(there)",
        "os.symlink('/', there)",
        "os.link('a', there)",
        "os.rename('a', there)",
        "os.chdir(os.path.dirname(there)); open(os.path.basename(there), 'w')",
        "os.open(os.path.basename(there), os.O_CREAT, dir_fd=os.open(os.path.dirname(there), os.O_RDONLY))",
        "sqlite3.connect(there).execute('create table a (b)')",
        "open('a', 'w'); os.unlink(there)",
    ],
)
def test_writing_in_any_way_elsewhere_would_be_found_out(owner: Owner, deed: str, tmp_path: Path) -> None:
    there = tmp_path / "elsewhere"
    (owner.work / "a").touch()
    if "unlink" in deed:
        there.touch()
    trace = owner.start(sys.executable, "-c", f"import os, sqlite3; there = {str(there)!r}; {deed}").wait()
    assert trace.code == 0, trace.err
    assert str(there) in owner.outside(trace)
    assert trace.spoken == ()
