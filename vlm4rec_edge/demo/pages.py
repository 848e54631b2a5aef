"""What the report says: of the package's shop, whose items are known, and of photos of which nothing is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vlm4rec_edge.demo.contents import Bar, Count, Offer, ReportData, ReportItem, Shopper, Way
from vlm4rec_edge.demo.counting import COUNTED, TasteCount, what_it_shows
from vlm4rec_edge.demo.groups import MOST_GROUPED, Group, made_groups
from vlm4rec_edge.demo.tastes import BOUGHT, HISTORIES, Items, Taste, made_histories
from vlm4rec_edge.recommend.recommender import Recommender

RECOMMENDED = 6
# So many items are shown with their captions; a page of more is slow to open.
MOST_SHOWN = 200
BY_WORDS, BY_PHOTOS = "By the words", "By the photos"

_OF_THE_WAYS = (
    "By the words: nearest to the mean vector of the captions of what was bought. By the photos: nearest to the mean vector "
    "of its photos, the mean of their token embeddings from the model's own vision encoder; the mean of all photos of "
    "the shop is subtracted first, which helps. Scores are cosines. No title, no price and no other shopper is used."
)
_OF_THE_UNDERLINED = (
    "Words that a caption shares with those of what was bought are underlined. Left out are uninformative words: short ones, "
    "function words, and words of more than half of all captions."
)
_OF_THE_DRAWINGS = (
    "The pictures are this project's own drawings. The embedded model is small, and where it is wrong about a drawing, the "
    "caption is shown as it is. How well it recommends from real photos, by real purchases, is another matter: see the README."
)
_OF_THE_COUNT = (
    f"{HISTORIES} simulated shoppers for each taste bought {BOUGHT} items each, sampled at random from those of the "
    f"taste: of different kinds, and for an occasion in different colours. Counted is how many of {COUNTED} "
    "recommendations are of the taste as well. The first shopper of each taste is the one shown above. Which items are of a "
    "taste is a rule over the shop's table, written down before anything was recommended. Intervals (95 %) are over shoppers."
)
_OF_THE_GROUPS = (
    "The shoppers are made up, from groups of photos whose captions are alike. So this page shows what each way finds in your "
    "photos, and not which of them is better: the groups come from the captions."
)
_OF_THE_MODEL = (
    "The embedded model is small, and knows clothes and accessories only; `vlm4rec-edge models list` names others."
)


def shown_items(words: Recommender) -> dict[str, ReportItem]:
    """Return the items of an index, by their ids and in their order, which is the same in every run."""
    return {
        item.id: ReportItem(item.id, item.title, item.caption, Path(item.image), item.attributes)
        for item in sorted(words.store.items(), key=lambda item: item.id)
    }


def columns_of(item: ReportItem) -> dict[str, str]:
    """Return an item's columns, by which a taste knows it."""
    return {"title": item.title, **item.attributes}


def page_of_shop(
    catalog: Mapping[str, ReportItem],
    items: Items,
    counts: Sequence[TasteCount],
    words: Recommender,
    photos: Recommender,
) -> ReportData:
    """Return the report of the package's shop: a shopper a taste, and how often each way keeps to it."""
    shoppers = []
    for count in counts:
        taste = count.taste
        history = made_histories(taste, items, count=1)[0]
        told = (
            f"Of {HISTORIES} simulated shoppers of this taste: {count.words.mean:.1f} of {COUNTED} recommendations by words "
            f"keep to it, and {count.photos.mean:.1f} of those by photos."
        )
        ways = _ways(history, catalog, words, photos, taste)
        bought = [catalog[item_id] for item_id in history]
        shoppers.append(Shopper(taste.shopper, taste.story, bought, ways, told))
    title, notes = "Recommended by words, and by photos alone", [_OF_THE_WAYS, _OF_THE_UNDERLINED, _OF_THE_DRAWINGS]
    page = _page(title, what_it_shows(counts), notes, catalog, shoppers, words)
    return replace(page, counts=[_counted(count) for count in counts], counted=_OF_THE_COUNT)


