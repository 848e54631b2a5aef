"""llama.cpp, opened quietly: the text model, its context and KV memory, and the projector, as one thing to close."""

from __future__ import annotations

import ctypes
import os
import shlex
import warnings
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vlm4rec_edge.closable import Closable
from vlm4rec_edge.errors import DeviceError, MissingDependencyError, ModelError, Vlm4RecWarning
from vlm4rec_edge.grounding.llama.library import check_llama
from vlm4rec_edge.grounding.llama.variants import load_variant
from vlm4rec_edge.models.gguf import read_header

if TYPE_CHECKING:
    from vlm4rec_edge.models.resolve import LvlmFiles

Device = Literal["auto", "cpu", "cuda"]

# Tokens in one llama_decode call, and in one pass of the compute graph inside it. 512 holds the 256 image tokens that
# Gemma 3 must see in a single pass (its image attention is not causal); a model whose photos may take more gets more.
BATCH_TOKENS = 2048
PASS_TOKENS = 512
# A photo, its question and a caption of three sentences fit; more only reserves memory. A model's own limit stays below.
CONTEXT_PER_PHOTO = 2048
# Up to this context flash attention is slower on a CPU: it saves nothing where a few hundred keys are read, and takes 15 to
# 25 % longer over a step of several photos. Beyond, it keeps the scores of a pass, the square of the context, out of memory.
_SHORT_CONTEXT = 2048
# So it is with the patches of a vision encoder: of 64 it is as fast without, and says the very words of llama-cpp-python's own
# handler, which goes without (flash attention changes the last bits, and with them a word of one caption in twenty); of
# 1,024 a whole caption takes a sixth longer without.
_FEW_PATCHES = 256
# llama.cpp rounds the context of a sequence up to this.
_CONTEXT_STEP = 256
_ALL_LAYERS = 999
_LOG_LINES_KEPT = 30
# How long a thread of llama.cpp spins (GNU OpenMP) while it waits for the others, before it sleeps. The default, about
# forever, is 3 to 10 times slower as soon as anything else, our own photo decoding for one, wants a core.
_SPINS = "1000"
_LEVEL_ERROR = 4  # GGML_LOG_LEVEL_ERROR (3 is a warning)

_log: deque[str] = deque(maxlen=_LOG_LINES_KEPT)
_log_callbacks: list[Any] = []  # ctypes needs a callback to stay alive as long as the library may call it


