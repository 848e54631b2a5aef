"""The demo's report: one HTML file that shows photos, captions, a shopper's history and the recommendations.

The file needs nothing beside it: style and photos are inside, and there is no script.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from pathlib import Path

from vlm4rec_edge.errors import PhotoError

_THUMBNAIL = (220, 330)
_THUMBNAIL_QUALITY = 80
# Heights of the bars that stand for a vector in the head of the page: a sign, not data.
_VECTOR_SIGN = (34, 61, 22, 80, 47, 13, 70, 39, 92, 28, 55, 18, 66, 43, 76, 30, 58, 24)

_ADJECTIVES = {"stripe": ("striped",), "check": ("checked", "checkered"), "dots": ("dotted",)}


@dataclass(frozen=True)
class ReportItem:
    """One product. ``attributes`` is what is known to be true of it; ``caption`` what the model said."""

    item_id: str
    title: str
    caption: str
    image: Path
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Shopper:
    """One shopper, what they bought, and what is recommended, best first, with its score (cosine)."""

    name: str
    story: str
    history: Sequence[ReportItem]
    recommendations: Sequence[tuple[ReportItem, float]]


@dataclass(frozen=True)
class ReportData:
    """All that a report shows. ``facts`` are (label, value); ``failures`` are (item id, reason)."""

    title: str
    intro: str
    facts: Sequence[tuple[str, str]] = ()
    shoppers: Sequence[Shopper] = ()
    catalog: Sequence[ReportItem] = ()
    notes: Sequence[str] = ()
    failures: Sequence[tuple[str, str]] = ()


def write_report(path: Path, data: ReportData) -> None:
    """Write ``data`` as one self-contained HTML file.

    Raises:
        PhotoError: a photo of an item cannot be read.
    """
    style = (Path(__file__).parent / "report.css").read_text(encoding="utf-8")
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(data.title)}</title><style>{style}</style></head><body>",
        f'<header><p class="brand">vlm4rec-edge</p><h1>{escape(data.title)}</h1>',
        f'<p class="lead">{escape(data.intro)}</p>',
        _steps(data),
        _facts(data.facts),
        "</header><main>",
        *(_shopper(shopper) for shopper in data.shoppers),
        _catalog(data.catalog),
        _failures(data.failures),
        _notes(data.notes),
        "</main><footer>Made offline on this machine by vlm4rec-edge.</footer></body></html>\n",
    ]
    path.write_text("\n".join(part for part in parts if part), encoding="utf-8")


def caption_says(caption: str, value: str) -> bool:
    """Return whether a caption uses the word of an attribute, in the singular, the plural or as an adjective.

    ``blue`` is not said by ``dark blue``, nor ``shirt`` by ``T-shirt``: those are other colours and kinds.
    """
    word = value.casefold()
    stem = word[:-1] if word.endswith("s") else word
    forms = "|".join(re.escape(form) for form in (word, stem, f"{stem}s", f"{stem}es", *_ADJECTIVES.get(word, ())))
    return re.search(rf"(?<![\w-])(?<!dark )(?<!light )(?:{forms})(?![\w-])", caption.casefold()) is not None


def _steps(data: ReportData) -> str:
    """Return what happened, in four pictures: the first shopper's last purchase becomes a recommendation."""
    shopper = next((shopper for shopper in data.shoppers if shopper.history and shopper.recommendations), None)
    if shopper is None:
        return ""
    bought, offered = shopper.history[0], shopper.recommendations[0][0]
    first, _ = _sentences(bought.caption)
    bars = "".join(
        f'<rect x="{index * 10}" y="{100 - height}" width="6" height="{height}" rx="2"/>'
        for index, height in enumerate(_VECTOR_SIGN)
    )
    sign = f'<svg viewBox="0 0 176 100" preserveAspectRatio="none" aria-hidden="true">{bars}</svg>'
    stages = (
        (" photo", _image(bought), "Photo", "The only input of the model."),
        ("", f"<q>{escape(first)}</q>", "Caption", "The vision-language model describes the photo."),
        ("", sign, "Vector", "The text encoder turns the caption into numbers."),
        (" photo", _image(offered), "Recommendation", "The items nearest to everything the shopper bought."),
    )
    cells = (
        f'<li><div class="stage{kind}">{stage}</div><b>{name}</b><span>{what}</span></li>'
        for kind, stage, name, what in stages
    )
    return f'<ol class="steps">{"".join(cells)}</ol>'


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    if not facts:
        return ""
    cells = (f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>" for label, value in facts)
    return f'<dl class="facts">{"".join(cells)}</dl>'


def _shopper(shopper: Shopper) -> str:
    bought = "".join(f"<li>{_figure(item, _caption(item))}</li>" for item in shopper.history)
    offered = "".join(
        f"<li>{_figure(item, _score(score) + _caption(item))}</li>" for item, score in shopper.recommendations
    )
    return (
        f'<section><h2>{escape(shopper.name)}</h2><p class="story">{escape(shopper.story)}</p>'
        f'<h3>Bought before</h3><ul class="row history">{bought}</ul>'
        f'<h3>Recommended, nearest first</h3><ol class="row recommendations">{offered}</ol></section>'
    )


def _catalog(catalog: Sequence[ReportItem]) -> str:
    if not catalog:
        return ""
    cells = "".join(f"<li>{_figure(item, _caption(item) + _truth(item))}</li>" for item in catalog)
    legend = (
        "Under each photo are its title, the caption, and the true attributes of the product. "
        "A tick marks an attribute that the caption names; without one, the caption leaves it out or is wrong."
    )
    return (
        f'<section><h2>The whole catalog</h2><p class="story">{legend}</p>'
        f'<ul class="grid catalog">{cells}</ul></section>'
    )


def _failures(failures: Sequence[tuple[str, str]]) -> str:
    if not failures:
        return ""
    rows = "".join(f"<tr><td>{escape(item)}</td><td>{escape(reason)}</td></tr>" for item, reason in failures)
    return (
        "<section><h2>Left out</h2><table><thead><tr><th>Item</th><th>Reason</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></section>"
    )


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<section><h2>Notes</h2><ul class="notes">{items}</ul></section>'


def _figure(item: ReportItem, below: str) -> str:
    return f"<figure>{_image(item)}<figcaption>{below}</figcaption></figure>"


def _caption(item: ReportItem) -> str:
    first, rest = _sentences(item.caption)
    more = f'<p class="more">{escape(rest)}</p>' if rest else ""
    return f'<strong>{escape(item.title)}</strong><p class="said">{escape(first)}</p>{more}'


def _score(score: float) -> str:
    share = max(0.0, min(1.0, score)) * 100
    bar = f'<span class="track" aria-hidden="true"><i style="width:{share:.1f}%"></i></span>'
    return f'<div class="score">{bar}{score:.3f}</div>'


def _truth(item: ReportItem) -> str:
    chips = (
        f'<li class="yes" title="{escape(name)}: the caption says so">{escape(value)}</li>'
        if caption_says(item.caption, value)
        else f'<li title="{escape(name)}">{escape(value)}</li>'
        for name, value in item.attributes.items()
    )
    return f'<ul class="truth">{"".join(chips)}</ul>' if item.attributes else ""


def _image(item: ReportItem) -> str:
    return f'<img src="{_thumbnail(item.image)}" alt="{escape(item.title)}" loading="lazy">'


def _sentences(caption: str) -> tuple[str, str]:
    """Return a caption's first sentence and the rest."""
    head, dot, rest = caption.strip().partition(". ")
    return head + dot.strip(), rest.strip()


@cache
def _thumbnail(image: Path) -> str:
    """Return a photo as a data URI of a small JPEG, on white if it is transparent."""
    from PIL import Image, ImageOps

    try:
        with Image.open(image) as photo:
            small = ImageOps.exif_transpose(photo).convert("RGBA")
            small.thumbnail(_THUMBNAIL, Image.Resampling.LANCZOS)
            page = Image.new("RGB", small.size, "white")
            page.paste(small, mask=small.getchannel("A"))
    except (OSError, Image.DecompressionBombError) as error:
        raise PhotoError(f"{image} cannot be shown in the report ({error}); check the file.") from error
    stream = io.BytesIO()
    page.save(stream, "JPEG", quality=_THUMBNAIL_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
