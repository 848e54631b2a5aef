"""The online half: open an index once, then answer from histories, items, words or vectors."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal

import numpy as np

from vlm4rec_edge.errors import ProfileError, StoreError, UnknownItemError, UsageError
from vlm4rec_edge.index import VectorIndex
from vlm4rec_edge.recommend.choice import Choice, choose
from vlm4rec_edge.recommend.explanation import Part, Reason, in_words, reasons_for, sources_compared, with_words
from vlm4rec_edge.recommend.many import Answer, History, answer_many
from vlm4rec_edge.recommend.popularity import most_popular, popularity_of
from vlm4rec_edge.recommend.profile import DISLIKE_WEIGHT, ProfileSettings, combine
from vlm4rec_edge.recommend.question import Question, question_of
from vlm4rec_edge.recommend.running import Profile
from vlm4rec_edge.recommend.selection import Selection, Selector
from vlm4rec_edge.recommend.source import ItemSource, open_source
from vlm4rec_edge.recommend.words import InformativeWords, encoded_text_of, words_of_table

if TYPE_CHECKING:
    from vlm4rec_edge.encoding.encoder import Encoder

Basis = Literal["history", "history and text", "text", "popularity", "vector"]

# An id that is nearly right is worth naming, if the catalog is small enough to look through.
_LOOK_FOR_SIMILAR_IDS = 20_000
_MEAN = ProfileSettings()
_ALL_BUT_HISTORY = Selection()


@dataclass(frozen=True)
class Recommendation:
    """One answer.

    Attributes:
        rank: From 1.
        item_id, title, caption, image, attributes: As the index holds the item.
        score: The cosine between profile and item (-1 to 1); where ``basis`` is ``popularity``, the item's count.
        basis: What answered: ``history``, ``history and text``, ``text``, ``vector``, or ``popularity``.
        because: The reasons, strongest first, whose amounts sum to the score; empty unless they were asked for.
        interest: Which of several interests it belongs to, from 0.
    """

    rank: int
    item_id: str
    score: float
    title: str
    caption: str
    image: str
    attributes: Mapping[str, str]
    basis: Basis = "history"
    because: tuple[Reason, ...] = ()
    interest: int = 0

    @property
    def why(self) -> str:
        """The reasons as a sentence; empty where there are none."""
        return in_words(self.because)


class Recommender:
    """An open index; a context manager. Loads no model unless a text is looked for.

    Several threads may ask one recommender at once, so ``await asyncio.to_thread(shop.recommend, history)`` serves many.
    Close it when no question is under way any more.

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

    def unknown(self, item_ids: Sequence[str]) -> list[str]:
        """Return those of ``item_ids`` that the index does not hold, in order."""
        known = self._store.rows_of(item_ids)
        return [item_id for item_id in dict.fromkeys(item_ids) if item_id not in known]

    def vectors(self, item_ids: Sequence[str]) -> np.ndarray:
        """Return the unit vectors of items, shape [len(item_ids), dimensions], float32, in order.

        Raises:
            UnknownItemError: an id is unknown.
        """
        rows = self._known_rows(item_ids, skip_unknown=False)
        return self._store.vectors_at([rows[item_id] for item_id in item_ids])

    def profile(
        self,
        history: Sequence[str] = (),
        *,
        weights: Sequence[float] | None = None,
        times: Sequence[float] | None = None,
        disliked: Sequence[str] = (),
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
        profile = Profile.empty(self._store.meta["encoder"], self._store.dimensions, half_life=half_life)
        for name, values in (("weights", weights), ("times", times)):
            if values is not None and len(values) != len(history):
                raise UsageError(f"There are {len(values)} {name} for {len(history)} items; give one for each.")
        for place, vector in enumerate(self.vectors(history)):
            profile = profile.add(
                vector,
                weight=1.0 if weights is None else weights[place],
                time=None if times is None else times[place],
            )
        for vector in self.vectors(disliked):
            profile = profile.add(vector, disliked=True)
        return profile

    def recommend(
        self,
        history: Sequence[str],
        k: int = 10,
        *,
        skip_unknown: bool = False,
        weights: Sequence[float] | None = None,
        times: Sequence[float] | None = None,
        disliked: Sequence[str] = (),
        text: str | None = None,
        settings: ProfileSettings = _MEAN,
        selection: Selection = _ALL_BUT_HISTORY,
        popularity: str | None = None,
        explain: bool = False,
        encoder: Encoder | None = None,
    ) -> list[Recommendation]:
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
            UsageError: there is nothing to recommend from, ``k`` is below 1, a number is out of range, the filter can not
                be read, or the items cancel each other out.
            StoreError, ModelError: the encoder that ``text`` needs is not the one of the index, or not there.
        """
        _check_k(k)
        text = text if text and text.strip() else None
        if not history and text is None and popularity is None:
            raise UsageError("The history is empty; give at least one item id.")
        other = text is not None or popularity is not None
        rows = self._known_rows((*history, *disliked), skip_unknown=skip_unknown, may_be_none=other)
        left_out = {*disliked, *(history if selection.exclude_history else ())}
        if not any(item_id in rows for item_id in history) and text is None:
            if popularity is None:
                raise UnknownItemError(self._unknown_message(self.unknown(history)))
            admission = self._selector.admission(selection, left_out, by_position=True)
            return self._shown_popular(*most_popular(self._store, popularity, k, admission))
        question = question_of(
            self._store,
            rows,
            history=history,
            weights=weights,
            times=times,
            disliked=disliked,
            text=None if text is None else (text, self._encode(text, encoder)),
            settings=settings,
        )
        chosen = self._choose(question, k, selection, left_out, merge=settings.merge)
        basis: Basis = "history"
        if text is not None:
            basis = "history and text" if len(question.importance) and question.importance[0] > 0 else "text"
        return self._shown(chosen, basis, question if explain else None)

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
        self, item_id: str, k: int = 10, *, selection: Selection = _ALL_BUT_HISTORY, explain: bool = False
    ) -> list[Recommendation]:
        """Return the ``k`` items nearest to one item, itself left out.

        Raises:
            UnknownItemError: the id is unknown.
            UsageError: ``k`` is below 1, or the filter can not be read.
        """
        return self.recommend([item_id], k, selection=selection, explain=explain)

    def search(
        self,
        text: str,
        k: int = 10,
        *,
        encoder: Encoder | None = None,
        selection: Selection = _ALL_BUT_HISTORY,
        explain: bool = False,
    ) -> list[Recommendation]:
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
    ) -> list[Recommendation]:
        """Return the ``k`` items nearest to any vector of this index's space.

        Args:
            vector: Shape [dimensions], finite, not zero; its length does not matter.
            k: How many.
            selection: What may be recommended. A vector has no history: name in ``deny`` what is not to come back.

        Raises:
            UsageError: the vector is no such vector, ``k`` is below 1, or the filter can not be read.
        """
        _check_k(k)
        direction = np.asarray(vector, dtype=np.float64)
        if direction.shape != (self._store.dimensions,) or not np.isfinite(direction).all():
            raise UsageError(
                f"The vector must be {self._store.dimensions} finite numbers; it has the shape {direction.shape}."
            )
        try:
            combination = combine(direction[None], np.ones(1))
        except ValueError:
            raise UsageError("The vector is zero; it has no direction.") from None
        question = Question([combination], [[Part("vector", "liked")]], np.ones(1))
        return self._shown(self._choose(question, k, selection, ()), "vector", None)

    def recommend_profile(
        self,
        profile: Profile,
        k: int = 10,
        *,
        selection: Selection = _ALL_BUT_HISTORY,
        dislike_weight: float = DISLIKE_WEIGHT,
    ) -> list[Recommendation]:
        """Return the ``k`` items nearest to a kept profile; it does not know its history, so that may come back.

        Raises:
            ProfileError: the profile is of another encoder.
            UsageError: the profile is empty, ``k`` is below 1, or the filter can not be read.
        """
        if profile.encoder != self._store.meta["encoder"]:
            raise ProfileError(f"The profile is of another encoder than made the index {self._store.folder}.")
        return self.recommend_vector(profile.vector(dislike_weight=dislike_weight), k, selection=selection)

    def _known_rows(
        self, item_ids: Sequence[str], *, skip_unknown: bool, may_be_none: bool = False
    ) -> Mapping[str, int]:
        rows = self._store.rows_of(item_ids)
        unknown = [item_id for item_id in dict.fromkeys(item_ids) if item_id not in rows]
        if unknown and not (skip_unknown and (rows or may_be_none)):
            raise UnknownItemError(self._unknown_message(unknown))
        return rows

    def _choose(
        self, question: Question, k: int, selection: Selection, left_out: Sequence[str] | set[str], merge: str = "quota"
    ) -> Choice:
        admission = self._selector.admission(selection, left_out)
        return choose(self._store, self._index, question, k, admission, merge=merge, diversity=selection.diversity)

    def _shown(self, chosen: Choice, basis: Basis, explained: Question | None) -> list[Recommendation]:
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
            kind = self._store.meta.get("encoded_text", "caption")
            texts = {item_id: encoded_text_of(item, kind) for item_id, item in items.items()}
            words = self._informative_words(kind)
            reasons = [
                with_words(own, texts[item_id], texts, words) for item_id, own in zip(chosen.ids, found, strict=True)
            ]
        places = zip(chosen.ids, chosen.scores.tolist(), chosen.interests.tolist(), reasons, strict=True)
        return [
            Recommendation(
                rank, item_id, score, item.title, item.caption, item.image, item.attributes, basis, because, interest
            )
            for rank, (item_id, score, interest, because) in enumerate(places, start=1)
            for item in (items[item_id],)
        ]

    def _shown_popular(self, ids: Sequence[str], counts: Sequence[float]) -> list[Recommendation]:
        nowhere = np.zeros(len(ids), dtype=np.int64)
        return self._shown(Choice(ids, nowhere, np.array(counts), nowhere), "popularity", None)

    def _reasons(self, chosen: Choice, question: Question) -> list[list[Reason]]:
        vectors = self._store.vectors_at(chosen.rows)
        found: list[list[Reason]] = [[] for _ in chosen.ids]
        for number, (interest, parts) in enumerate(zip(question.interests, question.parts, strict=True)):
            own = np.flatnonzero(chosen.interests == number)
            for place, reasons in zip(own.tolist(), reasons_for(vectors[own], interest, parts), strict=True):
                found[place] = reasons
        return found

    def _informative_words(self, kind: str) -> InformativeWords:
        with self._lock:
            if self._words is None:
                self._words = words_of_table(self._store.table(), kind)
            return self._words

    def _encode(self, text: str, encoder: Encoder | None) -> np.ndarray:
        if encoder is None:
            with self._lock:
                if self._encoder is None:
                    from vlm4rec_edge.encoding.encoder import Encoder
                    from vlm4rec_edge.models.resolve import resolve_encoder

                    files = self._store.encoder_files() or resolve_encoder(self._name_of_encoder())
                    # Looking one text up is too small for a GPU to be worth its start.
                    self._encoder = Encoder(files, device="cpu")
                encoder = self._encoder
        if encoder.fingerprint != self._store.meta["encoder"]:
            raise StoreError(
                f"The index {self._store.folder} was made by another encoder or another version of it than "
                f"{encoder.files.name}; give the right one with --encoder, or index again with this one."
            )
        return np.asarray(encoder.encode([text])[0])

    def _name_of_encoder(self) -> str:
        name = self._store.provenance("encoders").get("name")
        if not name:
            raise StoreError(
                f"{self._store.folder} has lost the name of the encoder that made it; give the encoder, or mend the index "
                f"with: vlm4rec-edge repair {self._store.folder}"
            )
        return str(name)

    def _unknown_message(self, unknown: Sequence[str]) -> str:
        message = f"The index {self._store.folder} holds no item {', '.join(map(repr, unknown[:5]))}"
        if len(unknown) > 5:
            message += f" and {len(unknown) - 5} more"
        if self._store.count() <= _LOOK_FOR_SIMILAR_IDS:
            near = difflib.get_close_matches(unknown[0], [item.id for item in self._store.items()], n=3)
            if near:
                return f"{message}; did you mean {' or '.join(map(repr, near))}?"
        return f"{message}; `vlm4rec-edge info` shows what it holds."

    def close(self) -> None:
        """Let go of the index and of the encoder, if one was loaded."""
        if self._encoder is not None:
            self._encoder.close()
        self._store.close()

    def __enter__(self) -> Recommender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check_k(k: int) -> None:
    if k < 1:
        raise UsageError(f"k is {k}; ask for at least 1 item.")
