"""The commands that answer from an index or a bundle: ``recommend``, ``similar`` and ``search``.

Their ``--json`` documents are described in ``vlm4rec_edge/documents``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlm4rec_edge.cli import lists, options
from vlm4rec_edge.cli.batch import recommend_to_all
from vlm4rec_edge.cli.encoded import told_of_photo
from vlm4rec_edge.cli.groups import given, grouped
from vlm4rec_edge.cli.output import EXIT_SOME_FAILED, emit_json, note, table
from vlm4rec_edge.errors import UsageError

if TYPE_CHECKING:
    from vlm4rec_edge.recommend.profile import ProfileSettings
    from vlm4rec_edge.recommend.recommender import Recommender
    from vlm4rec_edge.recommend.result import Recommendations
    from vlm4rec_edge.recommend.selection import Selection


@dataclass(frozen=True)
class HistoryOptions:
    """The query: what is known of one shopper."""

    history: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IDS",
            help="Ids of the items that were bought, separated by commas, the oldest first; or @FILE, with one id on each "
            "line. May be given several times.",
            show_default=False,
        ),
    ] = None
    disliked: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IDS",
            help="Ids of items that were disliked: they push the profile away and are never recommended. A list as for "
            "--history.",
            show_default=False,
        ),
    ] = None
    text: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="A text query, with or without a history. This loads the text encoder.",
            show_default=False,
        ),
    ] = None
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NUMBERS",
            help="A number for each item of the history, such as a rating, a count or a dwell time, separated by commas.",
            show_default=False,
        ),
    ] = None
    times: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DATES",
            help="When each item of the history was bought: dates such as 2026-03-31, or numbers, separated by commas.",
            show_default=False,
        ),
    ] = None


@dataclass(frozen=True)
class ProfileOptions:
    """How a history becomes a profile: the fields of ``ProfileSettings``."""

    half_life: Annotated[
        float | None,
        typer.Option(
            metavar="AGE",
            help="The half-life of items in the history: how much older an item must be to count half as much. In days with "
            "--times (or in the unit of its numbers); without, in positions of the history.",
            show_default=False,
        ),
    ] = None
    last: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Count only the N newest items of the history.", show_default=False),
    ] = None
    interests: Annotated[
        int, typer.Option(metavar="N", min=1, help="Split the history into at most N interests (clusters of items).")
    ] = 1
    merge: Annotated[
        str,
        typer.Option(
            metavar="quota|best",
            help="How several interests share the list: quota gives each its part of the history, best takes the items with "
            "the highest scores.",
        ),
    ] = "quota"
    dislike_weight: Annotated[
        float | None,
        typer.Option(
            metavar="NUMBER", min=0.0, help="How much disliked items count. Default: 0.2.", show_default=False
        ),
    ] = None
    text_weight: Annotated[
        float | None,
        typer.Option(
            metavar="NUMBER",
            min=0.0,
            help="How much --text counts, where the history counts 1. Default: 1.",
            show_default=False,
        ),
    ] = None

    def settings(self) -> ProfileSettings:
        """Return the settings that the options ask for."""
        from vlm4rec_edge.recommend.profile import ProfileSettings

        return ProfileSettings(**given(self))


@dataclass(frozen=True)
class SelectionOptions:
    """What may be recommended: the fields of ``Selection``."""

    where: options.Where = None
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IDS",
            help="Recommend only these items: ids separated by commas, or @FILE, with one id on each line.",
            show_default=False,
        ),
    ] = None
    deny: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IDS",
            help="Never recommend these items: ids separated by commas, or @FILE, with one id on each line.",
            show_default=False,
        ),
    ] = None
    one_per: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Return at most one item for each value of this column; `id:7` compares the first 7 characters of the id.",
            show_default=False,
        ),
    ] = None
    diversity: Annotated[
        float,
        typer.Option(
            metavar="NUMBER",
            min=0.0,
            max=1.0,
            help="How different the items should be from each other: 0 returns the nearest items, values towards 1 items "
            "unlike each other.",
        ),
    ] = 0.0
    min_score: Annotated[
        float | None,
        typer.Option(
            metavar="SCORE",
            help="Return only items with at least this score, a cosine similarity from -1 to 1.",
            show_default=False,
        ),
    ] = None

    def selection(self, shop: Recommender, *, exclude_history: bool = True) -> Selection:
        """Return the selection that the options ask for."""
        from vlm4rec_edge.recommend.selection import Selection

        ids = {name: _ids(shop, values) for name in ("allow", "deny") if (values := getattr(self, name))}
        return Selection(**{**given(self), **ids}, exclude_history=exclude_history)


@dataclass(frozen=True)
class TableOptions:
    """The histories of many users, in place of one."""

    histories: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Instead of --history, the histories of many users: a CSV, JSONL or Parquet file with the columns user_id "
            "and history, or with user_id, item_id, date and, optionally, weight. It needs --out.",
            show_default=False,
        ),
    ] = None
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --histories, the CSV, JSONL or Parquet file to write, with the columns user_id, rank, item_id, score "
            "and basis; - writes CSV to standard output.",
            show_default=False,
        ),
    ] = None


@grouped
def recommend(
    index: options.Shipped,
    history: HistoryOptions,
    profile: ProfileOptions,
    selection: SelectionOptions,
    users: TableOptions,
    columns: options.InteractionColumnOptions,
    k: options.Count = 10,
    popularity: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="A column of the catalog with counts, such as sales. The items with the largest counts are recommended if "
            "the index holds no item of the history and no --text is given.",
            show_default=False,
        ),
    ] = None,
    include_history: Annotated[
        bool, typer.Option("--include-history", help="Recommend items of the history too.")
    ] = False,
    explain: options.Explain = False,
    representation: options.Representation = None,
    encoder: options.EncoderModel = None,
    as_json: options.AsJson = False,
) -> None:
    """Recommend items to a user from the items bought before, which are left out themselves.

    \b
    Examples:
      vlm4rec-edge recommend shop.index --history shirt-1,shoe-7 -k 5
      vlm4rec-edge recommend shop.index --history shirt-1,shoe-7 --where "price < 40" --explain
      vlm4rec-edge recommend shop.index --history shirt-1 --text "for the beach" --diversity 0.3
      vlm4rec-edge recommend shop.index --histories purchases.csv --out recommendations.csv
    """  # noqa: D301 (click reads the control character)
    if (users.histories is None) != (users.out is None):
        raise UsageError("--histories and --out belong together; give both.")
    if users.histories is not None and any([*given(history).values(), profile.text_weight, encoder, explain]):
        raise UsageError(
            "--histories cannot be combined with --history, --disliked, --text, --weights, --times, --text-weight, "
            "--encoder or --explain; weights and dates are columns of its file."
        )
    if users.histories is None and not history.history and history.text is None and popularity is None:
        raise UsageError("There is nothing to recommend from; give --history, --text or --popularity.")
    settings = profile.settings()
    with (
        _opened(index, representation) as shop,
        options.named_encoder(encoder if history.text is not None else None) as own,
    ):
        chosen = selection.selection(shop, exclude_history=not include_history)
        if users.histories is not None and users.out is not None:
            how = {"settings": settings, "selection": chosen, "popularity": popularity, "columns": columns.columns()}
            recommend_to_all(shop, users.histories, users.out, k, how, as_json=as_json)
            return
        found = shop.recommend(
            _ids(shop, history.history or ()),
            k,
            skip_unknown=True,
            weights=lists.numbers("--weights", history.weights) if history.weights else None,
            times=lists.times("--times", history.times) if history.times else None,
            disliked=_ids(shop, history.disliked or ()),
            text=history.text,
            settings=settings,
            selection=chosen,
            popularity=popularity,
            explain=explain,
            encoder=own,
        )
        _show(shop, found, k, as_json=as_json)


@grouped
def similar(
    index: options.Shipped,
    selection: SelectionOptions,
    item: Annotated[str | None, typer.Argument(metavar="[ITEM]", help="An item id.", show_default=False)] = None,
    k: options.Count = 10,
    photo: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Instead of an id, a photo, which need not be in the index. The model that made the index captions it.",
            show_default=False,
        ),
    ] = None,
    model: options.Model = None,
    projector: options.Projector = None,
    vision: options.VisionTower = options.VisionName.auto,
    encoder: options.EncoderModel = None,
    explain: options.Explain = False,
    representation: options.Representation = None,
    as_json: options.AsJson = False,
) -> None:
    """Find the items most similar to one item, or to a new photo.

    \b
    Examples:
      vlm4rec-edge similar shop.index shirt-1
      vlm4rec-edge similar shop.index --photo street.jpg --where "price < 40"
    """  # noqa: D301 (click reads the control character)
    if (item is None) == (photo is None):
        raise UsageError("Give either an item id or --photo FILE.")
    with _opened(index, representation) as shop:
        chosen = selection.selection(shop)
        if photo is None:
            _show(shop, shop.similar(item, k, selection=chosen, explain=explain), k, as_json=as_json)
            return
        from vlm4rec_edge.new_photo import similar_to_photo

        with options.named_encoder(encoder) as own:
            found = similar_to_photo(
                shop,
                photo,
                k,
                model=model,
                projector=projector,
                vision=vision.value,
                encoder=own,
                selection=chosen,
                explain=explain,
            )
        if not as_json:
            note(f"The photo shows: {found.query['caption']}")
            if told := told_of_photo(shop.store.meta.get("encoded_text", "")):
                note(told)
        _show(shop, found, k, as_json=as_json)


@grouped
def search(
    index: options.Shipped,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The text query.", show_default=False)],
    selection: SelectionOptions,
    k: options.Count = 10,
    encoder: options.EncoderModel = None,
    explain: options.Explain = False,
    as_json: options.AsJson = False,
) -> None:
    """Find items by a text query, with the text encoder.

    \b
    Examples:
      vlm4rec-edge search shop.index "warm jacket for autumn"
      vlm4rec-edge search shop.index "warm jacket" --where "audience = 'Kids'"
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.recommend.recommender import Recommender

    with Recommender.open(index) as shop, options.named_encoder(encoder) as own:
        found = shop.search(text, k, encoder=own, selection=selection.selection(shop), explain=explain)
        _show(shop, found, k, as_json=as_json)


