"""The families of the registry, tiny and with random weights: exported, then captioned together as one at a time.

The reference is llama.cpp's own: one photo at a time in a context of its own, read by ``mtmd_helper_eval_chunks``.
"""

from __future__ import annotations

import ctypes
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import tiny_families
from jsonschema import validate
from pictures import answers, encoded, requests_for
from PIL import Image
from tiny_checkpoints import need_export_extra, run_script

from vlm4rec_edge import LlamaCaptioner, resolve_lvlm
from vlm4rec_edge.errors import ModelError, PhotoError
from vlm4rec_edge.grounding.llama import native as native_module
from vlm4rec_edge.grounding.llama.engine import Answer, Engine
from vlm4rec_edge.grounding.llama.grammar import Grammar, rules_of
from vlm4rec_edge.grounding.llama.native import NativeModel, load_bindings
from vlm4rec_edge.grounding.llama.prepare import PHOTO_SHARE, prepare
from vlm4rec_edge.grounding.protocol import CaptionRequest
from vlm4rec_edge.grounding.schema import parse_schema
from vlm4rec_edge.grounding.structured import fields_of
from vlm4rec_edge.models.resolve import LvlmFiles

FAMILIES = {
    "smolvlm with tiles": tiny_families.make_tiles,
    "qwen2.5-vl": tiny_families.make_qwen2_5_vl,
    "qwen3-vl": tiny_families.make_qwen3_vl,
    "gemma3": tiny_families.make_gemma3,
    "lfm2-vl": tiny_families.make_lfm2_vl,
}
OWN_RESOLUTION = ("qwen2.5-vl", "qwen3-vl", "lfm2-vl")
# Pixels, width and height: small and large, square, wide and tall, so that no two photos need agree in their tokens.
SIZES = [(40, 60), (96, 48), (200, 150), (64, 64), (33, 90), (300, 280), (120, 120), (60, 40), (500, 90), (90, 500)]
QUESTION = "describe this"
MAX_TOKENS = 24
# Two tokens this close (in standard deviations of the logits) are a tie that rounding decides: keys, values and activations
# are kept in 16 bit, and logits of a batch were seen to differ from those of one photo by 0.012 at most.
TIE = 0.03


@dataclass(frozen=True)
class Said:
    """A reference answer, and how far the likeliest token was ahead of the next at each step."""

    tokens: tuple[int, ...]
    margins: tuple[float, ...]

    def until_a_tie(self, tokens: tuple[int, ...]) -> tuple[int, ...]:
        """The tokens up to the first near tie, behind which either way is right."""
        ties = [step for step, margin in enumerate(self.margins) if margin < TIE]
        return tokens[: min(ties, default=None)]


@dataclass(frozen=True)
class Family:
    name: str
    files: LvlmFiles
    photos: dict[str, np.ndarray]
    reference: dict[str, Said]


def photo(width: int, height: int, seed: int) -> np.ndarray:
    """A picture of twenty fields, each of another colour."""
    fields = np.random.default_rng(seed).integers(0, 256, (5, 4, 3), np.uint8)
    return np.asarray(Image.fromarray(fields).resize((width, height), Image.Resampling.NEAREST))


def loaded(files: LvlmFiles, slots: int, context: int = 0) -> NativeModel:
    return NativeModel(files, device="cpu", threads=1, slots=slots, context=context or files.settings.context_length)


def question(native: NativeModel, files: LvlmFiles, text: str = QUESTION) -> str:
    form = LlamaCaptioner(files)._chat_form(native)
    return form.render(text, native.mtmd.mtmd_default_marker().decode())


def reference_answer(native: NativeModel, pixels: np.ndarray, text: str) -> Said:
    """What llama.cpp says when its own helper reads text and image and one token is added at a time."""
    llama, mtmd = native.llama, native.mtmd
    llama.llama_memory_clear(native.memory, True)
    prepared = prepare(native, "", pixels, text)
    position = ctypes.c_int32()
    try:
        status = mtmd.mtmd_helper_eval_chunks(
            native.projector, native.context, prepared.chunks, 0, 0, 512, True, ctypes.byref(position)
        )
    finally:
        prepared.free()
    assert status == 0
    batch = llama.llama_batch_init(1, 0, 1)
    batch.n_tokens, batch.n_seq_id[0], batch.seq_id[0][0], batch.logits[0] = 1, 1, 0, 1
    tokens: list[int] = []
    margins: list[float] = []
    while len(tokens) < MAX_TOKENS:
        row = llama.llama_get_logits_ith(native.context, -1)
        logits = np.ctypeslib.as_array(row, shape=(native.shape.vocabulary,))
        second, first = np.sort(logits)[-2:]
        margins.append(float((first - second) / logits.std()))
        token = int(logits.argmax())
        if llama.llama_vocab_is_eog(native.vocabulary, token):
            break
        tokens.append(token)
        batch.token[0], batch.pos[0] = token, position.value + len(tokens) - 1
        assert llama.llama_decode(native.context, batch) == 0
    llama.llama_batch_free(batch)
    return Said(tuple(tokens), tuple(margins))


