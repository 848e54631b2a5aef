"""The online half: open an index once, then answer from histories, items, words or vectors."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from vlm4rec_edge.encoding.checked import encoded
from vlm4rec_edge.encoding.text import EncodedText, text_of_item
from vlm4rec_edge.errors import ProfileError, StoreError, UnknownItemError, UsageError
from vlm4rec_edge.index import VectorIndex
from vlm4rec_edge.items import item_id as text_of_id
from vlm4rec_edge.items import item_ids
from vlm4rec_edge.plugins import close_model
from vlm4rec_edge.provenance import made_by
from vlm4rec_edge.recommend.choice import Choice, choose
from vlm4rec_edge.recommend.explanation import Part, Reason, reasons_for, sources_compared, with_words
from vlm4rec_edge.recommend.history import History
from vlm4rec_edge.recommend.many import Answer, answer_many
from vlm4rec_edge.recommend.popularity import most_popular, popularity_of
from vlm4rec_edge.recommend.profile import DISLIKE_WEIGHT, ProfileSettings, combine
from vlm4rec_edge.recommend.query import Interest, Query, query_of
from vlm4rec_edge.recommend.result import Basis, Recommendation, Recommendations
from vlm4rec_edge.recommend.running import Profile
from vlm4rec_edge.recommend.selection import Selection, Selector
from vlm4rec_edge.recommend.source import ItemSource, as_asked, open_source, query_vectors
from vlm4rec_edge.recommend.words import InformativeWords, words_of_table

if TYPE_CHECKING:
    from vlm4rec_edge.encoding.protocol import Encoder

# An id that is nearly right is worth naming, if the catalog is small enough to look through.
_LOOK_FOR_SIMILAR_IDS = 20_000
_MEAN = ProfileSettings()
_ALL_BUT_HISTORY = Selection()


class Recommender:
    """An open index; a context manager. Loads no model unless a text is looked for.

    Several threads may ask one recommender at once, so ``await asyncio.to_thread(shop.recommend, history)`` serves many.
    Close it when no call is under way any more. Item ids are texts or whole numbers (``5`` and
    ``numpy.int64(5)`` stand for ``"5"``), and lists of them any iterable, which is read once.

    Example:
        >>> with Recommender.open("shop.index") as shop:  # doctest: +SKIP
        ...     for hit in shop.recommend(["shirt-1", "shoe-7"], k=5, selection=Selection(where="price < 40")):
        ...         print(hit.item_id, hit.score)
    """

    def __init__(self, store: ItemSource, index: VectorIndex) -> None:
        self._store = store
        self._index = index
        self._selector = Selector(store)
        self._lock = threading.Lock()  # around what is loaded when it is first needed
        self._encoder: Encoder | None = None
        self._words: InformativeWords | None = None

    @classmethod
    def open(cls, folder: Path | str, *, exact_limit: int | None = None, backend: str | None = None) -> Recommender:
        """Open the index or the bundle at ``folder``.

        Args:
            folder: What ``build_index`` or ``vlm4rec-edge index`` made.
            exact_limit: Up to so many vectors are scanned exactly, beyond, an index back end answers; default:
                ``vlm4rec_edge.index.EXACT_LIMIT``.
            backend: Its name; default: the one that the index was built with, HNSW as a rule.

        Raises:
            StoreError: there is no index, or it is damaged or empty.
        """
        return cls(*open_source(folder, exact_limit=exact_limit, backend=backend))

    @property
    def store(self) -> ItemSource:
        """What this recommender reads."""
        return self._store

    @property
    def method(self) -> str:
        """``exact`` or ``hnsw``: how this index is searched."""
        return self._index.name

    def unknown(self, items: Iterable[Any]) -> list[str]:
        """Return those of some item ids that the index does not hold, each once, in order."""
        return self._looked_up(item_ids(items))[1]

    def vectors(self, items: Iterable[Any]) -> np.ndarray:
        """Return the vectors of items given by id, shape [items, dimensions], float32, in order, for a query or a profile.

        They are unit vectors, unless something was learned from purchases: then the last dimension, which only gives items
        their length, is 0.

        Raises:
            UnknownItemError: an id is unknown.
        """
        wanted = item_ids(items)
        rows, unknown = self._looked_up(wanted)
        if unknown:
            raise self._unknown_error(unknown)
        return query_vectors(self._store, [rows[item] for item in wanted])

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
        profile = Profile.empty(self._store.space, self._store.dimensions, half_life=half_life)
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
            skip_unknown: Recommend from the known ids instead of refusing when some are unknown.
            weights: One number an item of the history, from 0 on: ratings, counts, dwell times.
            times: When each item of the history was bought, for ``settings.half_life`` and ``settings.last``.
            disliked: Item ids that push away; they are never recommended.
            text: Words that are looked for as well, "for the beach"; loads the encoder.
            settings: How the history becomes a profile.
            selection: What may be recommended.
            popularity: A column of counts; its largest are recommended where there is neither history nor text.
            explain: Whether each recommendation says what it came from.
            encoder: As in ``search``.

        Raises:
            UnknownItemError: an id is unknown (or, with ``skip_unknown``, every one is and nothing else can answer).
            UsageError: there is nothing to recommend from, ``k`` is below 1, an id is none, a number is out of range, the
                filter can not be read, or the items cancel each other out.
            StoreError, ModelError: the encoder that ``text`` needs is not the one of the index, or not there.
        """
        _check_k(k)
        text = text if text and text.strip() else None
        events = History("", history, weights, times)  # type: ignore[arg-type]  # it reads any iterable
        away = item_ids(disliked, "Disliked items")
        if not events.items and text is None and popularity is None:
            raise UsageError("The history is empty; give at least one item id.")
        rows, unknown = self._looked_up([*events.items, *away])
        if unknown and not (skip_unknown and (rows or text is not None or popularity is not None)):
            raise self._unknown_error(unknown)
        asked: dict[str, Any] = {"history": events.items} if events.items or text is None else {}
        asked |= {name: value for name, value in (("disliked", away), ("text", text)) if value}
        left_out = {*away, *(events.items if selection.exclude_history else ())}
        if text is None and not any(item in rows for item in events.items):
            if popularity is None:
                raise self._unknown_error(self.unknown(events.items))
            admission = self._selector.admission(selection, left_out, by_position=True)
            ids, counts = most_popular(self._store, popularity, k, admission)
            nowhere = np.zeros(len(ids), dtype=np.int64)
            chosen = Choice(ids, nowhere, np.array(counts), nowhere)
            return self._answer(chosen, "popularity", asked, unknown=unknown)
        encoded = None if text is None else (text, self._encode(text, encoder))
        query = query_of(self._store, rows, events, settings, disliked=away, text=encoded)
        chosen = self._choose(query, k, selection, left_out, merge=settings.merge)
        basis: Basis = "history"
        if text is not None:
            basis = "history and text" if query.interests[0].weight > 0 else "text"
        return self._answer(chosen, basis, asked, unknown=unknown, explained=query if explain else None)

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
            UsageError: ``k`` is below 1, the filter can not be read, or popularity can not be taken from that column.
        """
        _check_k(k)
        if popularity is not None:  # now, not when the first user comes who needs it
            popularity_of(self._store, popularity)
        return answer_many(
            self._store,
            self._index,
            self._selector,
            histories,
            k,
            settings=settings,
            selection=selection,
            popularity=popularity,
        )

    def similar(
        self, item_id: Any, k: int = 10, *, selection: Selection = _ALL_BUT_HISTORY, explain: bool = False
    ) -> Recommendations:
        """Return the ``k`` items nearest to one item, itself left out.

        Raises:
            UnknownItemError: the id is unknown.
            UsageError: ``k`` is below 1, or the filter can not be read.
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
        """Return the ``k`` items nearest to a text: what is looked for in words, or the caption of a photo.

        Args:
            text: What is looked for, in words.
            k: How many.
            encoder: The encoder that made this index; default: found by the name noted in the index.
            selection: What may be found.
            explain: Whether each answer says which words it shares with the text.

        Raises:
            StoreError: ``encoder`` is another one than made the index.
            ModelError: the encoder noted in the index is not on this machine.
            UsageError: the text is empty or ``k`` is below 1.
        """
        if not text.strip():
            raise UsageError("The search text is empty; say what you look for.")
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
            UsageError: the vector is no such vector, ``k`` is below 1, or the filter can not be read.
        """
        _check_k(k)
        direction = as_asked(self._store, np.asarray(vector, dtype=np.float64))
        if direction.shape != (self._store.dimensions,) or not np.isfinite(direction).all():
            raise UsageError(
                f"The vector must be {self._store.dimensions} finite numbers; it has the shape {direction.shape}."
            )
        try:
            combination = combine(direction[None], np.ones(1))
        except ValueError:
            raise UsageError("The vector is zero; it has no direction.") from None
        query = Query([Interest(combination, [Part("vector", "liked")], 1.0)])
        return self._answer(self._choose(query, k, selection, ()), "vector", {})

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
            UsageError: the profile is empty, ``k`` is below 1, or the filter can not be read.
        """
        if profile.encoder != self._store.space:
            raise ProfileError(
                f"The profile is of another encoder than made the index {self._store.folder}, or of before it learned from "
                "purchases; make it anew from the history."
            )
        return self.recommend_vector(profile.vector(dislike_weight=dislike_weight), k, selection=selection)

    def _looked_up(self, ids: Sequence[str]) -> tuple[Mapping[str, int], list[str]]:
        """Return the rows of ids, and those that are unknown, each once, in order."""
        rows = self._store.rows_of(ids)
        return rows, [item for item in dict.fromkeys(ids) if item not in rows]

    def _choose(
        self, query: Query, k: int, selection: Selection, left_out: Collection[str], merge: str = "quota"
    ) -> Choice:
        admission = self._selector.admission(selection, left_out)
        return choose(self._store, self._index, query, k, admission, merge=merge, diversity=selection.diversity)

    def _answer(
        self,
        chosen: Choice,
        basis: Basis,
        asked: Mapping[str, Any],
        *,
        unknown: Sequence[str] = (),
        explained: Query | None = None,
    ) -> Recommendations:
        found = self._reasons(chosen, explained) if explained and chosen.ids else []
        wanted = dict.fromkeys((*chosen.ids, *sources_compared(found)))
        items = self._store.items_of(list(wanted))
        if lost := [item_id for item_id in wanted if item_id not in items]:
            raise StoreError(
                f"{self._store.folder} is damaged (it knows where the vector of {lost[0]!r} is, and not the item); "
                f"run: vlm4rec-edge repair {self._store.folder}"
            )
        reasons: Sequence[tuple[Reason, ...]] = [()] * len(chosen.ids)
        if found:
            kind = self._encoded_text
            texts = {item.id: text_of_item(kind, title=item.title, caption=item.caption) for item in items.values()}
            words = self._informative_words()
            reasons = [
                with_words(own, texts[item_id], texts, words) for item_id, own in zip(chosen.ids, found, strict=True)
            ]
        places = zip(chosen.ids, chosen.scores.tolist(), chosen.interests.tolist(), reasons, strict=True)
        hits = [
            Recommendation(
                rank, item_id, score, item.title, item.caption, item.image, item.attributes, basis, because, interest
            )
            for rank, (item_id, score, interest, because) in enumerate(places, start=1)
            for item in (items[item_id],)
        ]
        return Recommendations(hits, folder=str(self._store.folder), method=self.method, query=asked, unknown=unknown)

    def _reasons(self, chosen: Choice, query: Query) -> list[list[Reason]]:
        vectors = self._store.vectors_at(chosen.rows)
        found: list[list[Reason]] = [[] for _ in chosen.ids]
        for number, interest in enumerate(query.interests):
            own = np.flatnonzero(chosen.interests == number)
            told = reasons_for(vectors[own], interest.combination, interest.parts, self._store.layout)
            for place, reasons in zip(own.tolist(), told, strict=True):
                found[place] = reasons
        return found

    @property
    def _encoded_text(self) -> EncodedText:
        return self._store.meta.get("encoded_text", "caption")  # type: ignore[return-value]  # as it was checked when written

    def _informative_words(self) -> InformativeWords:
        with self._lock:
            if self._words is None:
                self._words = words_of_table(self._store.table(), self._encoded_text)
            return self._words

    def _encode(self, text: str, encoder: Encoder | None) -> np.ndarray:
        if encoder is None:
            with self._lock:
                if self._encoder is None:
                    from vlm4rec_edge.encoding.opening import open_encoder

                    # Looking one text up is too small for a GPU to be worth its start.
                    self._encoder = open_encoder(self._store.encoder_files() or self._name_of_encoder(), device="cpu")
                encoder = self._encoder
        if made_by(encoder).fingerprint != self._store.meta["encoder"]:
            raise StoreError(
                f"The index {self._store.folder} was made by another encoder or another version of it than "
                f"{encoder.identity.get('name')}; give the right one with --encoder, or index again with this one."
            )
        return np.asarray(encoded(encoder, [text])[0])

    def _name_of_encoder(self) -> str:
        name = self._store.provenance("encoders").get("name")
        if not name:
            raise StoreError(
                f"{self._store.folder} has lost the name of the encoder that made it; give the encoder, or mend the index "
                f"with: vlm4rec-edge repair {self._store.folder}"
            )
        return str(name)

    def _unknown_error(self, unknown: Sequence[str]) -> UnknownItemError:
        message = f"The index {self._store.folder} holds no item {', '.join(map(repr, unknown[:5]))}"
        if len(unknown) > 5:
            message += f" and {len(unknown) - 5} more"
        if self._store.count() <= _LOOK_FOR_SIMILAR_IDS:
            near = difflib.get_close_matches(unknown[0], [item.id for item in self._store.items()], n=3)
            if near:
                return UnknownItemError(f"{message}; did you mean {' or '.join(map(repr, near))}?")
        return UnknownItemError(f"{message}; `vlm4rec-edge info` shows what it holds.")

    def close(self) -> None:
        """Let go of the index and of the encoder, if one was loaded."""
        close_model(self._encoder)
        self._store.close()

    def __enter__(self) -> Recommender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check_k(k: int) -> None:
    if not isinstance(k, Integral) or k < 1:
        raise UsageError(f"k is {k}; ask for at least 1 item, a whole number.")
