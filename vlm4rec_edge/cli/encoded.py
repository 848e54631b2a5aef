"""One line about what an index recommends by, and what else it could: for people who did not choose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlm4rec_edge.encoding.text import CAPTION, TITLE, TITLE_CAPTION, EncodedText, title_share

if TYPE_CHECKING:
    from vlm4rec_edge.indexing.report import IndexReport

_WEIGHTED = "weighted (title and caption)"
_CHOICES = {TITLE: "title (makes no captions)", CAPTION: "caption", TITLE_CAPTION: "title_caption"}


def told_of_encoding(report: IndexReport) -> str:
    """Return the line: what the items of an index are recommended by, and the alternatives."""
    kind = EncodedText(report.encoded_text)
    by = _by(kind, report) + (", and by what was learned from purchases" if report.learned else "")
    purchases = "" if report.learned else "; with purchases: vlm4rec-edge learn"
    if report.captions_alone:
        better = "Where products have titles, these recommend better: index a table with a column title"
        return f"Recommends by {by}; no item has a title. {better}{purchases}."
    others = [] if title_share(kind) else [_WEIGHTED]
    others += [words for choice, words in _CHOICES.items() if choice != kind]
    return f"Recommends by {by}. Other choices: index --encoded-text {', '.join(others)}{purchases}."


def told_of_photo(encoded_text: str) -> str:
    """Return what a photo's caption is compared with where that is more than captions; empty where it is captions."""
    share = title_share(EncodedText(encoded_text))
    if share is None:
        return ""
    return (
        f"A photo is searched by its caption alone, among items that are known by title ({share:g}) and caption "
        f"({1 - share:g}); an index made with --encoded-text caption compares captions with captions."
    )


def _by(kind: EncodedText, report: IndexReport) -> str:
    if kind == TITLE:
        return "title"
    if kind == CAPTION or report.captions_alone:
        return "caption"
    share = title_share(kind)
    how = " as one text" if share is None else f", {share:g} to {1 - share:g}"
    without = f" ({report.without_title:,} of {report.items:,} items without a title: by caption)"
    return f"title and caption{how}{without if report.without_title else ''}"