def engine_answers(
    native: NativeModel, photos: dict[str, np.ndarray], text: str, max_tokens: int = MAX_TOKENS
) -> dict[str, Answer]:
    said: dict[str, Answer] = {}
    engine = Engine(native, max_tokens=max_tokens)
    for answer in engine.answer(prepare(native, key, pixels, text) for key, pixels in photos.items()):
        assert isinstance(answer, Answer)
        assert answer.key not in said
        said[answer.key] = answer
    return said


def export(folder: Path, make: Callable[[Path], Path]) -> LvlmFiles:
    types = ["--text-type", "F16", "--projector-type", "F16"]
    arguments = [make(folder / "source"), "--out", folder / "out", "--max-tokens", str(MAX_TOKENS), *types]
    if make is tiny_families.make_lfm2_vl:
        done = tiny_families.run_with_any_vocabulary(folder / "converter", *arguments)
    else:
        done = run_script("lvlm_to_gguf.py", *arguments)
    assert done.returncode == 0, done.stderr
    return resolve_lvlm(folder / "out")


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Family:
    """A family exported by the script, ten photos, and the reference answers."""
    need_export_extra()
    files = export(tmp_path_factory.mktemp("family"), FAMILIES[request.param])
    photos = {f"{width} x {height}": photo(width, height, seed) for seed, (width, height) in enumerate(SIZES)}
    with loaded(files, 1) as native:
        text = question(native, files)
        reference = {key: reference_answer(native, pixels, text) for key, pixels in photos.items()}
    return Family(request.param, files, photos, reference)


def only(family: Family, *names: str) -> None:
    if family.name not in names:
        pytest.skip(f"not of {family.name}")


def test_the_reference_depends_on_the_photo_and_ends_at_different_lengths(family: Family) -> None:
    said = {answer.tokens for answer in family.reference.values()}
    assert len(said) > len(SIZES) // 2
    assert len({len(tokens) for tokens in said}) > 1
    # The tests compare an answer up to its first near tie between two words; were that soon, they would compare little.
    compared = sum(len(answer.until_a_tie(answer.tokens)) for answer in family.reference.values())
    assert compared > 0.3 * sum(len(answer.tokens) for answer in family.reference.values())


@pytest.mark.parametrize("slots", [1, 4, 8])
@pytest.mark.parametrize("order", [1, -1])
def test_photos_of_all_sizes_together_get_llama_cpps_own_tokens_in_any_order(
    family: Family, slots: int, order: int
) -> None:
    photos = dict(list(family.photos.items())[::order])
    with loaded(family.files, slots) as native:
        said = engine_answers(native, photos, question(native, family.files))
    for key, reference in family.reference.items():
        assert reference.until_a_tie(said[key].tokens) == reference.until_a_tie(reference.tokens), key


def test_the_captioner_refuses_a_question_beyond_the_context_alone(family: Family) -> None:
    files, photos = family.files, family.photos
    requests = requests_for({key: encoded(Image.fromarray(pixels)) for key, pixels in photos.items()}, QUESTION)
    long = CaptionRequest("long", requests[0].photo, "describe this product " * 1000)
    with LlamaCaptioner(files, batch=4, threads=1, device="cpu") as captioner:
        found, failures = answers(captioner, [*requests[:5], long, *requests[5:]])
        assert captioner.batch == 4
    assert failures.pop("long").reason.startswith("The photo and its prompt take")
    assert found.keys() | failures.keys() == photos.keys()
    assert len(found) > len(photos) // 2  # what random weights say may be nothing
    for failure in failures.values():
        assert "returned an empty caption for this photo" in failure.reason


@pytest.mark.parametrize("slots", [1, 4, 8])
def test_an_answer_of_random_weights_held_to_a_schema_is_valid_whatever_the_batch(family: Family, slots: int) -> None:
    form = parse_schema(
        {
            "type": "object",
            "properties": {
                "kind": {"type": "string", "maxLength": 20},
                "season": {"type": "string", "enum": ["summer", "all year"]},
                "uses": {"type": "array", "maxItems": 2, "items": {"type": "string", "maxLength": 10}},
            },
            "required": ["kind", "season"],
        }
    )
    with loaded(family.files, slots) as native:
        grammar, text = Grammar(native, rules_of(form)), question(native, family.files)
        for temperature in (0.0, 10_000.0):
            bound = 4 * form.longest  # a letter of four bytes may be four tokens
            engine = Engine(native, max_tokens=bound, temperature=temperature, grammar=grammar)
            photos = (
                prepare(native, key, pixels, text, seed=seed)
                for seed, (key, pixels) in enumerate(family.photos.items())
            )
            answers_in_form = list(engine.answer(photos))
            assert len(answers_in_form) == len(family.photos)
            for answer in answers_in_form:
                assert isinstance(answer, Answer)
                assert not answer.cut_off
                validate(json.loads(answer.text, strict=False), form.document)
                validate(fields_of(answer.text, form, cut_off=False), form.document)


