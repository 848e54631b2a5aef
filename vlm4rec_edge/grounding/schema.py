"""The form of a structured caption, a flat JSON schema of texts, choices and short lists, and the question for it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.given import path_of

# What a product photo shows, in the order a person says it; ``details`` takes what has no field of its own.
PRODUCT_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "kind": {
            "type": "string",
            "maxLength": 40,
            "description": "what it is, such as T-shirt, ankle boots or handbag",
        },
        "colour": {"type": "string", "maxLength": 40, "description": "its main colour, such as dark blue"},
        "pattern": {"type": "string", "maxLength": 40, "description": "such as solid, striped or floral"},
        "audience": {
            "type": "string",
            "maxLength": 40,
            "description": "whom it is for, such as women, men or children",
        },
        "details": {
            "type": "string",
            "maxLength": 240,
            "description": "what can be seen of cut, material, style and use, in one sentence",
        },
    },
    "required": ["kind", "colour", "pattern", "audience", "details"],
    "additionalProperties": False,
}

# An answer is bounded by its form, so every part of the form is bounded. Where a schema gives no bound, these hold.
_LENGTH, _LONGEST = 100, 400
_ITEMS, _MOST_ITEMS = 6, 16
_MOST_FIELDS, _MOST_CHOICES = 24, 64
# A name becomes an attribute, which filters and prompts write as it is.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_LARGEST_FILE = 1 << 16
_NOTES = {"title", "description", "$schema", "$id"}  # say something to people and decide nothing


@dataclass(frozen=True)
class Field:
    """One field: a text of at most ``length`` characters, one of ``choices``, or at most ``items`` of these in a list.

    ``items`` is 0 for a field that is no list; ``choices`` is empty where any text may stand.
    """

    name: str
    required: bool
    length: int
    choices: tuple[str, ...]
    items: int
    description: str

    @property
    def longest(self) -> int:
        """Characters of the longest value, with its marks and its name."""
        value = max(map(len, self.choices), default=self.length) + len('"", ')
        return (value * self.items + len("[]") if self.items else value) + len(self.name) + len('"": ')


@dataclass(frozen=True)
class Schema:
    """A form that answers are held to; made by ``parse_schema`` or ``read_schema``. Required fields come first."""

    fields: tuple[Field, ...]

    @property
    def longest(self) -> int:
        """Characters of the longest answer; letters that JSON writes as an escape count once."""
        return sum(field.longest for field in self.fields) + len("{}")

    @property
    def question(self) -> str:
        """The question that asks any model for this form, as a prompt template (braces doubled)."""
        parts = []
        for field in self.fields:
            hint = field.description or (f"one of {', '.join(field.choices)}" if field.choices else "")
            kind = "a list: " if field.items and hint else "a list" if field.items else ""
            parts.append(f"{field.name} ({kind}{hint})" if kind or hint else field.name)
        text = f"Describe this product as one JSON object with these fields: {'; '.join(parts)}."
        return text.replace("{", "{{").replace("}", "}}")

    @property
    def document(self) -> dict[str, Any]:
        """This form as a JSON schema, always written in the same way; without descriptions."""
        properties = {}
        for field in self.fields:
            value: dict[str, Any] = {"type": "string"}
            value |= {"enum": list(field.choices)} if field.choices else {"maxLength": field.length}
            properties[field.name] = (
                {"type": "array", "items": value, "maxItems": field.items} if field.items else value
            )
        return {
            "type": "object",
            "properties": properties,
            "required": [field.name for field in self.fields if field.required],
            "additionalProperties": False,
        }


def read_schema(path: Path | str) -> Schema:
    """Read a JSON schema from a file.

    Raises:
        UsageError: the file cannot be read, is no JSON, or asks for more than ``parse_schema`` takes.
    """
    path = path_of(path, "A schema")
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            raise UsageError(f"The schema {path} is larger than {_LARGEST_FILE:,} bytes; ask for less.")
        document = json.loads(content.decode("utf-8"))
    except OSError as error:
        raise UsageError(f"The schema {path} cannot be read ({error.strerror or error}).") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"The schema {path} is not JSON ({error}).") from None
    return parse_schema(document, f"The schema {path}")


def parse_schema(document: Any, what: str = "The schema") -> Schema:
    """Return the form that a JSON schema (https://json-schema.org) describes.

    Taken is what a photo can answer in one breath: one object of ``string`` fields (``maxLength``; or ``enum``) and of
    ``array`` fields of such strings (``maxItems``). Fields named in ``required`` are always there, and come first.

    Args:
        document: The parsed JSON.
        what: What the messages call it.

    Raises:
        UsageError: it asks for anything else; the message names the field and the word.
    """
    if not isinstance(document, dict) or document.get("type") != "object":
        raise UsageError(f'{what} does not describe an object; begin with "type": "object" and "properties".')
    _refuse_other_words(document, {"type", "properties", "required", "additionalProperties"}, what)
    properties, required = document.get("properties"), document.get("required", [])
    if not isinstance(properties, dict) or not 1 <= len(properties) <= _MOST_FIELDS:
        raise UsageError(f'{what} needs "properties" with 1 to {_MOST_FIELDS} fields.')
    if not isinstance(required, list) or any(not isinstance(name, str) or name not in properties for name in required):
        raise UsageError(f'{what}: "required" is a list of names that stand in "properties".')
    if document.get("additionalProperties", False) is not False:
        raise UsageError(f'{what}: "additionalProperties" can only be false; name every field.')
    fields = [_field(name, value, name in required, f"{what}, field {name!r}") for name, value in properties.items()]
    return Schema(tuple(sorted(fields, key=lambda field: not field.required)))


def _field(name: str, value: Any, required: bool, what: str) -> Field:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{what}: a name is lower-case letters, digits and _, at most 40, a letter first.")
    if not isinstance(value, dict) or value.get("type") not in ("string", "array"):
        raise UsageError(f'{what}: "type" is "string", or "array" of strings; no other type is supported.')
    description = value.get("description", "")
    if not isinstance(description, str):
        raise UsageError(f'{what}: "description" is a text.')
    description = " ".join(description.split())
    if value["type"] == "string":
        length, choices = _text(value, what)
        return Field(name, required, length, choices, 0, description)
    _refuse_other_words(value, {"type", "items", "maxItems"}, what)
    inner = value.get("items", {"type": "string"})
    if not isinstance(inner, dict) or inner.get("type") != "string":
        raise UsageError(f'{what}: "items" is {{"type": "string"}}; a list holds texts and nothing else.')
    length, choices = _text(inner, what)
    return Field(name, required, length, choices, _number(value, "maxItems", _ITEMS, _MOST_ITEMS, what), description)


def _text(value: Mapping[str, Any], what: str) -> tuple[int, tuple[str, ...]]:
    _refuse_other_words(value, {"type", "maxLength", "enum"}, what)
    length = _number(value, "maxLength", _LENGTH, _LONGEST, what)
    choices = value.get("enum", [])
    if "enum" in value and not (isinstance(choices, list) and 1 <= len(choices) <= _MOST_CHOICES):
        raise UsageError(f'{what}: "enum" is a list of 1 to {_MOST_CHOICES} texts.')
    for choice in choices:
        if not isinstance(choice, str) or not 1 <= len(choice) <= length or not _is_plain(choice):
            raise UsageError(
                f"{what}: {choice!r} cannot be a choice; a choice is a text of 1 to {length} letters, without quotation "
                "marks, backslashes, line breaks, emoji, or space at its ends."
            )
    return length, tuple(dict.fromkeys(choices))


def _is_plain(text: str) -> bool:
    """Whether the grammar can spell it: its converter leaves a backslash and what JSON writes as two escapes as they are."""
    return text.isprintable() and text == text.strip() and not set('"\\') & set(text) and max(text) <= "\uffff"


def _number(value: Mapping[str, Any], word: str, default: int, most: int, what: str) -> int:
    number = value.get(word, default)
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= most:
        raise UsageError(f'{what}: "{word}" is a whole number from 1 to {most}.')
    return number


def _refuse_other_words(value: Mapping[str, Any], known: set[str], what: str) -> None:
    for word in value:
        if word not in known and word not in _NOTES:
            raise UsageError(f'{what}: "{word}" is not supported; supported are {", ".join(sorted(known))}.')
