"""The online half: open an index once, then answer from histories, items, texts or vectors."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from vlm4rec_edge.closable import Closable
from vlm4rec_edge.errors import ProfileError, UsageError
from vlm4rec_edge.given import Place, place_of, text_of
from vlm4rec_edge.index import VectorIndex
from vlm4rec_edge.items import item_id as text_of_id
from vlm4rec_edge.items import item_ids
from vlm4rec_edge.recommend.choice import Choice
from vlm4rec_edge.recommend.explanation import Part
from vlm4rec_edge.recommend.facets import ColumnSummary
from vlm4rec_edge.recommend.history import History
from vlm4rec_edge.recommend.listing import PAGE_ITEMS, ItemPage, ListedItem
from vlm4rec_edge.recommend.many import Answer, answer_many
from vlm4rec_edge.recommend.popularity import most_popular, popularity_column
from vlm4rec_edge.recommend.profile import DISLIKE_WEIGHT, ProfileSettings, combine
from vlm4rec_edge.recommend.query import Interest, Query, query_of
from vlm4rec_edge.recommend.result import Basis, Recommendations
from vlm4rec_edge.recommend.running import Profile
from vlm4rec_edge.recommend.selection import Selection
from vlm4rec_edge.recommend.snapshot import Snapshot
from vlm4rec_edge.recommend.source import ItemSource, as_asked, generation_of, open_source, query_vectors

if TYPE_CHECKING:
    from vlm4rec_edge.encoding.protocol import Encoder

_MEAN = ProfileSettings()
_ALL_BUT_HISTORY = Selection()


class Recommender(Closable):
    """An open index; a context manager. Loads no model unless a text is given.

    It answers from the index as it was when it was opened, whatever is written to it later; ``reload`` reads what is new.
    Several threads may ask one recommender at once, so ``await asyncio.to_thread(shop.recommend, history)`` serves many; calls
    under way when it is reloaded or closed still get their answer. Later ones raise ``StoreError`` once it is closed.

    Item ids are texts or whole numbers (``5`` and ``numpy.int64(5)`` stand for ``"5"``), and lists of them any iterable, which
    is read once. They are compared by their Unicode form NFC, and answered as the index writes them.

    Example:
        >>> with Recommender.open("shop.index") as shop:  # doctest: +SKIP
        ...     for hit in shop.recommend(["shirt-1", "shoe-7"], k=5, selection=Selection(where="price < 40")):
        ...         print(hit.item_id, hit.score)
    """

    def __init__(
        self,
        store: ItemSource,
        index: VectorIndex,
        *,
        exact_limit: int | None = None,
        backend: str | None = None,
        words_alone: bool = False,
        photos_alone: bool = False,
        generation: str | None = None,
    ) -> None:
        self._how: dict[str, Any] = {
            "exact_limit": exact_limit,
            "backend": backend,
            "words_alone": words_alone,
            "photos_alone": photos_alone,
        }
        self._snapshot = Snapshot(store, index, generation=generation or generation_of(store.folder))
        self._reloading = threading.Lock()

    @classmethod
    def open(
        cls,
        folder: Place,
        *,
        exact_limit: int | None = None,
        backend: str | None = None,
        words_alone: bool = False,
        photos_alone: bool = False,
    ) -> Recommender:
        """Open the index, the bundle or the LanceDB table at ``folder``.

        Args:
            folder: What ``build_index`` or ``vlm4rec-edge index`` made, a bundle of it, or the address of a table that it was
                exported to, such as ``lancedb://shop.lancedb``.
            exact_limit: Up to so many vectors are scanned exactly, beyond, an index back end answers; default:
                ``vlm4rec_edge.index.EXACT_LIMIT``.
            backend: Its name; default: the one that the index was built with, HNSW as a rule.
            words_alone: Compare items by titles and captions alone, without what was learned from purchases.
            photos_alone: Compare items by their photos' own vectors, of which the mean of all items is taken away, and not by
                words: what a matcher of pixels would recommend. Everything but a text is asked as of the words. All items
                are scanned.

        Raises:
            StoreError: there is no index, or it is damaged or empty.
            UsageError: ``folder`` is not a path, ``words_alone`` is asked of a bundle that learned, or ``photos_alone`` of a
                bundle, or of an index that keeps no vectors of photos.
        """
        generation = generation_of(
            place_of(folder, "An index")
        )  # before it is opened: what comes between is seen later
        how: dict[str, Any] = {
            "exact_limit": exact_limit,
            "backend": backend,
            "words_alone": words_alone,
            "photos_alone": photos_alone,
        }
        return cls(*open_source(folder, **how), **how, generation=generation)

    def reload(self) -> None:
        """Answer from the index as it is now. Calls under way end with what they began with; a loaded encoder is kept.

        Raises:
            StoreError: it is closed, or what lies there now cannot be opened; then it goes on with what it has.
        """
        with self._reloading, self._snapshot.held() as old:
            generation = generation_of(old.source.folder)
            source, index = open_source(old.source.folder, **self._how)
            new = Snapshot(source, index, generation=generation)
            try:
                new.prepare_like(old)
            except BaseException:
                new.retire()
                raise
            new.give_encoder(old.take_encoder(source.meta["encoder"]))
            self._snapshot = new
            old.retire()

    def reload_if_changed(self) -> bool:
        """Reload if something was written since, and return whether; two looks at the folder where nothing was.

        Raises:
            StoreError: as ``reload``.
        """
        with self._snapshot.held() as now:
            if generation_of(now.source.folder) == now.generation:
                return False
        self.reload()
        return True

    @property
    def generation(self) -> str:
        """Which moment of the index it answers from: another text after every change that was taken up."""
        with self._snapshot.held() as now:
            return now.generation

    @property
    def store(self) -> ItemSource:
        """What this recommender reads; another one after ``reload``."""
        with self._snapshot.held() as now:
            return now.source

    @property
    def representation(self) -> str:
        """By what items are compared: ``words``, ``learned`` (words and purchases), or ``photos``."""
        return self.store.representation

    @property
    def method(self) -> str:
        """``exact`` or ``hnsw``: how this index is searched."""
        with self._snapshot.held() as now:
            return now.index.name

    def unknown(self, items: Iterable[Any]) -> list[str]:
        """Return those of some item ids that the index does not hold, each once, in order."""
        with self._snapshot.held() as now:
            return now.ids.look_up(item_ids(items)).unknown

    def about_unknown(self, unknown: Sequence[str]) -> str:
        """Return a sentence about some unknown ids: what one of them may have been meant for, or where all ids are listed."""
        with self._snapshot.held() as now:
            hint = now.ids.hint(unknown)
            return hint[0].upper() + hint[1:]

    def unknown_in(self, selection: Selection) -> list[str]:
        """Return those of the ids that a selection allows, denies or compares with that the index does not hold.

        Raises:
            UnknownItemError: it holds none of those that are allowed, so nothing is left.
            UsageError: the filter cannot be read.
        """
        with self._snapshot.held() as now:
            return list(now.selector.named_by(selection).unknown)

    def items(
        self, *, where: str | None = None, after: Any = None, skip: int = 0, limit: int | None = PAGE_ITEMS
    ) -> ItemPage:
        """Return a page of the items, ordered by id; arguments and errors as ``list_items``."""
        with self._snapshot.held() as now:
            return now.listing.page(where=where, after=after, skip=skip, limit=limit)

    def listed(self, items: Iterable[Any]) -> list[ListedItem]:
        """Return items given by id, in order; those that the index does not hold are left out."""
        with self._snapshot.held() as now:
            return now.listing.listed(now.ids.look_up(item_ids(items)).ids)

    def columns(self) -> list[ColumnSummary]:
        """Return the columns that filters may name, with their most frequent values; all items are read the first time."""
        with self._snapshot.held() as now:
            return now.columns()

    def thumbnail(self, item: Any) -> bytes | None:
        """Return the small JPEG picture that a bundle carries of an item; None if there is none, or no such item."""
        with self._snapshot.held() as now:
            return now.source.thumbnail(now.ids.look_up([text_of_id(item)]).ids[0])

    def vectors(self, items: Iterable[Any]) -> np.ndarray:
        """Return the vectors of items given by id, shape [items, dimensions], float32, in order, for a query or a profile.

        They are unit vectors, unless something was learned from purchases: then the last dimension, which only gives items
        their length, is 0.

        Raises:
            UnknownItemError: an id is unknown.
        """
        with self._snapshot.held() as now:
            found = now.ids.look_up(item_ids(items))
            if found.unknown:
                raise now.ids.error(found.unknown)
            return query_vectors(now.source, [found.rows[item] for item in found.ids])

    def profile(
        self,
        history: Iterable[Any] = (),
        *,
        weights: Iterable[float] | None = None,
        times: Iterable[float] | None = None,
        disliked: Iterable[Any] = (),
        half_life: float | None = None,
    ) -> Profile:
        """Return a profile object of a history, empty or to be added to, that can be kept in place of the history.

        Args:
            history: Item ids.
            weights: One an item of the history, from 0 on.
            times: One an item of the history; needed if there is a half-life.
            disliked: Item ids that push away.
            half_life: In the unit of the times.

        Raises:
            UnknownItemError: an id is unknown.
            UsageError: a number is missing or out of range.
        """
        source = self.store
        profile = Profile.empty(source.space, source.dimensions, half_life=half_life)
        events = History("", history, weights, times)  # type: ignore[arg-type]  # it reads any iterable
        for place, vector in enumerate(self.vectors(events.items)):
            profile = profile.add(
                vector,
                weight=1.0 if events.weights is None else events.weights[place],
                time=None if events.times is None else events.times[place],
            )
        for vector in self.vectors(disliked):
            profile = profile.add(vector, disliked=True)
        return profile

    def recommend(
        self,
        history: Iterable[Any],
        k: int = 10,
        *,
        skip_unknown: bool = False,
        weights: Iterable[float] | None = None,
        times: Iterable[float] | None = None,
        disliked: Iterable[Any] = (),
        text: str | None = None,
        settings: ProfileSettings = _MEAN,
        selection: Selection = _ALL_BUT_HISTORY,
        popularity: str | None = None,
        explain: bool = False,
        encoder: Encoder | None = None,
    ) -> Recommendations:
        """Return the ``k`` items nearest to the profile of a history; by default its mean, the history itself left out.

        Args:
            history: Item ids, the oldest first; an id given twice counts twice.
            k: How many; fewer come back only where no more may be shown.
            skip_unknown: Recommend from the known ids of the history instead of refusing when some are unknown.
            weights: One number an item of the history, from 0 on: ratings, counts, dwell times.
            times: When each item of the history was bought, for ``settings.half_life`` and ``settings.last``.
            disliked: Item ids that push away; they are never recommended.
            text: A text query beside the history, such as "for the beach"; loads the encoder.
            settings: How the history becomes a profile.
            selection: What may be recommended.
            popularity: A column of counts; its largest are recommended where there is neither history nor text.
            explain: Whether each recommendation says what it came from.
            encoder: As in ``search``.

        Raises:
            UnknownItemError: an id is unknown (or, with ``skip_unknown``, every one is and nothing else can answer).
            UsageError: there is nothing to recommend from, ``k`` is below 1, an id is none, a number is out of range, the
                filter cannot be read, or the items cancel each other out.
            StoreError, ModelError: the encoder that ``text`` needs is not the one of the index, or not there.
        """
        _check_k(k)
        text = None if text is None or not text_of(text, "The search text").strip() else text
        events = History("", history, weights, times)  # type: ignore[arg-type]  # it reads any iterable
        away = item_ids(disliked, "Disliked items")
        if not events.items and text is None and popularity is None:
            raise UsageError("The history is empty; give at least one item id.")
        with self._snapshot.held() as now:
            if popularity is not None:  # now, not when the first history comes of which nothing is known
                popularity_column(now.source, popularity)
            found = now.ids.look_up([*events.items, *away])
            can_answer = found.rows or text is not None or popularity is not None
            if found.unknown and not (skip_unknown and can_answer):
                raise now.ids.error(found.unknown)
            asked: dict[str, Any] = {"history": events.items} if events.items or text is None else {}
            asked |= {name: value for name, value in (("disliked", away), ("text", text)) if value}
            events, away = replace(events, items=found.ids[: len(events.items)]), found.ids[len(events.items) :]
            left_out = {*away, *(events.items if selection.exclude_history else ())}
            unknown = [*found.unknown, *now.selector.named_by(selection).unknown]
            if text is None and not any(item in found.rows for item in events.items):
                if popularity is None:
                    raise now.ids.error(now.ids.look_up(events.items).unknown)
                admission = now.selector.admission(selection, left_out, by_position=True)
                ids, counts = most_popular(now.source, popularity, k, admission)
                nowhere = np.zeros(len(ids), dtype=np.int64)
                return now.answer(Choice(ids, nowhere, np.array(counts), nowhere), "popularity", asked, unknown=unknown)
            encoded = None if text is None else (text, now.encode(text, encoder))
            query = query_of(now.source, found.rows, events, settings, disliked=away, text=encoded)
            chosen = now.choose(query, k, selection, left_out, merge=settings.merge)
            basis: Basis = "history"
            if text is not None:
                basis = "history and text" if query.interests[0].weight > 0 else "text"
            return now.answer(chosen, basis, asked, unknown=unknown, explained=query if explain else None)

    def recommend_many(
        self,
        histories: Iterable[History],
        k: int = 10,
        *,
        settings: ProfileSettings = _MEAN,
        selection: Selection = _ALL_BUT_HISTORY,
        popularity: str | None = None,
    ) -> Iterator[Answer]:
        """Yield what ``recommend`` returns, as ids and scores, for each of many histories, in order and with flat memory.

        Unknown items are passed over and named in the answer. A history that nothing can be recommended from gets an empty
        answer that says why, or, with ``popularity``, the most popular items.

        Args:
            histories: Any iterable; read block by block.
            k: How many items each.
            settings: How a history becomes a profile.
            selection: What may be recommended.
            popularity: A column of counts, for users of whose history nothing is known.

        Raises:
            UsageError: ``k`` is below 1, the filter cannot be read, or popularity cannot be taken from that column.
        """
        _check_k(k)
        with self._snapshot.held() as now:  # now, not when the first user comes who needs it
            now.selector.named_by(selection)
            if popularity is not None:
                popularity_column(now.source, popularity)
        return self._answers(histories, k, settings=settings, selection=selection, popularity=popularity)

    def _answers(self, histories: Iterable[History], k: int, **how: Any) -> Iterator[Answer]:
        with self._snapshot.held() as now:
            yield from answer_many(now.source, now.index, now.selector, now.ids, histories, k, **how)

    def similar(
        self, item_id: Any, k: int = 10, *, selection: Selection = _ALL_BUT_HISTORY, explain: bool = False
    ) -> Recommendations:
        """Return the ``k`` items nearest to one item, itself left out.

        Raises:
            UnknownItemError: the id is unknown.
            UsageError: ``k`` is below 1, or the filter cannot be read.
        """
        item = text_of_id(item_id)
        found = self.recommend([item], k, selection=selection, explain=explain)
        found.query = {"item": item}
        return found

    def search(
        self,
        text: str,
        k: int = 10,
        *,
        encoder: Encoder | None = None,
        selection: Selection = _ALL_BUT_HISTORY,
        explain: bool = False,
    ) -> Recommendations:
        """Return the ``k`` items nearest to a text: a search text, or the caption of a photo.

        Args:
            text: The search text.
            k: How many.
            encoder: The encoder that made this index; default: found by the name noted in the index.
            selection: What may be found.
            explain: Whether each answer says which words it shares with the text.

        Raises:
            StoreError: ``encoder`` is another one than made the index.
            ModelError: the encoder noted in the index is not on this machine.
            UsageError: the text is empty or ``k`` is below 1.
        """
        if not text_of(text, "The search text").strip():
            raise UsageError("The search text is empty; give some text.")
        return self.recommend([], k, text=text, encoder=encoder, selection=selection, explain=explain)

    def recommend_vector(
        self, vector: np.ndarray, k: int = 10, *, selection: Selection = _ALL_BUT_HISTORY
    ) -> Recommendations:
        """Return the ``k`` items nearest to any vector of this index's space.

        Args:
            vector: Shape [dimensions], finite, not zero; its length does not matter. Of an index that learned from purchases a
                vector of the encoder will do too.
            k: How many.
            selection: What may be recommended. A vector has no history: name in ``deny`` what is not to come back.

        Raises:
            UsageError: the vector is no such vector, ``k`` is below 1, or the filter cannot be read.
        """
        _check_k(k)
        try:
            direction = np.asarray(vector, dtype=np.float64)
        except (TypeError, ValueError):
            raise UsageError(f"The vector is not a list of numbers, but {vector!r:.60}.") from None
        with self._snapshot.held() as now:
            direction = as_asked(now.source, direction)
            if direction.shape != (now.source.dimensions,) or not np.isfinite(direction).all():
                raise UsageError(
                    f"The vector must be {now.source.dimensions} finite numbers; it has the shape {direction.shape}."
                )
            try:
                combination = combine(direction[None], np.ones(1))
            except ValueError:
                raise UsageError("The vector is zero; it has no direction.") from None
            query = Query([Interest(combination, [Part("vector", "liked")], 1.0)])
            unknown = now.selector.named_by(selection).unknown
            return now.answer(now.choose(query, k, selection, ()), "vector", {}, unknown=unknown)

    def recommend_profile(
        self,
        profile: Profile,
        k: int = 10,
        *,
        selection: Selection = _ALL_BUT_HISTORY,
        dislike_weight: float = DISLIKE_WEIGHT,
    ) -> Recommendations:
        """Return the ``k`` items nearest to a kept profile; it does not know its history, so that may come back.

        Raises:
            ProfileError: the profile is of another encoder.
            UsageError: the profile is empty, ``k`` is below 1, or the filter cannot be read.
        """
        source = self.store
        if profile.encoder != source.space:
            raise ProfileError(
                f"The profile was made with another encoder than the index {source.folder}, or before it learned from "
                "purchases; rebuild it from the history."
            )
        return self.recommend_vector(profile.vector(dislike_weight=dislike_weight), k, selection=selection)

    def close(self) -> None:
        """Let go of the index and of the encoder, if one was loaded, as soon as the calls under way have ended."""
        self._snapshot.retire()


def _check_k(k: int) -> None:
    if not isinstance(k, Integral) or k < 1:
        raise UsageError(f"k is {k}; ask for at least 1 item, a whole number.")