@contextmanager
def llama_cpp_log() -> Iterator[list[str]]:
    """Everything that llama.cpp says meanwhile; afterwards it talks to the package again."""
    llama, lines = load_bindings(), []
    listen = llama.llama_log_callback(lambda _level, text, _data: lines.append(text.decode("utf-8", "replace")))
    llama.llama_log_set(listen, ctypes.c_void_p(0))
    try:
        yield lines
    finally:
        llama.llama_log_set(native_module._log_callbacks[0], ctypes.c_void_p(0))


def test_the_kv_memory_is_what_was_told_or_less(family: Family) -> None:
    slots, context = 8, 1024
    with llama_cpp_log() as lines, loaded(family.files, slots, context) as native:
        told = native.shape.kv_bytes
    held = 2**20 * sum(float(size) for size in re.findall(r"size = +([\d.]+) MiB \( *\d+ cells", "".join(lines)))
    # An upper bound only for LFM2, whose header tells the heads layer by layer, and none for its convolutions.
    assert (0.2 if family.name == "lfm2-vl" else 0.99) * told < held < 1.01 * told


@pytest.mark.parametrize("size", [(1400, 1000), (2048, 300), (700, 2000)])
def test_a_large_photo_is_made_smaller_where_it_would_fill_the_context(family: Family, size: tuple[int, int]) -> None:
    only(family, *OWN_RESOLUTION)
    room = PHOTO_SHARE * family.files.settings.context_length
    with loaded(family.files, 4) as native:
        text = question(native, family.files)
        prepared = prepare(native, "", photo(*size, seed=1), text)
        tokens = prepared.tokens
        prepared.free()
        assert tokens < room + 50  # the question's
        if family.name != "lfm2-vl":  # its next smaller grid of tiles is much smaller
            assert tokens > 0.75 * room
        photos = {"large": photo(*size, seed=1), **family.photos}
        said = engine_answers(native, photos, text)
    assert said["large"].tokens
    for key, reference in family.reference.items():
        assert reference.until_a_tie(said[key].tokens) == reference.until_a_tie(reference.tokens), key


def test_a_photo_takes_as_many_tokens_as_the_settings_allow_and_demand(family: Family) -> None:
    only(family, "qwen2.5-vl", "qwen3-vl")

    def taken(pixels: np.ndarray, **bounds: int) -> int:
        files = replace(family.files, settings=replace(family.files.settings, **bounds))
        with loaded(files, 1) as native:
            prepared = prepare(native, "", pixels, question(native, files))
            tokens = sum(prepared.image_tokens())
            prepared.free()
        return tokens

    large, small = photo(400, 380, seed=3), photo(64, 64, seed=4)
    free = taken(large)
    assert taken(large, image_max_tokens=free // 4) <= free // 4
    assert taken(small) < 32 <= taken(small, image_min_tokens=32)


def test_an_answer_ends_where_the_context_does_and_harms_no_neighbour(family: Family) -> None:
    only(family, "qwen2.5-vl", "qwen3-vl")
    photos = {"large": photo(400, 380, seed=3), "small": family.photos["40 x 60"]}
    with loaded(family.files, 2, 256) as native:
        text = question(native, family.files)
        taken = {}
        for key, pixels in photos.items():
            prepared = prepare(native, key, pixels, text)
            taken[key] = prepared.tokens
            prepared.free()
        said = engine_answers(native, photos, text, max_tokens=400)
    assert taken["large"] > 150
    for key, answer in said.items():
        assert len(answer.tokens) <= 256 - taken[key] + 1
        assert answer.cut_off == (len(answer.tokens) == 256 - taken[key] + 1)
    assert said["large"].cut_off


def test_an_image_that_one_pass_cannot_hold_is_refused_and_does_not_end_the_process(
    family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(family, "gemma3")
    with loaded(family.files, 1) as native, pytest.raises(PhotoError, match="more than the 15 tokens"):
        native.shape = replace(native.shape, pass_tokens=15)  # of 512; the image has 16
        prepare(native, "", family.photos["64 x 64"], question(native, family.files))


def test_a_projector_of_another_model_is_refused_with_llama_cpps_own_reason(family: Family) -> None:
    files = replace(family.files, projector=resolve_lvlm().projector)
    with pytest.raises(ModelError, match=r"cannot use the projector .* \(llama.cpp says: .*mismatch"):
        loaded(files, 1)
