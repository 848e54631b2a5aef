"""The results as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from captioning.drawn_facts import figures as told_figures
from captioning.figures import Figures, difference
from captioning.intervals import Figure, share
from captioning.reading import COLUMNS
from captioning.seen_words import SEEN_WORDS
from captioning.sets import Case

_EXAMPLES_SEED = 0
_NONE = "-"

Row = Mapping[str, object]


def right_row(figures: Figures, size: str) -> Row:
    """Return the line of the first table: what is right, in per cent."""
    shares = {column: _percent(figures.share(column)) for column in COLUMNS}
    return {
        "model": figures.model,
        "MB": size,
        "set": figures.photos.name,
        "photos": f"{len(figures.said):,}",
        **shares,
    }


def said_row(figures: Figures) -> Row:
    """Return the line of the second table: how near captions are to the texts, and how they are."""
    manner, words = figures.manner, figures.words.get("all")
    counts = words.json() if words else {}
    return {
        "model": figures.model,
        "set": figures.photos.name,
        "understood, %": _percent(figures.read),
        "cosine to the description": _decimal(figures.cosine("description")),
        "descriptions shuffled": _decimal(figures.cosine("shuffled")),
        "cosine to the sentence of training": _decimal(figures.cosine("sentence")),
        "distinct, %": f"{100 * manner['distinct']:.1f}",
        "words": f"{manner['words']:.1f}",
        "repeating, %": f"{100 * manner['repeating']:.1f}",
        "not made": f"{manner['missing']:.0f}",
        "seen words: precision, %": _share(counts.get("precision")),
        "of it by chance": _share(counts.get("precision shuffled")),
        "recall, %": _share(counts.get("recall")),
    }


def difference_row(one: Figures, other: Figures) -> Row:
    """Return the line of the third table: one model minus another on the same photos, in points."""
    found = difference(one, other)
    same = np.mean([mine == theirs for mine, theirs in zip(one.captions, other.captions, strict=True)])
    points = {column: found[column].points() if column in found else _NONE for column in COLUMNS}
    cosine = found.get("cosine to description")
    return {
        "model": f"{one.model} - {other.model}",
        "set": one.photos.name,
        "captions equal, %": f"{100 * same:.1f}",
        **points,
        "cosine to the description": cosine.decimal("+") if cosine else _NONE,
    }


def word_rows(figures: Figures) -> list[Row]:
    """Return a table of one model's words for what can be seen."""
    rows: list[Row] = []
    for name in SEEN_WORDS:
        counts = figures.words[name].json()
        rows.append(
            {
                "word": name,
                "in captions": counts["said"],
                "in descriptions": counts["true"],
                "precision, %": _share(counts["precision"]),
                "of it by chance": _share(counts["precision shuffled"]),
                "recall, %": _share(counts["recall"]),
            }
        )
    return rows


def fact_row(figures: Figures) -> Row:
    """Return how captions of drawings compare with what is drawn, in per cent."""
    shares = {f"{name}, %": _percent(figure) for name, figure in told_figures(figures.told).items()}
    return {"model": figures.model, "drawings": len(figures.told), **shares}


def group_rows(figures: Figures) -> list[Row]:
    """Return a table of one model's share of each group of kinds that is named right, the largest group first."""
    of_group: dict[str, list[int]] = {}
    for case, outcome in zip(figures.photos.cases, figures.right["group"].tolist(), strict=True):
        if outcome >= 0:
            of_group.setdefault(" or ".join(sorted(case.truth["group"])), []).append(outcome)
    largest_first = sorted(of_group.items(), key=lambda one: (-len(one[1]), one[0]))
    return [
        {"group": group, "photos": len(each), "right, %": _percent(share(sum(each), len(each)))}
        for group, each in largest_first
    ]


def example_rows(figures: Sequence[Figures], count: int) -> list[Row]:
    """Return captions of all models for photos chosen by a fixed seed, beside what is true in our own words.

    The shop's own texts are not ours to pass on; its attributes are said in ours.
    """
    cases = figures[0].photos.cases
    chosen = np.random.default_rng(_EXAMPLES_SEED).permutation(len(cases))[:count]
    return [
        {"item": cases[at].item_id, "true": _truth(cases[at]), **{one.model: one.captions[at] for one in figures}}
        for at in chosen
    ]


def table(title: str, rows: Sequence[Row], note: str = "") -> str:
    """Return a Markdown section with a table."""
    columns = list(rows[0])
    lines = [
        f"## {title}",
        "",
        *([note, ""] if note else []),
        "| " + " | ".join(columns) + " |",
        "|" + "---|" * len(columns),
    ]
    lines += ["| " + " | ".join(str(row[column]).replace("|", "/") for column in columns) + " |" for row in rows]
    return "\n".join(lines)


def _truth(case: Case) -> str:
    if case.sentence:
        return case.sentence.partition(". ")[0].rstrip(".") + "."
    known = {column: " or ".join(sorted(values)) for column, values in case.truth.items() if values}
    return ", ".join(f"{column}: {value}" for column, value in known.items())


def _percent(figure: Figure | None) -> str:
    return figure.percent() if figure else _NONE


def _decimal(figure: Figure | None) -> str:
    return figure.decimal() if figure else _NONE


def _share(value: float | None) -> str:
    return _NONE if value is None else f"{100 * value:.1f}"
