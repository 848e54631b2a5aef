"""Structured captions are valid JSON of their schema, always: whatever the model would rather say, and wherever it is stopped.

The embedded model was never asked for JSON, and a temperature of 10,000 makes of any model one that says anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from pictures import drawn, encoded, photo_of, requests_for

from vlm4rec_edge import LlamaCaptioner, resolve_lvlm
from vlm4rec_edge.errors import ModelError, PhotoError
from vlm4rec_edge.grounding.llama import captioner as captioner_module
from vlm4rec_edge.grounding.llama.engine import Engine
from vlm4rec_edge.grounding.llama.grammar import Grammar, GrammarState, rules_of
from vlm4rec_edge.grounding.llama.native import NativeModel
from vlm4rec_edge.grounding.protocol import Captioned, CaptionRequest, caption_key
from vlm4rec_edge.grounding.schema import PRODUCT_SCHEMA, Schema, parse_schema
from vlm4rec_edge.items import Failure, Item

ANYTHING = 10_000.0
PRODUCT = parse_schema(PRODUCT_SCHEMA)
MIXED = parse_schema(
    {
        "type": "object",
        "properties": {
            "type": {
                "type": "string",
                "maxLength": 12,
            },  # the names of these fields are words of the notations themselves
            "root": {"type": "string", "enum": ["été", "winter wear", "win"]},
            "space": {"type": "array", "maxItems": 3, "items": {"type": "string", "maxLength": 8}},
            "value": {"type": "array", "maxItems": 2, "items": {"type": "string", "enum": ["a", "b, c", "d]"]}},
            "char": {"type": "string", "maxLength": 1},
        },
        "required": ["type", "root", "space"],
    }
)


@pytest.fixture(scope="module")
def requests() -> list[CaptionRequest]:
    """Requests for eight drawings."""
    colours, kinds = ("black", "white", "red", "yellow"), ("t-shirt", "dress")
    return requests_for({f"{colour} {kind}": drawn(kind, colour) for colour in colours for kind in kinds})


def _answers(requests: list[CaptionRequest], schema: Schema, **settings: Any) -> dict[str, Captioned | Failure]:
    with LlamaCaptioner(resolve_lvlm(), structured=schema, threads=1, **settings) as captioner:
        results = list(captioner.caption(requests))
    found = {result.where if isinstance(result, Failure) else result.key: result for result in results}
    assert len(found) == len(results) == len(requests)
    validator = Draft202012Validator(schema.document)
    for result in results:
        if isinstance(result, Captioned):
            assert result.fields is not None
            fields = json.loads(result.fields)
            validator.validate(fields)
            assert [field.name for field in schema.fields if field.name in fields] == list(fields)
            assert result.text
            assert result.text.isprintable()
            assert result.fields.isprintable()
    return found


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """What the model said, as it said it, and whether it was cut off."""
    answers: list[tuple[str, bool]] = []
    original = captioner_module.fields_of

    def listen(answer: str, schema: Schema, *, cut_off: bool) -> Any:
        answers.append((answer, cut_off))
        return original(answer, schema, cut_off=cut_off)

    monkeypatch.setattr(captioner_module, "fields_of", listen)
    return answers


@pytest.mark.parametrize("schema", [PRODUCT, MIXED], ids=["product", "mixed"])
def test_every_answer_is_valid_and_the_same_whatever_the_batch_and_the_order(
    requests: list[CaptionRequest], schema: Schema, said: list[tuple[str, bool]]
) -> None:
    alone = _answers(requests, schema, batch=1)
    assert all(isinstance(result, Captioned) for result in alone.values())
    assert _answers(requests, schema, batch=4) == alone
    assert _answers(requests[::-1], schema, batch=8) == alone
    validator = Draft202012Validator(schema.document)
    for answer, cut_off in said:
        validator.validate(json.loads(answer, strict=False))  # as the model said it, before anything of ours
        assert not cut_off


@pytest.mark.parametrize("schema", [PRODUCT, MIXED], ids=["product", "mixed"])
@pytest.mark.parametrize("batch", [1, 4, 8])
def test_a_model_that_says_anything_says_it_in_the_form(
    requests: list[CaptionRequest], schema: Schema, batch: int, said: list[tuple[str, bool]]
) -> None:
    found = _answers(requests, schema, batch=batch, temperature=ANYTHING, seed=batch)
    assert len({answer for answer, _ in said}) == len(requests)
    assert sum(isinstance(result, Captioned) for result in found.values()) > len(requests) // 2
    for answer, cut_off in said:
        assert cut_off or isinstance(json.loads(answer, strict=False), dict)


def test_drawn_answers_are_the_same_for_a_seed_whatever_the_batch(requests: list[CaptionRequest]) -> None:
    first = _answers(requests[:6], PRODUCT, batch=4, temperature=1.0, seed=1)
    assert _answers(requests[5::-1], PRODUCT, batch=1, temperature=1.0, seed=1) == first
    assert _answers(requests[:6], PRODUCT, batch=4, temperature=1.0, seed=2) != first


@pytest.mark.parametrize("max_tokens", [1, 2, 3, 5, 8, 13, 21, 34])
def test_an_answer_that_hits_the_bound_is_closed_or_refused_with_a_sentence(
    requests: list[CaptionRequest], max_tokens: int, said: list[tuple[str, bool]]
) -> None:
    for schema in (PRODUCT, MIXED):
        for result in _answers(requests[:6], schema, batch=4, max_tokens=max_tokens).values():
            if isinstance(result, Failure):
                assert (
                    "returned an empty caption for this photo" in result.reason or "allow more tokens" in result.reason
                )
    assert any(cut_off for _, cut_off in said)
    for schema in (PRODUCT, MIXED):
        _answers(requests[:6], schema, batch=4, max_tokens=max_tokens, temperature=ANYTHING)


def test_a_bad_photo_harms_no_structured_neighbour(requests: list[CaptionRequest]) -> None:
    whole = _answers(requests, PRODUCT, batch=4)
    bad = requests_for({"text": b"no picture", "none": b""})
    found = _answers([bad[0], *requests[:5], bad[1], *requests[5:]], PRODUCT, batch=4)
    assert {found.pop("text").stage, found.pop("none").stage} == {"photo"}  # type: ignore[union-attr]
    assert found == whole


def test_a_batch_that_is_read_again_says_the_same(
    requests: list[CaptionRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {drawing: _answers(requests[:4], PRODUCT, batch=4, temperature=drawing) for drawing in (0.0, 1.0)}
    read = Engine._read

    def read_and_lose(engine: Engine, newcomers: Any) -> None:
        read(engine, newcomers)
        if len(newcomers) > 1:
            raise PhotoError("Lost, after every first token was said.")

    monkeypatch.setattr(Engine, "_read", read_and_lose)
    for drawing, expected in whole.items():
        assert _answers(requests[:4], PRODUCT, batch=4, temperature=drawing) == expected


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_model_without_a_token_to_go_on_with_is_told_or_cut_off_there(
    requests: list[CaptionRequest], monkeypatch: pytest.MonkeyPatch, steps: int, said: list[tuple[str, bool]]
) -> None:
    choose, taken = GrammarState.choose, [0]

    def run_dry(state: GrammarState, logits: np.ndarray) -> int | None:
        taken[0] += 1
        return choose(state, logits) if taken[0] <= steps else None

    monkeypatch.setattr(GrammarState, "choose", run_dry)
    (result,) = _answers(requests[:1], PRODUCT, batch=1).values()
    if steps == 0:
        assert isinstance(result, Failure)
        assert "no token that begins an output" in result.reason
    else:
        ((answer, cut_off),) = said
        assert cut_off
        assert len(answer) < len(json.dumps({"kind": ""}))


@pytest.fixture(scope="module")
def native() -> Iterator[NativeModel]:
    with NativeModel(resolve_lvlm(), device="cpu", threads=1, slots=1, context=256) as loaded:
        yield loaded


def test_the_token_chosen_is_the_likeliest_of_all_that_are_allowed(native: NativeModel) -> None:
    chance = np.random.default_rng(3)
    vocabulary = native.shape.vocabulary
    state = Grammar(native, rules_of(MIXED)).begin()
    steps = narrow = 0
    while not state.is_complete() and steps < 300:
        logits = chance.normal(size=vocabulary).astype(np.float32)
        allowed = np.flatnonzero(state._allowed(np.arange(vocabulary)))
        token = state.choose(logits)
        assert token == allowed[logits[allowed].argmax()]
        narrow += len(allowed) < 10
        state.accept(token)
        steps += 1
    state.free()
    assert steps > 20
    assert narrow > 5


def test_a_state_freed_twice_is_freed_once(native: NativeModel) -> None:
    state = Grammar(native, rules_of(PRODUCT)).begin()
    state.free()
    state.free()


def test_rules_that_are_none_are_a_sentence(native: NativeModel) -> None:
    with pytest.raises(ModelError, match="cannot make this model follow the schema"):
        Grammar(native, "root ::= nowhere")


def test_a_structured_caption_is_never_taken_for_a_free_one_nor_for_one_of_another_schema() -> None:
    files, photo = resolve_lvlm(), photo_of(encoded(drawn("dress", "red")))
    makers = [
        LlamaCaptioner(files, prompt="Q", max_tokens=9, structured=form) for form in (False, True, PRODUCT, MIXED)
    ]
    free, by_default, product, mixed = (caption_key(photo, maker.fingerprint, "Q") for maker in makers)
    assert by_default == product
    assert len({free, product, mixed}) == 3
    assert "structured" not in makers[0].identity
    assert makers[3].identity["structured"]["schema"] == MIXED.document


def test_the_question_and_the_form_are_the_models_own_unless_the_user_has_others() -> None:
    files, item = resolve_lvlm(), Item("1", Path("a.jpg"))
    own = {"type": "object", "properties": {"kind": {"type": "string"}}, "required": ["kind"]}
    trained = replace(files, settings=replace(files.settings, structured_prompt="As JSON.", schema=own))
    assert LlamaCaptioner(trained, structured=True).question(item) == "As JSON."
    assert LlamaCaptioner(trained, structured=True).schema == parse_schema(own)
    assert LlamaCaptioner(trained).question(item) == files.settings.prompt
    assert LlamaCaptioner(trained, structured=True, prompt="Mine.").question(item) == "Mine."
    assert LlamaCaptioner(trained, structured=MIXED).question(item) == MIXED.question
    for_products = replace(files, settings=replace(files.settings, structured_prompt="As JSON."))
    assert LlamaCaptioner(for_products, structured=True).question(item) == "As JSON."
    assert LlamaCaptioner(for_products, structured=True).schema == PRODUCT
    untrained = replace(files, settings=replace(files.settings, structured_prompt=""))
    assert LlamaCaptioner(untrained, structured=True).question(item) == PRODUCT.question
    damaged = replace(files, settings=replace(files.settings, schema={"type": "number"}))
    with pytest.raises(ModelError, match="schema in the manifest of stylist-lvlm does not describe an object"):
        LlamaCaptioner(damaged, structured=True)
