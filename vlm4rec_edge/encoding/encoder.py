"""The text encoder: a tokenizer and one ONNX graph, from sentences to unit vectors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vlm4rec_edge.checksums import sha256_of
from vlm4rec_edge.closable import Closable
from vlm4rec_edge.cores import physical_cores
from vlm4rec_edge.errors import DeviceError, MissingDependencyError, ModelError
from vlm4rec_edge.given import each_text
from vlm4rec_edge.prefetch import prefetch
from vlm4rec_edge.provenance import fingerprint
from vlm4rec_edge.quiet import load

if TYPE_CHECKING:
    from vlm4rec_edge.grounding.llama.native import Device
    from vlm4rec_edge.models.resolve import EncoderFiles

# Raised when tokenising or pooling changes what a vector is, so that old vectors are made again.
VECTOR_VERSION = 1
# Sentences of like length in one run of the graph. On a CPU several runs go side by side, and larger ones only take longer:
# what they work on no longer fits the cache of a core.
_BATCH_CPU, _BATCH_GPU = 8, 64
# Made for every batch, where a graph asks for them.
_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids", "position_ids"})
# Texts sorted by length together: enough to fill batches evenly, small enough for flat memory over any stream.
_WINDOW_TEXTS = 1024


@dataclass(frozen=True)
class _Batch:
    """Texts of like length as tokens: their places in the window, what runs them, and, once it has, their vectors."""

    rows: Sequence[int]
    ids: Sequence[Sequence[int]]
    session: Any
    ends_window: bool
    vectors: np.ndarray | None = None


class OnnxEncoder(Closable):
    """A sentence encoder; a context manager.

    Attributes:
        identity: All that decides a vector besides the text.
        fingerprint: Its sha256 (hex); vectors of different fingerprints are never compared.
        dimensions: Length of a vector.

    Args:
        files: The checked model, from ``vlm4rec_edge.models.resolve.resolve_encoder``.
        device: ``auto`` takes CUDA where this ONNX Runtime has it; ``cuda`` insists; ``cpu``.
        threads: CPU threads; default: the physical cores that this process may use.

    Raises:
        MissingDependencyError: onnxruntime or tokenizers is not installed.
        DeviceError: CUDA was asked for and is not there.
        ModelError: the graph or the tokenizer cannot be used.
    """

    def __init__(self, files: EncoderFiles, *, device: Device = "auto", threads: int | None = None) -> None:
        self.files = files
        self._threads = threads or physical_cores()
        self._session = _open_session(files, device, self._threads)
        self._session_of_streams: Any = None
        self._on_gpu = "CUDAExecutionProvider" in self._session.get_providers()
        self._batch = _BATCH_GPU if self._on_gpu else _BATCH_CPU
        self._tokenizer = _open_tokenizer(files)
        self._inputs = {entry.name for entry in self._session.get_inputs()}
        output = _output_of(self._session, files)
        self._output = output.name
        if files.settings.pooling == "in-graph" and len(output.shape) > 2:
            raise ModelError(
                f"The graph {files.model} gives a vector for every token; to pool them it needs 1_Pooling/config.json beside "
                "it, as sentence-transformers writes it, or a manifest.json with encoder.pooling."
            )
        self.dimensions = files.settings.dimensions or _static_size(output.shape[-1], files)
        manifest = files.manifest
        self.identity: dict[str, Any] = {
            "vector_version": VECTOR_VERSION,
            "name": files.name,
            "model_sha256": manifest.files["model"].sha256 if manifest else sha256_of(Path(str(files.model))),
            "tokenizer_sha256": manifest.files["tokenizer"].sha256
            if manifest
            else sha256_of(Path(str(files.tokenizer))),
            "dimensions": self.dimensions,
            "max_tokens": files.settings.max_tokens,
            "prefix": files.settings.prefix,
            "pooling": files.settings.pooling,
        }
        if manifest and "weights" in manifest.files:
            self.identity["weights_sha256"] = manifest.files["weights"].sha256
        if files.settings.output:
            self.identity["output"] = files.settings.output
        self.fingerprint = fingerprint(self.identity)
        self.place = {"encoder": str(Path(str(files.folder if manifest else files.model)).absolute())}

    def encode(self, texts: Iterable[str]) -> np.ndarray:
        """Return the unit vectors of ``texts``, shape [len(texts), dimensions], float32, in order.

        A vector is the same in any company up to rounding: to 1e-5 with a float graph or one whose weights alone are of 8
        bits, as the embedded one's. A graph that computes in 8 bits with one scale a batch keeps a cosine of about 0.98.

        Raises:
            UsageError: ``texts`` is one text, or one of them is no text.
        """
        texts = list(each_text(texts, "Texts to encode"))
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        if 0 < len(texts) <= self._batch:
            vectors[:] = self._run(self._session, self._tokenise(texts))
            return vectors
        for row, vector in enumerate(self.encode_stream(texts)):
            vectors[row] = vector
        return vectors

    def encode_stream(self, texts: Iterable[str]) -> Iterator[np.ndarray]:
        """Yield the vector of each text, [dimensions], float32, in order, with flat memory over any iterable.

        ``texts`` is pulled and tokenised in this thread, while the graph runs in others, each on a batch of its own.

        Raises:
            UsageError: ``texts`` is one text, or one of them is no text.
        """
        texts = each_text(texts, "Texts to encode")
        runs = prefetch(self._encoded, self._batches(texts), threads=self._threads, ahead=2 * self._threads)
        finished: list[_Batch] = []
        try:
            for batch in runs:
                finished.append(batch)
                if not batch.ends_window:
                    continue
                window = np.empty((sum(len(one.rows) for one in finished), self.dimensions), dtype=np.float32)
                for one in finished:
                    window[one.rows] = one.vectors
                finished = []
                yield from window
        finally:
            runs.close()  # type: ignore[attr-defined]  # it is a generator: stop its threads now

    def _batches(self, texts: Iterable[str]) -> Iterator[_Batch]:
        """Sort windows of texts by length and cut them into batches, so that little is padded."""
        source = iter(texts)
        session = None
        while window := list(islice(source, _WINDOW_TEXTS)):
            if session is None:
                session = self._session if len(window) < _WINDOW_TEXTS else self._stream_session()
            ids = self._tokenise(window)
            by_length = sorted(range(len(ids)), key=lambda row: len(ids[row]))
            for start in range(0, len(ids), self._batch):
                rows = by_length[start : start + self._batch]
                yield _Batch(rows, [ids[row] for row in rows], session, start + self._batch >= len(ids))

    def _tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        # An argument of a program may hold bytes that are no UTF-8, which no tokenizer takes.
        readable = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        encodings = self._tokenizer.encode_batch([self.files.settings.prefix + text for text in readable])
        return [encoding.ids for encoding in encodings]

    def _encoded(self, batch: _Batch) -> _Batch:
        return replace(batch, vectors=self._run(batch.session, batch.ids))

    def _stream_session(self) -> Any:
        """Return the session of long streams. On a CPU it is one of its own, opened when it is first needed.

        Runs side by side that share the threads of one session wait for each other; with a thread a run, texts pass a third
        faster. But it takes as much memory again, which the few texts that `index` encodes at a time are not worth.
        """
        if self._on_gpu or self._threads == 1:
            return self._session
        if self._session_of_streams is None:
            self._session_of_streams = _open_session(self.files, "cpu", 1)
        return self._session_of_streams

    def _run(self, session: Any, ids: Sequence[Sequence[int]]) -> np.ndarray:
        """Run the graph on one batch; padded to its own longest text, not to the model's limit."""
        longest = max(map(len, ids))
        tokens = np.zeros((len(ids), longest), dtype=np.int64)
        mask = np.zeros_like(tokens)
        for row, own in enumerate(ids):
            tokens[row, : len(own)] = own
            mask[row, : len(own)] = 1
        feed = {"input_ids": tokens, "attention_mask": mask}
        if "token_type_ids" in self._inputs:
            feed["token_type_ids"] = np.zeros_like(tokens)
        if "position_ids" in self._inputs:
            feed["position_ids"] = np.broadcast_to(np.arange(longest), tokens.shape)
        output = session.run([self._output], feed)[0].astype(np.float32, copy=False)
        pooling = self.files.settings.pooling
        if pooling == "cls":
            output = output[:, 0]
        elif pooling == "last":
            lengths = mask.sum(axis=1)
            output = np.where(lengths[:, None] > 0, output[np.arange(len(ids)), lengths - 1], 0)
        elif pooling == "mean":
            weights = mask[:, :, None].astype(np.float32)
            output = (output * weights).sum(axis=1) / weights.sum(axis=1)
        norms = np.linalg.norm(output, axis=1, keepdims=True)
        if not np.isfinite(norms).all() or (norms == 0).any():
            raise ModelError(f"{self.files.model} made vectors that are not finite or zero; export or pull it again.")
        return np.asarray(output / norms, dtype=np.float32)

    def close(self) -> None:
        """Free the sessions."""
        self._session = self._session_of_streams = self._tokenizer = None


