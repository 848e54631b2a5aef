"""The demo's report: one HTML file that shows photos, captions, shoppers, and what two ways recommend to each of them.

The file needs nothing beside it: style and photos are inside, and there is no script.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from html import escape
from pathlib import Path

from vlm4rec_edge.demo.contents import Bar, Count, Offer, ReportData, ReportItem, Shopper, Way
from vlm4rec_edge.demo.thumbnails import thumbnail
from vlm4rec_edge.recommend.words import marked

# Of a vector so many numbers are drawn: as many bars as can be told apart.
_BARS = 64
_ADJECTIVES = {"stripe": ("striped",), "check": ("checked", "checkered"), "dots": ("dotted",)}


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
        _counts(data),
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
    """Return what happened, in four pictures: what the first shopper bought becomes a recommendation."""
    shopper = next((shopper for shopper in data.shoppers if shopper.history), None)
    item = shopper.history[0] if shopper else next(iter(data.catalog), None)
    if item is None:
        return ""
    offers = [offer for way in shopper.ways[:1] for offer in way.offers[:1]] if shopper else []
    stages = [
        (" photo", _image(item), "Photo", "The only input of the model."),
        ("", f"<q>{escape(item.caption)}</q>", "Words", "The vision-language model writes what it sees, once."),
        ("", _drawn(data.vector), "Vector", "The text encoder turns the caption into numbers."),
    ]
    if offers:
        what = "What lies nearest to the mean of all that the shopper bought."
        stages.append((" photo", _image(offers[0].item), "Recommendation", what))
    cells = (
        f'<li><div class="stage{kind}">{stage}</div><b>{name}</b><span>{what}</span></li>'
        for kind, stage, name, what in stages
    )
    return f'<ol class="steps">{"".join(cells)}</ol>'


def _drawn(vector: Sequence[float]) -> str:
    """Return the first numbers of a vector as bars above and below a line, and how many it has."""
    shown = vector[:_BARS]
    largest = max(map(abs, shown), default=0.0) or 1.0
    bars = "".join(
        f'<rect x="{place * 4}" y="{50 - max(value, 0) / largest * 48:.1f}" width="2.6" '
        f'height="{abs(value) / largest * 48:.1f}" rx="1"/>'
        for place, value in enumerate(shown)
    )
    drawing = f'<svg viewBox="0 0 {4 * _BARS} 100" preserveAspectRatio="none" aria-hidden="true">{bars}</svg>'
    told = f"the first {len(shown)} of {len(vector)} numbers" if len(vector) > len(shown) else f"{len(vector)} numbers"
    return f"{drawing}<small>{told}</small>"


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    if not facts:
        return ""
    cells = (f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>" for label, value in facts)
    return f'<dl class="facts">{"".join(cells)}</dl>'


def _shopper(shopper: Shopper) -> str:
    bought = "".join(f"<li>{_card(item, _caption(item))}</li>" for item in shopper.history)
    ways = "".join(map(_way, shopper.ways))
    told = f'<p class="told">{escape(shopper.told)}</p>' if shopper.told else ""
    return (
        f'<section class="shopper"><h2>{escape(shopper.name)}</h2><p class="story">{escape(shopper.story)}</p>'
        f'<h3>Bought before</h3><ul class="history">{bought}</ul><div class="ways">{ways}</div>{told}</section>'
    )


def _way(way: Way) -> str:
    offers = "".join(f"<li>{_card(offer.item, _offer(offer))}</li>" for offer in way.offers)
    head = f"<h3>{escape(way.name)} <span>{escape(way.told)}</span></h3>"
    return f'<div class="way">{head}<ol class="offers">{offers}</ol></div>'


def _offer(offer: Offer) -> str:
    mark = f'<span class="mark{" yes" if offer.fits else ""}">{escape(offer.mark)}</span>' if offer.mark else ""
    return _caption(offer.item, offer.shared) + f'<p class="below">{mark}{_score(offer.score)}</p>'


def _counts(data: ReportData) -> str:
    if not data.counts:
        return ""
    rows = "".join(map(_count, data.counts))
    return (
        f'<section class="counts"><h2>How often each way keeps to the taste</h2><p class="story">{escape(data.counted)}</p>'
        f"{rows}</section>"
    )


def _count(count: Count) -> str:
    bars = "".join(map(_bar, count.bars))
    return (
        f'<div class="count"><h3>{escape(count.name)} <span>{escape(count.about)}</span></h3>'
        f'<ul class="bars">{bars}</ul><p>{escape(count.verdict)}</p></div>'
    )


def _bar(bar: Bar) -> str:
    share = 100 / bar.most
    band = (
        f'<b style="left:{bar.low * share:.1f}%;width:{(bar.high - bar.low) * share:.1f}%"></b>'
        if bar.high > bar.low
        else ""
    )
    told = f"{bar.mean:.2f}" + (f" <small>{bar.low:.2f} to {bar.high:.2f}</small>" if bar.high > bar.low else "")
    return (
        f'<li><span class="of">{escape(bar.name)}</span><span class="track" aria-hidden="true">'
        f'<i style="width:{bar.mean * share:.1f}%"></i>{band}</span><span class="number">{told}</span></li>'
    )


def _catalog(catalog: Sequence[ReportItem]) -> str:
    if not catalog:
        return ""
    cells = "".join(f"<li>{_card(item, _caption(item) + _truth(item))}</li>" for item in catalog)
    legend = "Under each photo is its caption."
    if any(item.attributes for item in catalog):
        legend = (
            "Under each photo are its title, its caption, and what the shop's table says. "
            "A tick marks what the caption says too; without one, it leaves it out or is wrong."
        )
    return (
        f"<section><details><summary><h2>Every item and its caption</h2></summary>"
        f'<p class="story">{legend}</p><ul class="grid catalog">{cells}</ul></details></section>'
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


def _card(item: ReportItem, below: str) -> str:
    return f"<figure>{_image(item)}<figcaption>{below}</figcaption></figure>"


def _caption(item: ReportItem, shared: Collection[str] = ()) -> str:
    """Return title and caption, the words that it shares with the history underlined."""
    title = f"<strong>{escape(item.title)}</strong>" if item.title else ""
    said = "".join(
        f"<u>{escape(piece)}</u>" if is_shared else escape(piece) for piece, is_shared in marked(item.caption, shared)
    )
    return f'{title}<p class="said">{said}</p>'


def _score(score: float) -> str:
    share = max(0.0, min(1.0, score)) * 100
    bar = f'<span class="track" aria-hidden="true"><i style="width:{share:.1f}%"></i></span>'
    return f'<span class="score">{bar}{score:.3f}</span>'


def _truth(item: ReportItem) -> str:
    chips = (
        f'<li class="yes" title="{escape(name)}: the caption says so">{escape(value)}</li>'
        if caption_says(item.caption, value)
        else f'<li title="{escape(name)}">{escape(value)}</li>'
        for name, value in item.attributes.items()
        if value
    )
    return f'<ul class="truth">{"".join(chips)}</ul>' if item.attributes else ""


def _image(item: ReportItem) -> str:
    return f'<img src="{thumbnail(item.image)}" alt="{escape(item.title or item.item_id)}" loading="lazy">'
