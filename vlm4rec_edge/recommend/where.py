"""The filter language: its grammar, and its parser from text to a tree. Nothing is ever executed.

    expression  = conjunction { "or" conjunction }
    conjunction = negation { "and" negation }
    negation    = "not" negation | "(" expression ")" | condition
    condition   = column ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) value
                | column [ "not" ] "in" "(" value { "," value } ")"
                | column [ "not" ] "like" text
                | column [ "not" ] "contains" text
                | column "is" [ "not" ] ( "null" | "missing" )
    value       = number | text

A text stands in single quotes (doubled to mean one), a column name that is more than letters, digits and underscores in
double quotes. Words of the language may be written large or small.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, NoReturn, TypeAlias

from vlm4rec_edge.errors import UsageError

Value: TypeAlias = str | float
# Deeper than anybody writes, and far from where Python's own stack ends.
_DEPTH_LIMIT = 50


@dataclass(frozen=True)
class Compare:
    """``column operator value``."""

    column: str
    operator: Literal["=", "<", "<=", ">", ">="]
    value: Value


@dataclass(frozen=True)
class OneOf:
    """``column in (values)``."""

    column: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Like:
    """``column like pattern``: ``%`` stands for any text, ``_`` for any one character; case does not count."""

    column: str
    pattern: str


@dataclass(frozen=True)
class Contains:
    """``column contains text``; case does not count."""

    column: str
    text: str


@dataclass(frozen=True)
class IsMissing:
    """``column is missing``."""

    column: str


@dataclass(frozen=True)
class Not:
    """Exactly the items that ``part`` leaves out."""

    part: Expression


@dataclass(frozen=True)
class Every:
    """``and`` of the parts."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True)
class Some:
    """``or`` of the parts."""

    parts: tuple[Expression, ...]


Expression: TypeAlias = "Compare | OneOf | Like | Contains | IsMissing | Not | Every | Some"

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
      | '(?P<text>(?:[^']|'')*)'
      | "(?P<quoted>(?:[^"]|"")*)"
      | (?P<operator><=|>=|!=|<>|==|=|<|>)
      | (?P<sign>[(),])
      | (?P<word>[^\W\d]\w*)
      | (?P<end>$)
    )""",
    re.VERBOSE,
)
_WORDS = {"and", "or", "not", "in", "like", "contains", "is", "null", "missing"}


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int


def parse_where(text: str, columns: Collection[str]) -> Expression:
    """Return the tree of a filter such as ``audience = 'Menswear' and price < 40``.

    Raises:
        UsageError: it is not of the grammar, or names a column that is not among ``columns``; the message says where.
    """
    parser = _Parser(text, columns)
    tree = parser.expression(0)
    if parser.token.kind != "end":
        parser.refuse("expected 'and', 'or' or the end")
    return tree


class _Parser:
    """Recursive descent with one token of look-ahead."""

    def __init__(self, text: str, columns: Collection[str]) -> None:
        self._text = text
        self._columns = columns
        self._tokens = _tokens(text)
        self._next = 0

    @property
    def token(self) -> _Token:
        return self._tokens[self._next]

    def refuse(self, reason: str) -> NoReturn:
        here = self.token
        shown = "its end" if here.kind == "end" else repr(self._text[here.at : here.at + 20])
        raise UsageError(f"The filter cannot be read at character {here.at + 1}, {shown}: {reason}.")

    def expression(self, depth: int) -> Expression:
        parts = [self._conjunction(depth)]
        while self._take("or"):
            parts.append(self._conjunction(depth))
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _conjunction(self, depth: int) -> Expression:
        parts = [self._negation(depth)]
        while self._take("and"):
            parts.append(self._negation(depth))
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _negation(self, depth: int) -> Expression:
        if depth > _DEPTH_LIMIT:
            self.refuse(f"it is nested more than {_DEPTH_LIMIT} deep")
        if self._take("not"):
            return Not(self._negation(depth + 1))
        if self._take("("):
            inner = self.expression(depth + 1)
            self._expect(")")
            return inner
        return self._condition()

    def _condition(self) -> Expression:
        column = self._column()
        if self.token.kind == "operator":
            return self._comparison(column)
        if self._take("is"):
            negated = self._take("not")
            if not (self._take("null") or self._take("missing")):
                self.refuse("expected 'null' or 'missing'")
            return Not(IsMissing(column)) if negated else IsMissing(column)
        negated = self._take("not")
        found: Expression
        if self._take("in"):
            found = OneOf(column, self._values())
        elif self._take("like"):
            found = Like(column, self._quoted_text())
        elif self._take("contains"):
            found = Contains(column, self._quoted_text())
        else:
            self.refuse("expected a comparison such as = 'text', < 40, in (...), like, contains or is missing")
        return Not(found) if negated else found

    def _comparison(self, column: str) -> Expression:
        operator = self._advance().text
        value = self._value()
        if operator in ("!=", "<>"):
            return Not(Compare(column, "=", value))
        return Compare(column, "=" if operator == "==" else operator, value)  # type: ignore[arg-type]  # of the token

    def _column(self) -> str:
        token = self.token
        if token.kind not in ("word", "quoted") or (token.kind == "word" and token.text.lower() in _WORDS):
            self.refuse("expected a column")
        if token.text not in self._columns:
            near = difflib.get_close_matches(token.text, self._columns, n=1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            self.refuse(f"there is no column {token.text!r} among {', '.join(self._columns)}{meant}")
        return self._advance().text

    def _values(self) -> tuple[Value, ...]:
        self._expect("(")
        values = [self._value()]
        while self._take(","):
            values.append(self._value())
        self._expect(")")
        return tuple(values)

    def _value(self) -> Value:
        if self.token.kind == "number":
            return float(self._advance().text)
        return self._quoted_text("expected a number, or a text in single quotes")

    def _quoted_text(self, reason: str = "expected a text in single quotes") -> str:
        if self.token.kind != "text":
            self.refuse(reason)
        return self._advance().text

    def _take(self, word: str) -> bool:
        token = self.token
        if token.kind in ("word", "sign") and token.text.lower() == word:
            self._advance()
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            self.refuse(f"expected {sign!r}")

    def _advance(self) -> _Token:
        token = self.token
        self._next += 1
        return token


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    place = 0
    while not tokens or tokens[-1].kind != "end":
        match = _TOKEN.match(text, place)
        if match is None:
            at = place + len(text[place:]) - len(text[place:].lstrip())
            reason = "this quote is never closed" if text[at] in "'\"" else "this is not part of a filter"
            raise UsageError(f"The filter cannot be read at character {at + 1}, {text[at : at + 20]!r}: {reason}.")
        kind = str(match.lastgroup)
        quote = {"text": "'", "quoted": '"'}.get(kind, "")
        start = match.start(kind) - len(quote)
        tokens.append(_Token(kind, match[kind].replace(quote * 2, quote) if quote else match[kind], start))
        place = match.end()
    return tokens
