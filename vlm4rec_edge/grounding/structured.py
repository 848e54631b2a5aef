"""From a structured answer to its fields and to a sentence; an answer that was cut off is closed, never guessed on."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from vlm4rec_edge.errors import PhotoError
from vlm4rec_edge.grounding.clean import clean_text
from vlm4rec_edge.grounding.schema import Field, Schema

# Raised when reading, cleaning or flattening changes what comes of an answer, so that old captions are made again.
STRUCTURED_VERSION = 1

# The inside of a JSON string up to where it ends, is cut, or breaks off in the middle of an escape (RFC 8259, section 7).
_INSIDE = re.compile(r'(?:[^"\\]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*')
_SPACE_OR_COMMA = re.compile(r"[\s,]*")
_COLON = re.compile(r"\s*:\s*")
# Words for a pattern that is none: a sentence leaves it out, as people do.
_NO_PATTERN = {"", "solid", "plain", "none", "no pattern"}
_SENTENCE_FIELDS = ("colour", "pattern", "kind", "audience", "details")

Value = str | list[str]


def fields_of(answer: str, schema: Schema, *, cut_off: bool) -> dict[str, Value]:
    """Return the fields of an answer that a grammar held to ``schema``: valid against it, in its order, plain one-line texts.

    Of an answer that was ``cut_off`` by the token bound, what was said whole is kept: of a text its whole words, of a list its
    whole entries. A required text or list that was not reached is empty; an optional field is left out.

    Raises:
        PhotoError: it was cut off before a required field that has no empty value, a choice.
    """
    said, last = _parse(answer)
    fields: dict[str, Value] = {}
    for field in schema.fields:
        if field.name in said:
            value = _cleaned(said[field.name], field, cut=cut_off and field.name == last)
            if value is not None:
                fields[field.name] = value
                continue
        if not field.required:
            continue
        if field.choices and not field.items:
            raise PhotoError(
                f"The output ended before the field {field.name!r}, which must have one of its choices; allow more tokens, "
                "or do not require the field."
            )
        fields[field.name] = [] if field.items else ""
    return fields


def as_json(fields: Mapping[str, Value]) -> str:
    """Return fields as one line of JSON, always the same for the same fields."""
    return json.dumps(fields, ensure_ascii=False)


def flatten(fields: Mapping[str, Value]) -> str:
    """Return fields as sentences for an encoder: those of a product first as people say them, then "Name: value." of others.

    Empty if no field says anything.

    Example:
        >>> flatten({"kind": "T-shirt", "colour": "dark blue", "pattern": "striped", "audience": "men",
        ...          "details": "round neck", "use": ["summer", "sports"]})
        'Dark blue striped T-shirt for men. Round neck. Use: summer, sports.'
    """
    texts = {name: ", ".join(value) if isinstance(value, list) else value for name, value in fields.items()}
    sentences = []
    if texts.get("kind"):
        pattern = texts.get("pattern", "")
        parts = [texts.get("colour", ""), "" if pattern.lower() in _NO_PATTERN else pattern, texts["kind"]]
        parts.append(f"for {texts['audience']}" if texts.get("audience") else "")
        sentences = [" ".join(filter(None, parts)), texts.get("details", "")]
        texts = {name: text for name, text in texts.items() if name not in _SENTENCE_FIELDS}
    sentences += [f"{name.replace('_', ' ')}: {text}" for name, text in texts.items() if text]
    return " ".join(map(_sentence, filter(None, sentences)))


def _sentence(text: str) -> str:
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".!?" else f"{text}."


def _parse(answer: str) -> tuple[dict[str, Any], str]:
    """Return what an answer says, whole or cut off, and the name of the field that came last."""
    try:
        # Not strict: a grammar may let a line break stand inside a string.
        said = json.loads(answer, strict=False)
    except ValueError:
        said = _parse_beginning(answer)
    if not isinstance(said, dict):
        said = {}
    return said, next(reversed(said), "")


def _parse_beginning(answer: str) -> dict[str, Any]:
    """Parse the beginning of a flat JSON object; a string that is cut off counts as far as it goes."""
    said: dict[str, Any] = {}
    place = answer.find("{") + 1
    while (key := _string_at(answer, place)) and key[2] and (colon := _COLON.match(answer, key[1])):
        if answer[colon.end() : colon.end() + 1] == "[":
            entries, place = [], colon.end() + 1
            while (entry := _string_at(answer, place)) and entry[2]:  # half an entry is none
                entries.append(entry[0])
                place = entry[1]
            said[key[0]] = entries
            closed = re.compile(r"\s*\]").match(answer, place)
            if not closed:
                break
            place = closed.end()
        elif value := _string_at(answer, colon.end()):
            said[key[0]] = value[0]
            place = value[1]
        else:
            break
    return said


def _string_at(answer: str, place: int) -> tuple[str, int, bool] | None:
    """Return a string that begins behind space and commas: its text, where it ends, and whether it is whole."""
    skipped = _SPACE_OR_COMMA.match(answer, place)
    place = skipped.end() if skipped else place
    if answer[place : place + 1] != '"':
        return None
    inside = _INSIDE.match(answer, place + 1)
    assert inside is not None  # it matches nothing as well
    return json.loads(f'"{inside[0]}"', strict=False), inside.end() + 1, answer[inside.end() : inside.end() + 1] == '"'


def _cleaned(value: Any, field: Field, *, cut: bool) -> Value | None:
    """Return the value of a field as plain text, or None where there is none: a choice that was cut off is no choice."""
    if field.items:
        entries = [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []
        if field.choices:
            return [entry for entry in dict.fromkeys(entries) if entry in field.choices]
        return list(filter(None, dict.fromkeys(_plain(entry, field, cut=False) for entry in entries)))
    if not isinstance(value, str):
        return None
    if field.choices:
        return value if value in field.choices else None
    return _plain(value, field, cut=cut)


def _plain(text: str, field: Field, *, cut: bool) -> str:
    """Return one line of printable text; of a text that was cut off, or fills its bound, the last word is taken for half."""
    cut = cut or len(text) >= field.length
    plain = clean_text(text)
    if cut and " " in plain and not plain.endswith((".", "!", "?")):
        plain = plain.rpartition(" ")[0]
    return plain.rstrip(" ,;:-") if cut else plain