def _opened(index: str, representation: options.RepresentationName | None) -> Recommender:
    from vlm4rec_edge.recommend.recommender import Recommender

    shop = Recommender.open(index, words_alone=representation == "words", photos_alone=representation == "photos")
    if representation == "learned" != shop.representation:
        shop.close()
        raise UsageError(
            f"Nothing was learned from purchases in {index}, so its items are compared by titles and captions; leave out "
            "--representation, or run `vlm4rec-edge learn`."
        )
    return shop


def _ids(shop: Recommender, values: Sequence[str]) -> list[str]:
    return lists.split(values, lambda value: not shop.unknown([value]))


def _show(shop: Recommender, found: Recommendations, k: int, *, as_json: bool) -> None:
    """Print an answer, and exit with the code that fits."""
    if as_json:
        emit_json(found.to_dict())
    else:
        _show_to_people(shop, found, k)
    if found.unknown:
        raise typer.Exit(EXIT_SOME_FAILED)


def once(texts: Sequence[str]) -> str:
    """Return title and caption, separated; one of them where both say the same."""
    same = {text.rstrip(".").casefold(): text for text in reversed(texts) if text}
    return " | ".join(reversed(same.values()))


def _show_to_people(shop: Recommender, found: Recommendations, k: int) -> None:
    is_count = found.answered_by == "popularity"
    scores = [f"{hit.score:g}" if is_count else f"{hit.score:.3f}" for hit in found]
    # The words that items are compared by, as far as the catalog has them.
    by_title = shop.store.meta.get("encoded_text", "caption") != "caption"
    words = [[hit.title, hit.caption] if by_title else [hit.caption or hit.title] for hit in found]
    rows = [
        [str(hit.rank), hit.item_id, score, once(own)] for hit, score, own in zip(found, scores, words, strict=True)
    ]
    table("", ["#", "item", "count" if is_count else "score", "what it is"], rows, [hit.why for hit in found])
    if is_count:
        note("Nothing is known of this shopper, so these are the most popular items.")
    if len(found) < k:
        note(
            f"Only {len(found)} items of the index can be recommended here: the others are in the history, or filtered out."
        )
    # Unknown ids of a selection were reported when it was applied.
    asked = {*found.query.get("history", ()), *found.query.get("disliked", ())}
    if unknown := [item for item in found.unknown if item in asked]:
        note(f"Not in the index, and left out: {', '.join(unknown)}. {shop.about_unknown(unknown)}")
