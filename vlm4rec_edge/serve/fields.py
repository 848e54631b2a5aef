"""The fields of a request: one definition both reads what was sent and is its JSON schema.

A kind reads a value of JSON (``read``) or the text of a query (``of_text``), and says its JSON Schema (``schema``). What it
refuses is a ``UsageError`` that names the field.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from vlm4rec_edge.errors import UsageError


class Kind(Protocol):
    """What a field may hold."""

    def read(self, value: Any, name: str) -> Any:
        """Return a value of JSON as the package takes it."""

    def of_text(self, text: str, name: str) -> Any:
        """Return what stands in a query as the package takes it."""

    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema (draft 2020-12, as OpenAPI 3.1 has it)."""


@dataclass(frozen=True)
class Text:
    """A text of Unicode, of so many characters."""

    most: int
    least: int = 0

    def read(self, value: Any, name: str) -> str:
        """Return the text."""
        if not isinstance(value, str):
            raise UsageError(f"{name} is a text, not {_shown(value)}.")
        if not self.least <= len(value) <= self.most:
            raise UsageError(f"{name} has {len(value):,} characters; it may have {self.least} to {self.most:,}.")
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise UsageError(f"{name} is not valid Unicode: it holds half of a surrogate pair.")
        return value

    of_text = read

    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        least = {"minLength": self.least} if self.least else {}
        return {"type": "string", **least, "maxLength": self.most}


@dataclass(frozen=True)
class Number:
    """A finite number in a range; ``whole`` for a whole one, ``above`` where ``least`` itself is not meant."""

    least: float
    most: float
    whole: bool = False
    above: bool = False

    def read(self, value: Any, name: str) -> float | int:
        """Return the number."""
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        is_finite = isinstance(value, int) or (is_number and math.isfinite(value))  # 400 digits fit in no float
        if not is_number or not is_finite or (self.whole and value != int(value)):
            raise UsageError(f"{name} is a {'whole ' if self.whole else ''}number, not {_shown(value)}.")
        if not self.least <= value <= self.most or (self.above and value == self.least):
            words = f"above {self.least:g}, up to" if self.above else f"from {self.least:g} to"
            raise UsageError(f"{name} is {_shown(value)}; it may be {words} {self.most:g}.")
        return int(value) if self.whole else float(value)

    def of_text(self, text: str, name: str) -> float | int:
        """Return the number that a text is."""
        try:
            return self.read(float(text), name)
        except ValueError:
            raise UsageError(f"{name} is a {'whole ' if self.whole else ''}number, not {_shown(text)}.") from None

    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        least = "exclusiveMinimum" if self.above else "minimum"
        return {"type": "integer" if self.whole else "number", least: self.least, "maximum": self.most}


@dataclass(frozen=True)
class Flag:
    """Yes or no."""

    def read(self, value: Any, name: str) -> bool:
        """Return the truth value."""
        if not isinstance(value, bool):
            raise UsageError(f"{name} is true or false, not {_shown(value)}.")
        return value

    def of_text(self, text: str, name: str) -> bool:
        """Return the truth value that a text names."""
        return self.read({"true": True, "false": False}.get(text, text), name)

    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        return {"type": "boolean"}


@dataclass(frozen=True)
class OneOf:
    """One of some words."""

    words: tuple[str, ...]

    def read(self, value: Any, name: str) -> str:
        """Return the word."""
        if value not in self.words:
            raise UsageError(f"{name} is {' or '.join(self.words)}, not {_shown(value)}.")
        return str(value)

    of_text = read

    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        return {"type": "string", "enum": list(self.words)}


@dataclass(frozen=True)
class Either:
    """What one of two kinds takes."""

    one: Kind
    other: Kind

    def read(self, value: Any, name: str) -> Any:
        """Return the value, as the first kind that takes it."""
        try:
            return self.one.read(value, name)
        except UsageError:
            return self.other.read(value, name)

    of_text = read

    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        return {"anyOf": [self.one.schema(), self.other.schema()]}


@dataclass(frozen=True)
class Many:
    """A list of one kind; in a query the field stands several times."""

    kind: Kind
    most: int

    def read(self, value: Any, name: str) -> list[Any]:
        """Return the list."""
        if not isinstance(value, list):
            raise UsageError(f"{name} is a list, not {_shown(value)}.")
        if len(value) > self.most:
            raise UsageError(f"{name} has {len(value):,} entries; it may have up to {self.most:,}.")
        return [self.kind.read(entry, f"Each entry of {name}") for entry in value]

    def of_text(self, text: str, name: str) -> Any:
        """Return one entry of the list."""
        return self.kind.of_text(text, f"Each entry of {name}")

    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        return {"type": "array", "items": self.kind.schema(), "maxItems": self.most}


@dataclass(frozen=True)
class Field:
    """A field of a request: its name, what it holds, and what for; a ``default`` of None: it may be left out."""

    name: str
    kind: Kind
    says: str
    default: Any = None
    required: bool = False

    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        default = {} if self.default is None else {"default": self.default}
        return {**self.kind.schema(), **default}


def read_query(fields: Sequence[Field], pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return what the names and values of a query mean, by field; defaults where nothing is given.

    Raises:
        UsageError: a name is unknown or is given twice, a value is none of its kind, or a required field is missing.
    """
    known = _known(fields, [name for name, _ in pairs])
    found: dict[str, Any] = {}
    for name, text in pairs:
        kind = known[name].kind
        if isinstance(kind, Many):
            entries = found.setdefault(name, [])
            entries.append(kind.of_text(text, name))
            if len(entries) > kind.most:
                raise UsageError(f"{name} is given more than {kind.most:,} times.")
        elif name in found:
            raise UsageError(f"{name} is given twice; give it once.")
        else:
            found[name] = kind.of_text(text, name)
    return _complete(fields, found)


def read_body(fields: Sequence[Field], document: Any) -> dict[str, Any]:
    """Return what a JSON object means, by field; defaults where nothing, or null, is given.

    Raises:
        UsageError: it is no object, a name is unknown, a value is none of its kind, or a required field is missing.
    """
    if not isinstance(document, dict):
        raise UsageError(f"The body is a JSON object, not {_shown(document)}.")
    given = {name: value for name, value in document.items() if value is not None}
    known = _known(fields, list(document))
    return _complete(fields, {name: known[name].kind.read(value, name) for name, value in given.items()})


def _known(fields: Sequence[Field], names: Sequence[str]) -> Mapping[str, Field]:
    known = {field.name: field for field in fields}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}."
            raise UsageError(f"There is no field {name[:60]!r} here; {meant}")
    return known


def _complete(fields: Sequence[Field], found: Mapping[str, Any]) -> dict[str, Any]:
    for field in fields:
        if field.required and field.name not in found:
            raise UsageError(f"{field.name} is missing: {field.says}")
    return {field.name: found.get(field.name, field.default) for field in fields}


def _shown(value: Any) -> str:
    return ascii(value)[:60]
