"""What each operation does: from the fields of a request, as they were read, to the document of its answer.

Every method is named after its operation and is called in a thread.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm4rec_edge import __version__
from vlm4rec_edge.errors import UnknownItemError, UsageError
from vlm4rec_edge.interactions import Dates
from vlm4rec_edge.recommend.listing import containing
from vlm4rec_edge.recommend.profile import ProfileSettings
from vlm4rec_edge.recommend.selection import Selection
from vlm4rec_edge.serve.errors import HttpError
from vlm4rec_edge.serve.following import ServedIndex
from vlm4rec_edge.serve.naming import name_of
from vlm4rec_edge.serve.photos import Picture, Thumbnails

if TYPE_CHECKING:
    from vlm4rec_edge.grounding.protocol import Captioner
    from vlm4rec_edge.recommend.recommender import Recommender

# Each goes through the ids, titles and captions of the whole catalog.
_MOST_WORDS = 16
_SETTINGS = ("last", "half_life", "interests", "merge", "dislike_weight", "text_weight")
_SELECTION = ("where", "allow", "deny", "one_per", "diversity", "min_score")


@dataclass(frozen=True)
class Asked:
    """What was asked: the fields of query and body, the item of the path, an uploaded photo, and the tag a client has."""

    fields: Mapping[str, Any]
    item: str = ""
    photo: bytes = b""
    known_tag: str = ""


class Endpoints:
    """Answers from one index.

    Args:
        served: The index.
        captioner: What describes uploaded photos; None: none is taken.
    """

    def __init__(self, served: ServedIndex, captioner: Captioner | None = None) -> None:
        self._served = served
        self._captioner = captioner
        self._thumbnails = Thumbnails(served)

    def info(self, _: Asked) -> dict[str, Any]:
        """Answer ``/v1/info``."""
        return self._served.info()

    def state(self, _: Asked) -> dict[str, Any]:
        """Answer ``/v1/state``."""
        folder = self._served.shop().store.folder
        return {
            "index": Path(folder).name,
            "name": name_of(folder),
            "generation": self._served.generation,
            **self._served.state(),
            "problem": self._served.problem,
            "representations": self._served.representations,
            "photos": self._has_photos(),
            "captioner": self._captioner is not None,
            "version": __version__,
        }

    def _has_photos(self) -> bool:
        shop = self._served.shop()
        if not self._served.is_shipped:
            return True
        first = shop.items(limit=1).items
        return bool(first) and shop.thumbnail(first[0].id) is not None

    def columns(self, _: Asked) -> dict[str, Any]:
        """Answer ``/v1/columns``."""
        return {"columns": [column.to_dict() for column in self._served.shop().columns()]}

    def items(self, asked: Asked) -> dict[str, Any]:
        """Answer ``/v1/items``."""
        fields = asked.fields
        if fields["id"]:
            if others := [name for name in ("where", "text", "after") if fields[name] is not None]:
                raise UsageError(f"Items are asked for by id or by {others[0]}, not by both.")
            return self._these(fields["id"])
        if len((fields["text"] or "").split()) > _MOST_WORDS:
            raise UsageError(f"text has more than {_MOST_WORDS} words, each of which is searched; give fewer.")
        shop = self._served.shop()
        text = containing(fields["text"] or "")
        where = " and ".join(
            part for part in (f"({fields['where']})" if fields["where"] and text else "", text) if part
        )
        page = shop.items(
            where=where or fields["where"], after=fields["after"], skip=fields["skip"], limit=fields["limit"]
        )
        return page.to_dict()

    def _these(self, ids: list[str]) -> dict[str, Any]:
        shop = self._served.shop()
        listed = [item.to_dict() for item in shop.listed(ids)]
        return {
            "index": str(shop.store.folder),
            "total": len(listed),
            "items": listed,
            "next_after": None,
            "unknown": shop.unknown(ids),
        }

    def item(self, asked: Asked) -> dict[str, Any]:
        """Answer ``/v1/items/{id}``."""
        shop = self._served.shop()
        for item in shop.listed([asked.item]):
            return item.to_dict()
        raise UnknownItemError(f"The index holds no item {asked.item!r}. {shop.about_unknown([asked.item])}")

    def photo(self, asked: Asked) -> Picture:
        """Answer ``/v1/items/{id}/photo``."""
        return self._thumbnails.picture(asked.item, asked.fields["size"], asked.fields["number"], asked.known_tag)

    def similar(self, asked: Asked) -> dict[str, Any]:
        """Answer ``/v1/items/{id}/similar``."""
        fields = asked.fields
        shop = self._of(fields)
        found = shop.similar(asked.item, fields["k"], selection=_selection(fields), explain=fields["explain"])
        return found.to_dict()

    def search(self, asked: Asked) -> dict[str, Any]:
        """Answer ``/v1/search``."""
        fields = asked.fields
        shop = self._of(fields)
        found = shop.search(fields["q"], fields["k"], selection=_selection(fields), explain=fields["explain"])
        return found.to_dict()

    def recommend(self, asked: Asked) -> dict[str, Any]:
        """Answer ``/v1/recommend``."""
        fields = asked.fields
        if not fields["history"] and fields["text"] is None and fields["popularity"] is None:
            raise UsageError("There is nothing to recommend from; give history, text or popularity.")
        found = self._of(fields).recommend(
            fields["history"],
            fields["k"],
            skip_unknown=True,
            weights=fields["weights"],
            times=_times(fields["times"]),
            disliked=fields["disliked"],
            text=fields["text"],
            settings=ProfileSettings(**{name: fields[name] for name in _SETTINGS}),
            selection=_selection(fields, exclude_history=not fields["include_history"]),
            popularity=fields["popularity"],
            explain=fields["explain"],
        )
        return found.to_dict()

    def similar_photo(self, asked: Asked) -> dict[str, Any]:
        """Answer ``/v1/similar-photo``."""
        from vlm4rec_edge.new_photo import similar_to_photo

        fields, captioner = asked.fields, self.check_captioner()
        with tempfile.TemporaryDirectory(prefix="vlm4rec-edge-") as folder:
            photo = Path(folder, "photo")
            photo.write_bytes(asked.photo)
            found = similar_to_photo(
                self._served.shop(),
                photo,
                fields["k"],
                captioner=captioner,
                selection=_selection(fields),
                explain=fields["explain"],
            )
        document = found.to_dict()
        document["query"]["photo"] = ""  # its temporary path is private
        return document

    def check_captioner(self) -> Captioner:
        """Return what describes uploaded photos.

        Raises:
            HttpError: nothing does (501).
        """
        if self._captioner is None:
            raise HttpError(
                501,
                "MissingCaptionerError",
                "This server does not accept photos; start it with vlm4rec-edge serve --captioner.",
            )
        return self._captioner

    def _of(self, fields: Mapping[str, Any]) -> Recommender:
        return self._served.shop(fields["representation"])


def _selection(fields: Mapping[str, Any], *, exclude_history: bool = True) -> Selection:
    given = {name: fields[name] for name in _SELECTION if fields.get(name) is not None}
    return Selection(**given, exclude_history=exclude_history)


def _times(given: list[float | str] | None) -> list[float] | None:
    """Return times as numbers, dates in days.

    Raises:
        UsageError: one is neither a date nor a number.
    """
    if given is None:
        return None
    dates = Dates()
    try:
        return [dates.number(time) if isinstance(time, str) else time for time in given]
    except ValueError:
        raise UsageError("The times are not a list of dates such as 2026-03-31, or of numbers.") from None
