"""One captioning engine at work, in a process of its own: ours, llama-cpp-python's own handler, or xllamacpp's server.

Two libraries with a llama.cpp inside get in each other's way, so ``grounding.py`` starts this file with a task as JSON
and reads what it measured from the last line. Each engine reads the same files, asks the same question, is greedy and has the
same threads; what is timed is from the files to the texts, after the model is loaded and has captioned other photos.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from running.fresh_process import ask_process

OURS, HANDLER, SERVER = "vlm4rec-edge", "llama-cpp-python", "xllamacpp"
# The module each needs and the package that brings it.
PEERS = {HANDLER: ("llama_cpp", "llama-cpp-python"), SERVER: ("xllamacpp", "xllamacpp")}

# Up to this context flash attention is slower on a CPU. Our engine leaves it off there, so the others have that too.
_FLASH_FROM = 2048


@dataclass(frozen=True)
class Task:
    """What an engine is to do.

    Attributes:
        engine: ``OURS``, ``HANDLER`` or ``SERVER``.
        model: Folder of the model, or its name; ours.
        text, projector: Its files; the others.
        photos, warm: Files to caption, and a few others before them.
        question: The prompt.
        max_tokens: Most tokens of an answer.
        batch: Photos at work together; the handler knows one only.
        context: Tokens a photo, its question and its answer may take.
        threads: CPU threads.
        one_by_one: Time each photo by itself, the next one only when it is done.
        max_side: Longer side of a photo for our engine, 0: the model's own.
        vision, vision_precision: The vision tower of our engine.
        device: Where our engine computes.
    """

    engine: str
    model: str
    text: str
    projector: str
    photos: Sequence[str]
    warm: Sequence[str]
    question: str
    max_tokens: int
    batch: int
    context: int
    threads: int
    one_by_one: bool = False
    max_side: int = 0
    vision: str = "auto"
    vision_precision: str = "fp32"
    device: str = "auto"


@dataclass(frozen=True)
class Done:
    """What an engine did.

    Attributes:
        seconds, each_s: Of the whole, and of each photo if one by one.
        texts, tokens: Of the answers.
        system: What llama.cpp says of its build.
        cpu_s: Processor seconds of the whole, of all threads.
        peak_mb: Most memory of the process so far.
        vram_mb: Memory of the GPUs that came into use, on CUDA.
        tower: What encoded the photos of our engine.
    """

    seconds: float
    each_s: Sequence[float]
    texts: Sequence[str]
    tokens: Sequence[int]
    system: str = ""
    cpu_s: float = 0.0
    peak_mb: float = 0.0
    vram_mb: float = 0.0
    tower: str = ""

    @property
    def rate(self) -> float:
        """Photos a second."""
        return len(self.texts) / self.seconds


def measure(task: Task) -> Done:
    """Do a task in a fresh process.

    Raises:
        RuntimeError: the engine failed; the message holds the last line of what it said.
    """
    return Done(**ask_process(__name__, task))


@contextmanager
def _ours(task: Task) -> Iterator[Callable[[Sequence[str]], list[tuple[str, int]]]]:
    from vlm4rec_edge import LlamaCaptioner, resolve_lvlm
    from vlm4rec_edge.catalog.photo import read_photo_file
    from vlm4rec_edge.grounding.llama.engine import Answer, Engine
    from vlm4rec_edge.grounding.protocol import CaptionRequest
    from vlm4rec_edge.items import Failure

    answer, tokens = Engine.answer, {}

    def counted(engine: Engine, photos: Any) -> Iterator[Any]:
        for result in answer(engine, photos):
            if isinstance(result, Answer):
                tokens[result.key] = len(result.tokens)
            yield result

    Engine.answer = counted  # type: ignore[method-assign]

    def caption(photos: Sequence[str]) -> list[tuple[str, int]]:
        texts = {}
        requests = (CaptionRequest(photo, read_photo_file(Path(photo)), task.question) for photo in photos)
        for result in captioner.caption(requests):
            if isinstance(result, Failure):
                raise RuntimeError(result.reason)
            texts[result.key] = result.text
        return [(texts[photo], tokens[photo]) for photo in photos]

    with LlamaCaptioner(
        resolve_lvlm(task.model),
        max_tokens=task.max_tokens,
        batch=task.batch,
        threads=task.threads,
        max_side=task.max_side or None,
        vision=task.vision,  # type: ignore[arg-type]
        vision_precision=task.vision_precision,  # type: ignore[arg-type]
        device=task.device,  # type: ignore[arg-type]
    ) as captioner:
        caption.tower = lambda: captioner.tower  # type: ignore[attr-defined]
        yield caption


@contextmanager
def _handler(task: Task) -> Iterator[Callable[[Sequence[str]], list[tuple[str, int]]]]:
    from llama_cpp import Llama
    from llama_cpp.llama_chat_format import MTMDChatHandler

    model = Llama(
        model_path=task.text,
        chat_handler=MTMDChatHandler(clip_model_path=task.projector, verbose=False),
        n_ctx=task.context,
        n_threads=task.threads,
        n_threads_batch=task.threads,
        flash_attn=task.context > _FLASH_FROM,
        verbose=False,
    )

    def caption(photos: Sequence[str]) -> list[tuple[str, int]]:
        return [
            _said(
                model.create_chat_completion(
                    messages=_messages(photo, task.question),
                    temperature=0.0,
                    repeat_penalty=1.0,
                    max_tokens=task.max_tokens,
                )
            )
            for photo in photos
        ]

    yield caption
    model.close()


@contextmanager
def _server(task: Task) -> Iterator[Callable[[Sequence[str]], list[tuple[str, int]]]]:
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = task.text
    parameters.mmproj.path = task.projector
    parameters.n_parallel = task.batch
    parameters.n_ctx = task.context * task.batch
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = task.threads
    flash = xllamacpp.llama_flash_attn_type
    short, long = flash.LLAMA_FLASH_ATTN_TYPE_DISABLED, flash.LLAMA_FLASH_ATTN_TYPE_AUTO
    parameters.flash_attn_type = long if task.context > _FLASH_FROM else short
    parameters.cache_ram_mib = 0  # no photo is asked about twice
    server = xllamacpp.Server(parameters)

    def ask(photo: str) -> tuple[str, int]:
        question = {
            "messages": _messages(photo, task.question),
            "temperature": 0.0,
            "repeat_penalty": 1.0,
            "max_tokens": task.max_tokens,
        }
        answer = server.handle_chat_completions(question)
        if "choices" not in answer:
            raise RuntimeError(str(answer)[:200])
        return _said(answer)

    with ThreadPoolExecutor(task.batch) as pool:
        yield lambda photos: list(pool.map(ask, photos))


def _messages(photo: str, question: str) -> list[dict[str, Any]]:
    url = "data:image/jpeg;base64," + base64.b64encode(Path(photo).read_bytes()).decode()
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": question}]
    return [{"role": "user", "content": content}]


def _said(answer: Any) -> tuple[str, int]:
    return answer["choices"][0]["message"]["content"] or "", answer["usage"]["completion_tokens"]


def _system(engine: str) -> str:
    """Return what llama.cpp says of the instructions that it was compiled for."""
    if engine == SERVER:
        import xllamacpp

        return str(xllamacpp.get_system_info())
    import llama_cpp

    return str(llama_cpp.llama_print_system_info().decode())


def _vram_mb() -> float:
    """Return the memory in use on all GPUs, by anybody."""
    command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    return sum(map(float, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()))


def _peak_mb() -> float:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 if sys.platform == "linux" else 1024**2)


_ENGINES = {OURS: _ours, HANDLER: _handler, SERVER: _server}


def _main() -> None:
    task = Task(**json.load(sys.stdin))
    vram = _vram_mb() if task.device == "cuda" else 0.0
    with _ENGINES[task.engine](task) as caption:
        caption(task.warm)
        each, said = [], []
        started, worked = time.perf_counter(), time.process_time()
        if task.one_by_one:
            for photo in task.photos:
                begun = time.perf_counter()
                said += caption([photo])
                each.append(time.perf_counter() - begun)
        else:
            said = caption(task.photos)
        seconds, cpu = time.perf_counter() - started, time.process_time() - worked
        texts, tokens = zip(*said, strict=True)
        tower = caption.tower() if hasattr(caption, "tower") else ""
        # Neither llama.cpp nor ONNX Runtime gives memory of a GPU back before the end, so what is taken now is the most.
        vram = _vram_mb() - vram if task.device == "cuda" else 0.0
        done = Done(seconds, each, texts, tokens, _system(task.engine), cpu, _peak_mb(), vram, tower)
        sys.stdout.write("\n" + json.dumps(asdict(done)) + "\n")
        sys.stdout.flush()
        if task.engine == SERVER:
            os._exit(0)  # it has no call that stops its threads


if __name__ == "__main__":
    _main()