def load_bindings() -> Any:
    """Import llama_cpp with its log turned into a short memory for error messages, and return the module.

    Raises:
        MissingDependencyError: llama-cpp-python, or a library that it needs, is not installed.
        DeviceError: it has no code for this processor.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)  # both are read once, when the libraries are loaded below
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")  # an abort would call a debugger and print its stack for seconds
    try:
        import llama_cpp
        from llama_cpp import mtmd_cpp
    except ImportError:
        raise missing_bindings() from None
    except (OSError, RuntimeError) as error:  # Debian without libgomp1, for one
        raise MissingDependencyError(
            f"llama-cpp-python is installed, but its library cannot be loaded: {error}"
        ) from None
    if not _log_callbacks:

        def remember(level: int, text: bytes, _: Any) -> None:
            if level == _LEVEL_ERROR:
                _log.append(text.decode("utf-8", "replace").strip())

        _log_callbacks.append(llama_cpp.llama_log_callback(remember))
        llama_cpp.llama_log_set(_log_callbacks[0], ctypes.c_void_p(0))
        mtmd_cpp.mtmd_helper_log_set(_log_callbacks[0], ctypes.c_void_p(0))
    load_variant(llama_cpp)
    return llama_cpp


def require_captioning() -> None:
    """Look for what captioning photos needs, without loading it.

    Raises:
        MissingDependencyError: llama-cpp-python, Pillow or Jinja2 is not installed.
    """
    if find_spec("llama_cpp") is None:
        raise missing_bindings()
    for package, name in (("PIL", "Pillow"), ("jinja2", "Jinja2")):
        if find_spec(package) is None:
            raise MissingDependencyError(f'Captioning photos needs {name}: pip install "vlm4rec-edge[cpu]"')


def missing_bindings() -> MissingDependencyError:
    """Return the error of an installation without llama-cpp-python."""
    return MissingDependencyError(
        'Captioning photos needs llama-cpp-python: pip install "vlm4rec-edge[cpu]" (it is compiled on this machine, which '
        "takes some minutes; docs/guides/troubleshooting.md says how to install without a compiler)"
    )


def compile_here() -> str:
    """Return the sentence that says how to get a llama.cpp that fits this processor and is right on it."""
    beside = Path(__file__).with_name("llama.cpp.cmake")  # in a checkout it lies where wheels are made
    cmake = beside if beside.is_file() else Path(__file__).resolve().parents[3] / "packaging" / beside.name
    return (
        f'Compile it on this machine: CMAKE_ARGS="-DCMAKE_PROJECT_llama.cpp_INCLUDE={shlex.quote(str(cmake))}" pip install '
        "--force-reinstall --no-cache-dir --no-deps --no-binary llama-cpp-python llama-cpp-python==0.3.36"
    )


def last_native_error() -> str:
    """Return what llama.cpp last complained of, as the end of a sentence, or an empty text."""
    return f" (llama.cpp says: {_log[-1]})" if _log else ""


def use_gpu(device: Device) -> bool:
    """Decide whether llama.cpp computes on a GPU.

    Raises:
        DeviceError: ``cuda`` was asked for and this build of llama-cpp-python has no CUDA.
    """
    llama = load_bindings()
    if device == "cpu":
        return False
    if device == "cuda":
        if b"CUDA" not in llama.llama_print_system_info() or not llama.llama_supports_gpu_offload():
            raise DeviceError(
                "This llama-cpp-python was built without CUDA. Rebuild it: CMAKE_ARGS=-DGGML_CUDA=on pip install "
                "--force-reinstall --no-cache-dir llama-cpp-python==0.3.36 (needs the CUDA toolkit), or use --device cpu."
            )
        return True
    return bool(llama.llama_supports_gpu_offload())


@dataclass(frozen=True)
class ModelShape:
    """The sizes of a loaded model that the engine works with.

    ``embedding`` is the width of one input row, ``pass_tokens`` how many tokens one pass of the compute graph reads.
    """

    vocabulary: int
    embedding: int
    context: int
    slots: int
    kv_bytes: int
    pass_tokens: int = PASS_TOKENS


class NativeModel(Closable):
    """A loaded vision-language model with room for ``slots`` photos at once; a context manager that frees it all.

    Attributes:
        llama: The ``llama_cpp`` module; ``mtmd``: its ``mtmd_cpp``.
        model, vocabulary, context, memory, projector: Native handles, valid until ``close``.
        shape: Sizes.
    """

    def __init__(
        self,
        files: LvlmFiles,
        *,
        device: Device,
        threads: int,
        slots: int,
        context: int = 0,
        beside: NativeModel | None = None,
        own_projector: bool = True,
    ) -> None:
        """Load the model.

        Args:
            files: Checked paths of the text model and the projector.
            device: Where to compute.
            threads: CPU threads.
            slots: Sequences decoded together.
            context: Tokens a sequence may hold; 0 chooses.
            beside: Another one of the same files, whose text weights are used as well; to be closed after this one.
            own_projector: False to use that of ``beside`` as well, which must not encode then: two would at once.

        Raises:
            ModelError: llama.cpp refuses a file, the two do not belong together, or memory is short.
            DeviceError: see ``use_gpu``.
        """
        self.llama = load_bindings()
        from llama_cpp import mtmd_cpp

        self.mtmd = mtmd_cpp
        gpu = use_gpu(device)
        check = check_llama()
        if not check.works:
            raise ModelError(
                f"The installed llama.cpp cannot compute on this processor: {check.reason}. {compile_here()}"
            )
        if not check.extra_buffers and not gpu:
            warnings.warn(
                f"llama.cpp goes without its buffers for this processor, which is slower: {check.reason}. {compile_here()}",
                Vlm4RecWarning,
                stacklevel=2,
            )
        self._open = ExitStack()
        _log.clear()
        try:
            self._text_path = files.text
            self.model: Any = beside.model if beside else self._load_text(files, gpu, check.extra_buffers)
            self.vocabulary = self.llama.llama_model_get_vocab(self.model)
            context = context or min(self._trained_context(), CONTEXT_PER_PHOTO)
            self._load_context(threads, slots, context, max(PASS_TOKENS, files.settings.image_max_tokens), gpu)
            if beside and not own_projector:
                self.projector: Any = beside.projector
            else:
                self._load_projector(files, gpu, threads)
        except BaseException:
            self._open.close()
            raise

    def _load_text(self, files: LvlmFiles, gpu: bool, extra_buffers: bool) -> Any:
        parameters = self.llama.llama_model_default_params()
        parameters.use_extra_bufts = extra_buffers
        parameters.n_gpu_layers = _ALL_LAYERS if gpu else 0
        self.llama.llama_backend_init()
        model = self.llama.llama_model_load_from_file(os.fsencode(files.text), parameters)
        if not model:
            raise ModelError(f"llama.cpp cannot load {files.text}{last_native_error()}.")
        self._open.callback(self.llama.llama_model_free, model)
        return model

    def _trained_context(self) -> int:
        return int(self.llama.llama_model_n_ctx_train(self.model)) or CONTEXT_PER_PHOTO

    def _load_context(self, threads: int, slots: int, context: int, pass_tokens: int, gpu: bool) -> None:
        context = -(-context // _CONTEXT_STEP) * _CONTEXT_STEP
        parameters = self.llama.llama_context_default_params()
        parameters.n_ctx = context * slots
        parameters.n_seq_max = slots
        parameters.n_batch = BATCH_TOKENS
        parameters.n_ubatch = pass_tokens
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.kv_unified = False  # each photo attends to its own tokens only, so others' memory is never scanned
        if not gpu and context <= _SHORT_CONTEXT:
            parameters.flash_attn_type = self.llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
        parameters.no_perf = True
        self.context = self.llama.llama_init_from_model(self.model, parameters)
        if not self.context:
            raise ModelError(
                f"llama.cpp has no room for {slots} photos at once{last_native_error()}; ask for fewer with --batch."
            )
        self._open.callback(self.llama.llama_free, self.context)
        self.memory = self.llama.llama_get_memory(self.context)
        self.shape = ModelShape(
            vocabulary=int(self.llama.llama_vocab_n_tokens(self.vocabulary)),
            embedding=int(self.llama.llama_model_n_embd_inp(self.model)),
            context=context,
            slots=slots,
            kv_bytes=kv_bytes_per_token(self._text_path) * context * slots,
            pass_tokens=pass_tokens,
        )

    def _load_projector(self, files: LvlmFiles, gpu: bool, threads: int) -> None:
        parameters = self.mtmd.mtmd_context_params_default()
        parameters.use_gpu = gpu
        parameters.print_timings = False
        parameters.n_threads = threads
        parameters.warmup = False
        # Unset they are -1, which takes the model's own.
        if files.settings.image_min_tokens:
            parameters.image_min_tokens = files.settings.image_min_tokens
        if files.settings.image_max_tokens:
            parameters.image_max_tokens = files.settings.image_max_tokens
        if not gpu and _has_few_patches(files.projector):
            parameters.flash_attn_type = self.llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self.projector = self.mtmd.mtmd_init_from_file(os.fsencode(files.projector), self.model, parameters)
        if not self.projector:
            raise ModelError(
                f"llama.cpp cannot use the projector {files.projector} with {files.text.name}{last_native_error()}; "
                "do the two belong together?"
            )
        self._open.callback(self.mtmd.mtmd_free, self.projector)
        if not self.mtmd.mtmd_support_vision(self.projector):
            raise ModelError(
                f"{files.projector} has no vision encoder; give the mmproj file of a vision-language model."
            )

    def metadata(self, key: str) -> str:
        """Return one text of the GGUF metadata, or an empty text."""
        room = 1 << 16
        while True:
            buffer = ctypes.create_string_buffer(room)
            length = self.llama.llama_model_meta_val_str(self.model, key.encode(), buffer, room)
            if length < room:
                return buffer.value.decode("utf-8", "replace") if length >= 0 else ""
            room = length + 1

    def piece(self, token: int) -> str:
        """Return the text of one token, control tokens included."""
        if token < 0:
            return ""
        buffer = ctypes.create_string_buffer(256)
        length = self.llama.llama_token_to_piece(self.vocabulary, token, buffer, 256, 0, True)
        return buffer.raw[: max(length, 0)].decode("utf-8", "replace")

    def text_of(self, tokens: list[int]) -> str:
        """Return the text of an answer without control tokens."""
        if not tokens:
            return ""
        array = (self.llama.llama_token * len(tokens))(*tokens)
        room = 64 * len(tokens)
        buffer = ctypes.create_string_buffer(room)
        length = self.llama.llama_detokenize(self.vocabulary, array, len(tokens), buffer, room, True, False)
        return buffer.raw[: max(length, 0)].decode("utf-8", "ignore")

    def free_with_model(self, free: Callable[[Any], None], handle: Any) -> None:
        """Free a handle that belongs to this model when it is closed, before the model itself."""
        self._open.callback(free, handle)

    def close(self) -> None:
        """Free everything; the object cannot be used afterwards."""
        self._open.close()


def _has_few_patches(projector: Path) -> bool:
    """Whether a vision encoder looks at few patches; False where its file does not say. Keys as llama.cpp writes them."""
    metadata = read_header(projector).metadata
    side, patch = (metadata.get(f"clip.vision.{key}") for key in ("image_size", "patch_size"))
    return isinstance(side, int) and isinstance(patch, int) and patch > 0 and (side // patch) ** 2 <= _FEW_PATCHES


def context_of(files: LvlmFiles) -> int:
    """Return how many tokens photo, question and answer may take together; a photo that takes much of it is made smaller.

    Reads the header of the text model where its settings do not say.
    """
    trained = read_header(files.text).context_length or CONTEXT_PER_PHOTO
    return files.settings.context_length or min(trained, CONTEXT_PER_PHOTO)


def affordable_slots(files: LvlmFiles, *, wanted: int, kv_budget: int) -> int:
    """Return how many photos may be decoded together: ``wanted``, or fewer if their KV memory exceeds ``kv_budget`` bytes.

    Reads the file's header only.
    """
    each = kv_bytes_per_token(files.text) * files.settings.context_length
    return max(1, min(wanted, kv_budget // max(each, 1)))


def kv_bytes_per_token(text_model: Path) -> int:
    """Return the bytes that one token takes in the KV memory: keys and values in 16 bit, every layer.

    An upper bound for models with sliding windows or recurrent layers, which keep less. The names of the keys are those of
    the GGUF specification.
    """
    header = read_header(text_model)

    def number(key: str, default: int) -> int:
        value = header.metadata.get(f"{header.architecture}.{key}", default)
        return value if isinstance(value, int) else default

    layers, width = number("block_count", 0), number("embedding_length", 0)
    heads = max(number("attention.head_count", 1), 1)
    key_value_heads = number("attention.head_count_kv", heads)
    key_length = number("attention.key_length", width // heads)
    value_length = number("attention.value_length", width // heads)
    return 2 * layers * key_value_heads * (key_length + value_length)
