"""One moment of an index, opened: what a recommender answers from until it is reloaded or closed."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from vlm4rec_edge.encoding.checked import check_encoder_of, encoded
from vlm4rec_edge.encoding.text import CAPTION, EncodedText, text_of_item
from vlm4rec_edge.errors import StoreError, UsageError
from vlm4rec_edge.index import VectorIndex
from vlm4rec_edge.plugins import close_model
from vlm4rec_edge.provenance import made_by
from vlm4rec_edge.recommend.choice import Choice, choose
from vlm4rec_edge.recommend.explanation import Reason, captions_liked, reasons_for, sources_compared, with_words
from vlm4rec_edge.recommend.facets import ColumnSummary, summaries
from vlm4rec_edge.recommend.ids import KnownIds
from vlm4rec_edge.recommend.listing import Listing
from vlm4rec_edge.recommend.query import Query
from vlm4rec_edge.recommend.result import Basis, Recommendation, Recommendations
from vlm4rec_edge.recommend.selection import Selection, Selector
from vlm4rec_edge.recommend.source import ItemSource
from vlm4rec_edge.recommend.words import InformativeWords, words_of_table

if TYPE_CHECKING:
    from vlm4rec_edge.encoding.protocol import Encoder


class Snapshot:
    """An open source with what is derived from it. Several threads may ask it at once.

    Each caller holds it (``held``) while asking, so that it is closed only when the last of them has its answer.

    Args:
        source: What it reads; closed with it.
        index: What searches the vectors of ``source``.
        generation: Of the index just before it was opened.
    """

    def __init__(self, source: ItemSource, index: VectorIndex, *, generation: str = "") -> None:
        self.source = source
        self.index = index
        self.generation = generation
        self.ids = KnownIds(source)
        self.selector = Selector(source, self.ids)
        self.listing = Listing(source, self.selector, self.ids)
        self._lock = threading.Lock()  # around the count of callers
        self._loading = (
            threading.Lock()
        )  # around what is loaded when it is first needed; callers of anything else go on
        self._encoder: Encoder | None = None
        self._words: InformativeWords | None = None
        self._columns: list[ColumnSummary] | None = None
        self._callers = 0
        self._is_retired = False

    @contextmanager
    def held(self) -> Iterator[Snapshot]:
        """Hold the snapshot open.

        Raises:
            StoreError: it is closed.
        """
        with self._lock:
            if self._is_retired:
                raise closed_error(self.source)
            self._callers += 1
        try:
            yield self
        finally:
            with self._lock:
                self._callers -= 1
                is_last = self._is_retired and not self._callers
            if is_last:
                self._close()

    def retire(self) -> None:
        """Let go of all files as soon as nobody holds it any more; a second time does nothing."""
        with self._lock:
            is_last = not self._is_retired and not self._callers
            self._is_retired = True
        if is_last:
            self._close()

    def take_encoder(self, fingerprint: str) -> Encoder | None:
        """Hand over the encoder that was loaded, if it is the one of this fingerprint."""
        with self._loading:
            encoder = self._encoder
            if encoder is None or made_by(encoder).fingerprint != fingerprint:
                return None
            self._encoder = None
            return encoder

    def give_encoder(self, encoder: Encoder | None) -> None:
        """Take the encoder that the snapshot before had loaded, if it made these vectors as well."""
        with self._loading:
            self._encoder = encoder

    def _close(self) -> None:
        close_model(self._encoder)
        self.source.close()

    def choose(
        self, query: Query, k: int, selection: Selection, left_out: Collection[str], merge: str = "quota"
    ) -> Choice:
        """Return the best items that a selection admits, ``left_out`` left out as well."""
        admission = self.selector.admission(selection, left_out)
        return choose(self.source, self.index, query, k, admission, merge=merge, diversity=selection.diversity)

    def answer(
        self,
        chosen: Choice,
        basis: Basis,
        asked: Mapping[str, object],
        *,
        unknown: Sequence[str] = (),
        explained: Query | None = None,
    ) -> Recommendations:
        """Return what was chosen, with all that is known of the items and, for ``explained``, the reasons."""
        found = self._reasons(chosen, explained) if explained and chosen.ids else []
        wanted = dict.fromkeys((*chosen.ids, *sources_compared(found)))
        items = self.source.items_of(list(wanted))
        folder = self.source.folder
        if lost := [item_id for item_id in wanted if item_id not in items]:
            raise StoreError(
                f"{folder} is damaged (it knows where the vector of {lost[0]!r} is, and not the item); run: vlm4rec-edge "
                f"repair {folder}"
            )
        reasons: Sequence[tuple[Reason, ...]] = [()] * len(chosen.ids)
        shared: Sequence[tuple[str, ...]] = [()] * len(chosen.ids)
        if found:
            kind = self._encoded_text
            texts = {item.id: text_of_item(kind, title=item.title, caption=item.caption) for item in items.values()}
            words = self._informative_words()
            reasons = [
                with_words(own, texts[item_id], texts, words) for item_id, own in zip(chosen.ids, found, strict=True)
            ]
            captions = {item.id: item.caption for item in items.values()}
            shared = [
                words.shared(captions[item_id], captions_liked(own, captions))
                for item_id, own in zip(chosen.ids, found, strict=True)
            ]
        places = zip(chosen.ids, chosen.scores.tolist(), chosen.interests.tolist(), reasons, shared, strict=True)
        hits = [
            Recommendation(
                rank,
                item_id,
                score,
                item.title,
                item.caption,
                item.image,
                item.attributes,
                basis,
                because,
                interest,
                item.photos,
                in_common,
            )
            for rank, (item_id, score, interest, because, in_common) in enumerate(places, start=1)
            for item in (items[item_id],)
        ]
        return Recommendations(hits, folder=str(folder), method=self.index.name, query=asked, unknown=unknown)

    def _reasons(self, chosen: Choice, query: Query) -> list[list[Reason]]:
        vectors = self.source.vectors_at(chosen.rows)
        found: list[list[Reason]] = [[] for _ in chosen.ids]
        for number, interest in enumerate(query.interests):
            own = np.flatnonzero(chosen.interests == number)
            told = reasons_for(vectors[own], interest.combination, interest.parts, self.source.layout)
            for place, reasons in zip(own.tolist(), told, strict=True):
                found[place] = reasons
        return found

    @property
    def _encoded_text(self) -> EncodedText:
        return EncodedText(self.source.meta.get("encoded_text", CAPTION))  # as it was checked when written

    def _informative_words(self) -> InformativeWords:
        with self._loading:
            if self._words is None:
                self._words = words_of_table(self.source.table(), self._encoded_text)
            return self._words

    def columns(self) -> list[ColumnSummary]:
        """Return the columns of the items, counted once."""
        with self._loading:
            if self._columns is None:
                self._columns = summaries(self.source.table())
            return self._columns

    def prepare_like(self, before: Snapshot) -> None:
        """Derive now what was derived from the snapshot before, so that the next caller need not wait for it."""
        if before._columns is not None:
            self.columns()
        if before._words is not None:
            self._informative_words()

    def encode(self, text: str, encoder: Encoder | None) -> np.ndarray:
        """Return the vector of a text, [dimensions], float32; without ``encoder``, by the one that the source names.

        Raises:
            StoreError: it is another encoder than made the index, or which one did is lost.
            ModelError: the encoder is not on this machine.
            UsageError: items are compared by their photos.
        """
        if self.source.representation == "photos":
            raise UsageError(
                "A text cannot be compared with photos; leave the text out, or compare items by titles and captions."
            )
        if encoder is None:
            with self._loading:
                if self._encoder is None:
                    from vlm4rec_edge.encoding.opening import open_encoder

                    # Looking one text up is too small for a GPU to be worth its start.
                    self._encoder = open_encoder(self.source.encoder_files() or self._name_of_encoder(), device="cpu")
                encoder = self._encoder
        check_encoder_of(self.source.folder, self.source.meta["encoder"], encoder)
        return np.asarray(encoded(encoder, [text])[0])

    def _name_of_encoder(self) -> str:
        name = self.source.provenance("encoders").get("name")
        if not name:
            raise StoreError(
                f"{self.source.folder} has lost the name of the encoder that made it; give the encoder, or repair the index "
                f"with: vlm4rec-edge repair {self.source.folder}"
            )
        return str(name)


def closed_error(source: ItemSource) -> StoreError:
    """Return the error of who asks a recommender that was closed."""
    return StoreError(f"This recommender of {source.folder} is closed; open the index again with Recommender.open.")
