"""From what a model said to a caption: plain text, whole sentences."""

from __future__ import annotations

import re

# The role name that small models repeat before they answer.
_ROLE = re.compile(r"^\s*(assistant|answer|caption|description)\s*:\s*", re.IGNORECASE)
_CONTROL_TOKEN = re.compile(r"<\|?[a-z_]{2,40}\|?>", re.IGNORECASE)
_MARKUP = re.compile(r"^\s*#{1,6}\s+|[*_`#]{1,3}(?=\S)|(?<=\S)[*_`#]{1,3}", re.MULTILINE)
_SPACE = re.compile(r"\s+")
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)")


def clean_caption(answer: str, *, cut_off: bool) -> str:
    """Return an answer as one line of plain text.

    Control tokens, a repeated role name, Markdown marks and white space are taken out. An answer that was ``cut_off``
    by the token bound ends at its last whole sentence, if it has one.
    """
    text = _CONTROL_TOKEN.sub(" ", answer)
    text = _ROLE.sub("", text)
    text = _MARKUP.sub("", text)
    text = _SPACE.sub(" ", text).strip()
    if cut_off and (ends := list(_SENTENCE_END.finditer(text))):
        text = text[: ends[-1].end()]
    return text


def clean_text(text: str) -> str:
    """Return the text of one field as one line: no control tokens, nothing that does not print, single spaces."""
    text = _CONTROL_TOKEN.sub(" ", text)
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