def page_of_photos(catalog: Mapping[str, ReportItem], words: Recommender, photos: Recommender) -> ReportData:
    """Return the report of photos of which nothing is known: its shoppers are made up from groups of them."""
    captions = {item.item_id: item.caption for item in catalog.values()}
    groups = made_groups(captions, words.vectors(list(captions)))
    shoppers = [
        Shopper(
            f"Made-up shopper {number}",
            _story(group),
            [catalog[item_id] for item_id in group.history],
            _ways(group.history, catalog, words, photos),
        )
        for number, group in enumerate(groups, start=1)
    ]
    notes = [_OF_THE_GROUPS, _OF_THE_WAYS, _OF_THE_UNDERLINED, _OF_THE_MODEL]
    if len(catalog) > MOST_GROUPED:
        notes.append(f"The groups are of {MOST_GROUPED:,} of the {len(catalog):,} items, taken at random.")
    title = "Your photos, recommended by words, and by photos alone"
    return _page(title, _agreement(shoppers), notes, catalog, shoppers, words)


def _page(
    title: str,
    intro: str,
    notes: Sequence[str],
    catalog: Mapping[str, ReportItem],
    shoppers: Sequence[Shopper],
    words: Recommender,
) -> ReportData:
    """Return what both reports have; the numbers of the run, and what it left out, are added where they are known."""
    cut = f"Of {len(catalog):,} items, {MOST_SHOWN} are shown with their captions."
    return ReportData(
        title=title,
        intro=intro,
        vector=_vector_of(shoppers, catalog, words),
        shoppers=shoppers,
        catalog=list(catalog.values())[:MOST_SHOWN],
        notes=[*notes, *([cut] if len(catalog) > MOST_SHOWN else [])],
    )


def _ways(
    history: Sequence[str],
    catalog: Mapping[str, ReportItem],
    words: Recommender,
    photos: Recommender,
    taste: Taste | None = None,
) -> list[Way]:
    """Return what both ways recommend, and how much of it is of the taste, or, where none is known, recommended by both."""
    found = [shop.recommend(history, RECOMMENDED, explain=True) for shop in (words, photos)]
    both = {hit.item_id for hit in found[0]} & {hit.item_id for hit in found[1]}
    ways = []
    for name, hits in zip((BY_WORDS, BY_PHOTOS), found, strict=True):
        offers = []
        for hit in hits:
            item = catalog[hit.item_id]
            fits = taste.holds(columns_of(item)) if taste else hit.item_id in both
            mark = ("" if fits else "not ") + taste.called if taste else "by both" if fits else ""
            offers.append(Offer(item, hit.score, hit.shared, mark, fits))
        told = f"{sum(offer.fits for offer in offers)} of {len(offers)} {taste.called if taste else 'by both'}"
        ways.append(Way(name, told, offers))
    return ways


def _vector_of(shoppers: Sequence[Shopper], catalog: Mapping[str, ReportItem], words: Recommender) -> list[float]:
    """Return the vector of the item at the top of the page."""
    first = shoppers[0].history[0] if shoppers else next(iter(catalog.values()))
    return [float(number) for number in words.vectors([first.item_id])[0]]


def _counted(count: TasteCount) -> Count:
    bars = [
        Bar(name, estimate.mean, estimate.low, estimate.high, COUNTED)
        for name, estimate in (("words", count.words), ("photos", count.photos))
    ]
    return Count(
        count.taste.name[0].upper() + count.taste.name[1:],
        f"{count.members} of {count.items} items"
        + (f", so {count.most} of {COUNTED} at most" if count.most < COUNTED else ""),
        [*bars, Bar("chance", count.chance, count.chance, count.chance, COUNTED)],
        count.verdict,
    )


def _story(group: Group) -> str:
    told = f"; most of these say {', '.join(group.words)}" if group.words else ""
    return f"Made up: bought from a group of {group.size} photos whose captions are alike{told}."


def _agreement(shoppers: Sequence[Shopper]) -> str:
    """Return how much the two ways have in common, as a sentence."""
    if not shoppers:
        return "Only one photo was captioned; recommending needs at least two."
    offered = [[{offer.item.item_id for offer in way.offers} for way in shopper.ways] for shopper in shoppers]
    same = sum(len(words & photos) for words, photos in offered) / len(offered)
    each = sum(len(words) for words, _ in offered) / len(offered)
    of = f"Of {each:.0f} photo{'' if each == 1 else 's'} recommended to a made-up shopper"
    return (
        f"{of}, the words and the photos have {same:.1f} in common on average. The words are the captions alone, by the small "
        "model of this package, which is often wrong about photos unlike those that it learned from; titles are not used here."
    )
