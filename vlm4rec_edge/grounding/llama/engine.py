"""Caption many photos at once: sequences of one model decoded together, a finished one's place refilled at once.

llama.cpp decodes a batch of tokens of different sequences for little more than the price of one, because the weights
are read once. The engine keeps ``slots`` sequences alive: each new photo is preprocessed, encoded and read into its own
sequence (prefill, several newcomers in the same call), then every call adds one token to each active sequence. What stands
before the photo in every question stays in the memory of a slot when its photo goes, and is not read again.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vlm4rec_edge.errors import ModelError, PhotoError
from vlm4rec_edge.grounding.llama.grammar import Grammar, GrammarState
from vlm4rec_edge.grounding.llama.native import BATCH_TOKENS, NativeModel, last_native_error
from vlm4rec_edge.grounding.llama.photo_vector import TokenMean
from vlm4rec_edge.grounding.llama.prepare import TEXT_CHUNK, PreparedPhoto
from vlm4rec_edge.grounding.llama.vision import MtmdTower, PhotoImage, Tower

# New photos are read once a quarter of the places is free. At once would be 110 small prefills for 160 photos instead of
# 34, and 15 to 20 % slower; waiting for half of the places leaves too few sequences to decode together.
_ADMIT_SHARE = 4


@dataclass(frozen=True)
class Answer:
    """What the model said of one photo.

    ``cut_off``: the token bound ended it, not the model. ``vector`` is the photo's own, where it was asked for; where nothing
    else was asked for, ``only_vector``, the model said nothing.
    """

    key: str
    text: str
    tokens: tuple[int, ...]
    cut_off: bool
    vector: np.ndarray | None = None
    only_vector: bool = False


@dataclass(frozen=True)
class Refusal:
    """A photo that could not be answered; its neighbours were."""

    key: str
    reason: str


@dataclass
class _Sequence:
    """One slot at work: the photo, the next position, and what was said so far."""

    slot: int
    photo: PreparedPhoto
    noise: np.random.Generator | None = None
    form: GrammarState | None = None
    position: int = 0
    said: list[int] = field(default_factory=list)
    complete: bool = False  # the form has nothing more to ask
    stuck: bool = False  # the model has no token that goes on with the form
    images_read: int = 0
    seen: TokenMean = field(default_factory=TokenMean)


class _Batch:
    """The arrays behind a ``llama_batch``, allocated once; rows are (token or embedding, position, sequence, output)."""

    def __init__(self, llama: Any, rows: int) -> None:
        self._llama = llama
        self.token = np.zeros(rows, np.int32)
        self.position = np.zeros(rows, np.int32)
        self.sequence = np.zeros(rows, np.int32)
        self.output = np.zeros(rows, np.int8)
        self._one = np.ones(rows, np.int32)
        # llama_batch.seq_id is an array of pointers, one a row; each points to that row's own sequence number.
        self._pointers = (self.sequence.ctypes.data + 4 * np.arange(rows, dtype=np.uint64)).astype(np.uint64)

    def native(self, rows: int, embedding: np.ndarray | None) -> Any:
        """Return a ``llama_batch`` over the first ``rows`` rows; with ``embedding`` [rows, width] instead of tokens."""

        def pointer(array: np.ndarray, kind: Any) -> Any:
            return array.ctypes.data_as(ctypes.POINTER(kind))

        llama = self._llama
        return llama.llama_batch(
            n_tokens=rows,
            token=None if embedding is not None else pointer(self.token, llama.llama_token),
            embd=None if embedding is None else pointer(embedding, ctypes.c_float),
            pos=pointer(self.position, llama.llama_pos),
            n_seq_id=pointer(self._one, ctypes.c_int32),
            seq_id=pointer(self._pointers, ctypes.POINTER(llama.llama_seq_id)),
            logits=pointer(self.output, ctypes.c_int8),
        )


class _StoppedError(Exception):
    """Ends the reading of photos in the middle."""


class Engine:
    """Continuous batching over one loaded model.

    Args:
        native: The loaded model; not owned.
        max_tokens: Bound of one answer.
        temperature: 0 takes the likeliest token; above, tokens are sampled, reproducibly for a photo and a seed, whatever
            else is in the batch.
        grammar: The form that every answer is held to, if any; an answer that is ``cut_off`` is the beginning of one.
        tower: What gives the embeddings of images; default: llama.cpp's own.
        photo_vectors: Whether answers have the photo's own vector.

    Attributes:
        stopped: Set by another thread, it ends ``answer`` before its next step, or the next part of the photos it is reading.
    """

    def __init__(
        self,
        native: NativeModel,
        *,
        max_tokens: int,
        temperature: float = 0.0,
        grammar: Grammar | None = None,
        tower: Tower | None = None,
        photo_vectors: bool = False,
    ) -> None:
        self._native = native
        self._tower = tower or MtmdTower(native)
        self._llama, self._mtmd = native.llama, native.mtmd
        self.stopped = False
        self._max_tokens = max_tokens
        self._temperature = temperature
        self._grammar = grammar
        self._photo_vectors = photo_vectors
        self._batch = _Batch(self._llama, BATCH_TOKENS)
        self._mrope = bool(self._mtmd.mtmd_decode_use_mrope(native.projector))
        # The tokens before the photo that stand in each slot's memory.
        self._kept: list[tuple[int, ...]] = [()] * native.shape.slots

    def answer(self, photos: Iterable[PreparedPhoto | None]) -> Iterator[Answer | Refusal]:
        """Yield an answer for each photo, in the order they finish; ``photos`` is pulled as places become free.

        A None among them says that no photo is ready now, which it may only do while others are at work.

        Raises:
            ModelError: llama.cpp fails on something that no single photo caused.
        """
        waiting = iter(photos)
        free = list(range(self._native.shape.slots))
        active: list[_Sequence] = []
        try:
            while not self.stopped:
                for sequence in [one for one in active if self._is_done(one)]:
                    yield self._finish(sequence)
                    self._release(sequence, active, free)
                newcomers: list[_Sequence] = []
                while self._may_admit(free, active, newcomers) and (photo := next(waiting, None)) is not None:
                    if photo.only_vector:
                        yield self._look_at(photo)
                        continue
                    newcomers.append(_Sequence(free.pop(), photo))
                    active.append(newcomers[-1])
                    self._begin(newcomers[-1])
                if newcomers:
                    yield from self._prefill(newcomers)
                    for lost in [sequence for sequence in newcomers if not sequence.said]:
                        self._release(lost, active, free)
                    continue  # a newcomer may be done with its first token, and its place free again
                if not active:
                    return
                self._step(active)
        except _StoppedError:
            return
        finally:
            for sequence in list(active):
                self._release(sequence, active, free)

    def _may_admit(self, free: list[int], active: list[_Sequence], newcomers: list[_Sequence]) -> bool:
        """Whether to read the next photo now: a few at a time, because reading four together costs little more than one."""
        enough = len(free) * _ADMIT_SHARE >= self._native.shape.slots
        return bool(free) and (enough or bool(newcomers) or not active)

    def _begin(self, sequence: _Sequence) -> None:
        """Set a sequence to its beginning, whatever it held before."""
        if sequence.form is not None:
            sequence.form.free()
        sequence.form = self._grammar.begin() if self._grammar else None
        sequence.noise = np.random.default_rng(sequence.photo.seed) if self._temperature > 0 else None
        sequence.position, sequence.images_read, sequence.said, sequence.seen = 0, 0, [], TokenMean()
        sequence.complete = sequence.stuck = False

    def _forget(self, slot: int) -> None:
        self._llama.llama_memory_seq_rm(self._native.memory, slot, -1, -1)
        self._kept[slot] = ()

    def _forget_photo(self, slot: int) -> None:
        """Empty a slot but for what stands before the photo, or wholly where the memory cannot be cut there.

        That of recurrent layers (LFM2) cannot, and that of a sliding window (Gemma 3) may have lost its beginning.
        """
        llama, memory, kept = self._llama, self._native.memory, len(self._kept[slot])
        whole = (
            kept > 0
            and llama.llama_memory_seq_rm(memory, slot, kept, -1)
            and llama.llama_memory_seq_pos_min(memory, slot) == 0
            and llama.llama_memory_seq_pos_max(memory, slot) == kept - 1
        )
        if not whole:
            self._forget(slot)

    def _ends(self, token: int) -> bool:
        return bool(self._llama.llama_vocab_is_eog(self._native.vocabulary, token))

    def _is_done(self, sequence: _Sequence) -> bool:
        said = len(sequence.said)
        # Counted in tokens: with positions of several axes (M-RoPE) a photo of 800 tokens moves the position on by 30.
        out_of_room = said >= self._max_tokens or sequence.photo.tokens + said > self._native.shape.context
        return out_of_room or sequence.complete or sequence.stuck or self._ends(sequence.said[-1])

    def _finish(self, sequence: _Sequence) -> Answer:
        said = sequence.said
        ended = self._ends(said[-1])
        tokens = said[:-1] if ended else said
        cut_off = not (ended or sequence.complete)
        vector = sequence.seen.vector() if self._photo_vectors else None
        return Answer(sequence.photo.key, self._native.text_of(tokens), tuple(tokens), cut_off, vector)

    def _look_at(self, photo: PreparedPhoto) -> Answer | Refusal:
        """Encode a photo of which only the vector is wanted; nothing of it is read by the text model."""
        seen = TokenMean()
        try:
            for place in range(len(photo.images())):
                seen.add(*self._tower.embeddings([PhotoImage(photo, place)]))
        except PhotoError as error:
            return Refusal(photo.key, str(error))
        finally:
            photo.free()
        return Answer(photo.key, "", (), False, seen.vector(), only_vector=True)

    def _release(self, sequence: _Sequence, active: list[_Sequence], free: list[int]) -> None:
        self._forget_photo(sequence.slot)
        sequence.photo.free()
        if sequence.form is not None:
            sequence.form.free()
        active.remove(sequence)
        free.append(sequence.slot)

    def _step(self, active: Sequence[_Sequence]) -> None:
        """Add one token to every active sequence."""
        count = len(active)
        batch = self._batch
        batch.token[:count] = [sequence.said[-1] for sequence in active]
        batch.position[:count] = [sequence.position for sequence in active]
        batch.sequence[:count] = [sequence.slot for sequence in active]
        batch.output[:count] = 1
        status = self._llama.llama_decode(self._native.context, batch.native(count, None))
        if status != 0:
            raise ModelError(f"llama.cpp stopped decoding (status {status}){last_native_error()}.")
        for sequence in active:
            sequence.position += 1
        self._say(active)

    def _say(self, speakers: Sequence[_Sequence]) -> None:
        """Choose the next token of each speaker from the logits of the last call, whose rows are in their order."""
        logits = np.ctypeslib.as_array(
            ctypes.cast(self._llama.llama_get_logits(self._native.context), ctypes.POINTER(ctypes.c_float)),
            shape=(len(speakers), self._native.shape.vocabulary),
        )
        if self._temperature > 0:
            # Gumbel-max draws from the softmax; each photo has its own stream, so the batch around it does not matter.
            noise = np.stack([one.noise.gumbel(size=logits.shape[1]) for one in speakers if one.noise is not None])
            logits = logits / self._temperature + noise
        for row, (sequence, likeliest) in enumerate(zip(speakers, logits.argmax(axis=1).tolist(), strict=True)):
            if sequence.form is None:
                sequence.said.append(likeliest)
            else:
                self._say_in_form(sequence, sequence.form, logits[row])

    def _say_in_form(self, sequence: _Sequence, form: GrammarState, logits: np.ndarray) -> None:
        token = form.choose(logits)
        if token is None:
            if not sequence.said:
                raise PhotoError("The model has no token that begins an output of this schema; use free captions.")
            sequence.stuck = True
            return
        sequence.said.append(token)
        form.accept(token)
        sequence.complete = form.is_complete()

    def _prefill(self, newcomers: Sequence[_Sequence]) -> Iterator[Refusal]:
        """Read photo and question into each newcomer's sequence and choose its first token.

        All together first. Should that fail, each alone, so that only a photo which itself fails is refused.
        """
        if not newcomers:
            return
        try:
            self._read(newcomers)
        except PhotoError:
            for sequence in newcomers:
                self._forget(sequence.slot)
                self._begin(sequence)
                try:
                    self._read([sequence])
                except PhotoError as error:
                    self._forget(sequence.slot)
                    sequence.said = []
                    yield Refusal(sequence.photo.key, str(error))

    def _read(self, newcomers: Sequence[_Sequence]) -> None:
        """Decode the newcomers' chunks in step: the first of each, the second of each, and so on."""
        chunks = [self._parts_to_read(sequence) for sequence in newcomers]
        for turn in range(max(map(len, chunks))):
            if self.stopped:
                raise _StoppedError
            here = [
                (one, own[turn], turn + 1 == len(own))
                for one, own in zip(newcomers, chunks, strict=True)
                if turn < len(own)
            ]
            texts = [entry for entry in here if self._mtmd.mtmd_input_chunk_get_type(entry[1]) == TEXT_CHUNK]
            images = [
                (one, chunk) for one, chunk, _ in here if self._mtmd.mtmd_input_chunk_get_type(chunk) != TEXT_CHUNK
            ]
            self._read_texts(texts)
            self._read_images(images)

    def _parts_to_read(self, sequence: _Sequence) -> list[Any]:
        """Return the chunks of a photo without the first one where the slot's memory still holds it."""
        parts = sequence.photo.parts()
        prefix = self._tokens_of(parts[0]) if len(parts) > 1 else ()
        if prefix and prefix == self._kept[sequence.slot]:
            sequence.position = len(prefix)
            return parts[1:]
        self._forget(sequence.slot)
        self._kept[sequence.slot] = prefix
        return parts

    def _tokens_of(self, chunk: Any) -> tuple[int, ...]:
        """Return the tokens of a chunk of text, none of an image."""
        if self._mtmd.mtmd_input_chunk_get_type(chunk) != TEXT_CHUNK:
            return ()
        count = ctypes.c_size_t()
        pointer = self._mtmd.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(count))
        return tuple(pointer[: count.value])

    def _read_texts(self, texts: Sequence[tuple[_Sequence, Any, bool]]) -> None:
        tokens: list[int] = []
        positions: list[int] = []
        slots: list[int] = []
        outputs: list[int] = []
        speakers: list[_Sequence] = []
        for sequence, chunk, is_last in texts:
            own = self._tokens_of(chunk)
            if not own:
                continue
            tokens += own
            positions += range(sequence.position, sequence.position + len(own))
            slots += [sequence.slot] * len(own)
            outputs += [0] * (len(own) - 1) + [int(is_last)]
            sequence.position += len(own)
            if is_last:
                speakers.append(sequence)
        for start in range(0, len(tokens), BATCH_TOKENS):
            part = slice(start, start + BATCH_TOKENS)
            rows = len(tokens[part])
            self._batch.token[:rows] = tokens[part]
            self._decode_rows(positions[part], slots[part], outputs[part], None)
            now, speakers = speakers[: sum(outputs[part])], speakers[sum(outputs[part]) :]
            if now:
                self._say(now)

    def _decode_rows(
        self, positions: Sequence[int], slots: Sequence[int], outputs: Sequence[int], embedding: np.ndarray | None
    ) -> None:
        rows = len(positions)
        self._batch.position[:rows] = positions
        self._batch.sequence[:rows] = slots
        self._batch.output[:rows] = outputs
        status = self._llama.llama_decode(self._native.context, self._batch.native(rows, embedding))
        if status != 0:
            raise PhotoError(
                f"llama.cpp could not read the photo and its prompt (status {status}){last_native_error()}."
            )

    def _read_images(self, images: Sequence[tuple[_Sequence, Any]]) -> None:
        embeddings = self._tower.embeddings([PhotoImage(one.photo, one.images_read) for one, _ in images])
        plain: list[tuple[_Sequence, np.ndarray]] = []
        for (sequence, chunk), embedding in zip(images, embeddings, strict=True):
            sequence.images_read += 1
            if self._photo_vectors:
                sequence.seen.add(embedding)
            if self._mrope or self._mtmd.mtmd_decode_use_non_causal(self._native.projector, chunk):
                self._read_image_alone(sequence, chunk, embedding)
            else:
                plain.append((sequence, embedding))
        while plain:
            # As many whole images as one call holds; a single larger one is split, which causal attention allows.
            taken = 1
            while taken < len(plain) and sum(len(rows) for _, rows in plain[: taken + 1]) <= BATCH_TOKENS:
                taken += 1
            now, plain = plain[:taken], plain[taken:]
            rows = np.concatenate([embedding for _, embedding in now])
            positions = np.concatenate([one.position + np.arange(len(own), dtype=np.int32) for one, own in now])
            slots = np.repeat([one.slot for one, _ in now], [len(own) for _, own in now])
            for start in range(0, len(rows), BATCH_TOKENS):
                part = slice(start, start + BATCH_TOKENS)
                count = len(rows[part])
                self._decode_rows(positions[part].tolist(), slots[part].tolist(), [0] * count, rows[part])
            for sequence, embedding in now:
                sequence.position += len(embedding)

    def _read_image_alone(self, sequence: _Sequence, chunk: Any, embedding: np.ndarray) -> None:
        """Leave positions of several axes (M-RoPE) and attention in both directions (Gemma 3) to llama.cpp's helper."""
        position = ctypes.c_int32()
        no_callback = self._mtmd.mtmd_helper_decode_image_chunk.argtypes[8]()
        status = self._mtmd.mtmd_helper_decode_image_chunk(
            self._native.projector,
            self._native.context,
            chunk,
            embedding.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
            sequence.position,
            sequence.slot,
            BATCH_TOKENS,
            ctypes.byref(position),
            no_callback,
            None,
        )
        if status != 0:
            raise PhotoError(f"llama.cpp could not read the photo (status {status}){last_native_error()}.")
        sequence.position = position.value