def _open_session(files: EncoderFiles, device: Device, threads: int) -> Any:
    try:
        onnxruntime = load("onnxruntime")
    except ImportError:
        raise MissingDependencyError(
            'Encoding text needs ONNX Runtime: pip install "vlm4rec-edge[cpu]" (or "vlm4rec-edge[gpu]" for CUDA)'
        ) from None
    has_cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device == "cuda" and not has_cuda:
        raise DeviceError(
            "This ONNX Runtime has no CUDA: pip uninstall -y onnxruntime && pip install onnxruntime-gpu, or use --device cpu."
        )
    cuda = has_cuda and device != "cpu"
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong comes back as an error; the rest is noise on a user's terminal
    options.intra_op_num_threads = threads
    # Threads spin while a run waits for them, which is fast, but not between runs, which would take cores from captioning.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    providers = (["CUDAExecutionProvider"] if cuda else []) + ["CPUExecutionProvider"]
    try:
        graph = str(files.model) if isinstance(files.model, Path) else files.model.read_bytes()
        session = onnxruntime.InferenceSession(graph, options, providers=providers)
    except Exception as error:  # onnxruntime's errors share no public base class
        raise ModelError(f"ONNX Runtime cannot load {files.model}: {_first_line(error)}") from error
    names = {entry.name for entry in session.get_inputs()}
    if not {"input_ids", "attention_mask"} <= names <= _INPUTS:
        raise ModelError(
            f"{files.model} takes {', '.join(sorted(names))}; a text encoder takes input_ids and attention_mask, and beside "
            "them token_type_ids and position_ids alone."
        )
    if device == "cuda" and "CUDAExecutionProvider" not in session.get_providers():
        raise DeviceError(
            "ONNX Runtime fell back to the CPU: CUDA or cuDNN is missing or of another version than onnxruntime-gpu "
            "needs; install it, or use --device cpu."
        )
    return session


def _output_of(session: Any, files: EncoderFiles) -> Any:
    """Return the output of a graph that a manifest names, else the first."""
    outputs, wanted = session.get_outputs(), files.settings.output
    if not wanted:
        return outputs[0]
    for output in outputs:
        if output.name == wanted:
            return output
    names = ", ".join(output.name for output in outputs)
    raise ModelError(f"{files.model} has no output {wanted}, which its manifest names (it has {names}); pull it again.")


def _open_tokenizer(files: EncoderFiles) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise MissingDependencyError('Encoding text needs tokenizers: pip install "vlm4rec-edge[cpu]"') from None
    try:
        tokenizer = Tokenizer.from_str(files.tokenizer.read_text(encoding="utf-8"))
    except Exception as error:  # the Rust side raises a bare Exception
        raise ModelError(f"{files.tokenizer} is not a usable tokenizer.json: {_first_line(error)}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=files.settings.max_tokens)
    return tokenizer


def _static_size(size: Any, files: EncoderFiles) -> int:
    if not isinstance(size, int) or size < 1:
        raise ModelError(
            f"The graph {files.model} does not state the length of its vectors; add a manifest.json with encoder.dimensions."
        )
    return size


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
