"""Answers held to a form: llama.cpp's own grammar sampler, one state for each sequence.

A grammar looks at every token it is asked about, so it is asked about few: the likeliest first, which nearly always may
stand; then a short list of the likeliest; then all. The first that is allowed is the likeliest that is allowed.
"""

from __future__ import annotations

import ctypes
import json
import re
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from vlm4rec_edge.errors import ModelError
from vlm4rec_edge.grounding.llama.native import last_native_error, missing_bindings

if TYPE_CHECKING:
    from vlm4rec_edge.grounding.llama.native import NativeModel
    from vlm4rec_edge.grounding.schema import Schema

# llama_token_data of llama.h.
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
_SHORT_LIST = 64


def rules_of(schema: Schema) -> str:
    """Return the grammar of a schema in llama.cpp's notation (GBNF), made by llama-cpp-python's converter.

    A space may stand before the answer: where the template ends with ``Assistant:``, SentencePiece models were trained to
    begin with a token that carries one.

    Raises:
        MissingDependencyError: llama-cpp-python is not installed.
    """
    rules = _converter().json_schema_to_gbnf(json.dumps(schema.document))
    with_space, roots = re.subn(r"^root ::= ", 'root ::= " "? ', rules, flags=re.MULTILINE)
    assert roots == 1
    return with_space


@cache
def _converter() -> ModuleType:
    """Load the converter alone, which is plain Python: with its package it would bring llama.cpp into this process."""
    package = find_spec("llama_cpp")
    if package is None or package.origin is None:
        raise missing_bindings()
    spec = spec_from_file_location("llama_cpp_grammar", Path(package.origin).with_name("llama_grammar.py"))
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Grammar:
    """A compiled grammar of one loaded model; freed with the model.

    Raises:
        ModelError: llama.cpp cannot compile it for this model.
    """

    def __init__(self, native: NativeModel, rules: str) -> None:
        self._llama = native.llama
        self._compiled = self._llama.llama_sampler_init_grammar(native.vocabulary, rules.encode(), b"root")
        if not self._compiled:
            raise ModelError(f"llama.cpp cannot make this model follow the schema{last_native_error()}.")
        native.free_with_model(self._llama.llama_sampler_free, self._compiled)
        self._end = int(self._llama.llama_vocab_eos(native.vocabulary))

    def begin(self) -> GrammarState:
        """Return the state of a new answer; to be freed."""
        return GrammarState(self._llama, self._llama.llama_sampler_clone(self._compiled), self._end)


class GrammarState:
    """What may still be said in one answer. Owns native memory until ``free``."""

    def __init__(self, llama: Any, sampler: Any, end: int) -> None:
        self._llama, self._sampler, self._end = llama, sampler, end

    def choose(self, logits: np.ndarray) -> int | None:
        """Return the likeliest token that may stand next, or None if no token may.

        Args:
            logits: Shape [vocabulary], any float type; noise for sampling is added to them before.
        """
        likeliest = int(logits.argmax())
        if self._allowed(np.array([likeliest])).all():
            return likeliest
        if len(logits) > _SHORT_LIST:
            short_list = np.sort(np.argpartition(logits, -_SHORT_LIST)[-_SHORT_LIST:])
            allowed = short_list[self._allowed(short_list)]
            if len(allowed):
                return int(allowed[logits[allowed].argmax()])
        allowed = np.flatnonzero(self._allowed(np.arange(len(logits))))
        return int(allowed[logits[allowed].argmax()]) if len(allowed) else None

    def accept(self, token: int) -> None:
        """Go on with ``token``, which ``choose`` returned: any other one would end the process, in native code."""
        self._llama.llama_sampler_accept(self._sampler, token)

    def is_complete(self) -> bool:
        """Whether the answer may end here."""
        return self._end >= 0 and bool(self._allowed(np.array([self._end])).all())

    def _allowed(self, tokens: np.ndarray) -> np.ndarray:
        """Return which of some tokens may stand next, as an array of bool."""
        candidates = np.zeros(len(tokens), _CANDIDATE)
        candidates["id"] = tokens
        pointer = candidates.ctypes.data_as(ctypes.POINTER(self._llama.llama_token_data))
        array = self._llama.llama_token_data_array(data=pointer, size=len(tokens), selected=-1, sorted=False)
        self._llama.llama_sampler_apply(self._sampler, ctypes.byref(array))
        allowed: np.ndarray = np.isfinite(candidates["logit"])  # what may not stand was set to minus infinity
        return allowed

    def free(self) -> None:
        """Release the native memory; harmless when done twice."""
        if self._sampler:
            self._llama.llama_sampler_free(self._sampler)
            self._sampler = None
