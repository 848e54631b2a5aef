"""From what a model said to a caption: plain text, whole sentences."""

from __future__ import annotations

import re

# The role name that small models repeat before they answer.
_ROLE = re.compile(r"^\s*(assistant|answer|caption|description)\s*:\s*", re.IGNORECASE)
_CONTROL_TOKEN = re.compile(r"<\|?[a-z_]{2,40}\|?>", re.IGNORECASE)
_MARKUP = re.compile(r"^\s*#{1,6}\s+|[*_`#]{1,3}(?=\S)|(?<=\S)[*_`#]{1,3}", re.MULTILINE)
_SPACE = re.compile(r"\s+")
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)")
# Reasoning of a model with thinking turned off; without an end tag it is the whole output.
_THOUGHTS = re.compile(r"<think>.*?(</think>|\Z)", re.IGNORECASE | re.DOTALL)

_PHOTO = r"(?:image|photo|picture|photograph)s?"
# What general models say before they say something: each takes up words of a caption and pulls all vectors together.
_OPENINGS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # "Sure! Here is a short description of the product:"
        r"(?:(?:sure|certainly|of course|okay|ok)\b[,.!]?\s+)?here(?:'s|’s| is| are)\s[^:.]{0,40}?"  # noqa: RUF001
        r"\b(?:descriptions?|captions?|summary|sentences?|overview)\b(?! that\b)[^:.]{0,100}[:.]\s+",
        # "This image shows", "The photos prominently feature", "The picture is of"; not "The image on its front shows"
        rf"(?:this|the|these) (?:provided |product )?{_PHOTO} (?:\w+ly )?(?:shows?|features?|displays?|depicts?|presents?|"
        r"portrays?|showcases?|contains?|captures?|illustrates?|is of):?\s+(?!(?:that|how|what|why|where|when|who)\b)",
        # "This is a photo of"
        rf"this is an? (?:[\w-]+ )?{_PHOTO} (?:of|showing)\s+",
        # "In this image, we can see", "In the photo, there is", "In the image, "
        rf"in (?:this|the) (?:provided |product )?{_PHOTO},?\s+(?:(?:we|you|one) (?:can )?see\s+|there (?:is|are)\s+)",
        rf"in (?:this|the) (?:provided |product )?{_PHOTO},\s+",
        # "The product in the image is"
        rf"the (?:product|item) (?:shown |pictured |depicted |featured )?in (?:this|the) {_PHOTO} is\s+(?=an?\b)",
    )
)
# A caption may have two: "Here is a description: The image shows".
_MOST_OPENINGS = 3


def clean_caption(answer: str, *, cut_off: bool, general: bool = False) -> str:
    """Return an answer as one line of plain text.

    Control tokens, a repeated role name, Markdown marks and white space are taken out. An answer that was ``cut_off``
    by the token bound ends at its last whole sentence, if it has one. Of a ``general`` model thoughts are taken out too, and
    openings such as "This image shows", unless nothing else was said.
    """
    text = _THOUGHTS.sub(" ", answer) if general else answer
    text = _CONTROL_TOKEN.sub(" ", text)
    text = _ROLE.sub("", text)
    text = _MARKUP.sub("", text)
    text = _SPACE.sub(" ", text).strip()
    if general:
        text = _without_openings(text)
    if cut_off and (ends := list(_SENTENCE_END.finditer(text))):
        text = text[: ends[-1].end()]
    return text


def _without_openings(text: str) -> str:
    for _ in range(_MOST_OPENINGS):
        found = next((match for opening in _OPENINGS if (match := opening.match(text))), None)
        rest = text[found.end() :].lstrip() if found else ""
        if not rest:
            break
        text = rest[0].upper() + rest[1:]
    return text


def clean_text(text: str) -> str:
    """Return the text of one field as one line: no control tokens, nothing that does not print, single spaces."""
    text = _CONTROL_TOKEN.sub(" ", text)
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
