"""Every operation of the API: its path, the fields it takes, what it answers with, and an example.

This table is all there is: requests are read by it (``fields``), the OpenAPI document and the reference are written from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from vlm4rec_edge.serve.fields import Either, Field, Flag, Many, Number, OneOf, Text

# More than a person looks at, and little enough to answer at once.
MOST_ANSWERS = 500
PAGE_ITEMS = 60
# A long history; a list of what a shop has in stock today.
MOST_HISTORY, MOST_LISTED = 1_000, 10_000
MOST_BODY_BYTES = 1 << 20
MOST_PHOTO_BYTES = 25 << 20
# A query holds a filter and a text; browsers and proxies take about as much.
MOST_QUERY_BYTES = 16 << 10
# Sides of a thumbnail, in pixels; others are rounded up to the next.
SIZES = (80, 160, 320, 640, 1280)

_ID = Text(1_000, 1)
_IDS = Many(_ID, MOST_LISTED)
_TEXT = Text(1_000)
_WHERE = Text(1_000)  # long ones of many wildcards take seconds of a large catalog
_ANY = 1e15


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
        name: Its name in the OpenAPI document, and of the function that answers it.
        method: HTTP's.
        path: Its path, ``{id}`` for an item.
        says: One sentence, for the summary.
        query: The fields of the query.
        body: The fields of the JSON body; None: it has no such body.
        answer: The schema of the answer's document, by its name; or a media type.
        uploads: Whether the body is a photo file.
        example: What is sent as an example, by field; ``id``, ``history`` and the like are filled in for the index.
        open: Whether it answers without the token.
    """

    name: str
    method: Literal["GET", "POST"]
    path: str
    says: str
    query: tuple[Field, ...] = ()
    body: tuple[Field, ...] | None = None
    answer: str = ""
    uploads: bool = False
    example: Mapping[str, Any] = field(default_factory=dict)
    open: bool = False


_K = Field("k", Number(1, MOST_ANSWERS, whole=True), "How many items to return.", 10)
_EXPLAIN = Field("explain", Flag(), "Explain each item: which items of the history its score comes from.", False)
_WORDS_ALONE = Field(
    "representation",
    OneOf(("learned", "words")),
    "How items are compared: learned, by titles, captions and what was learned from purchases; or words, by titles and "
    "captions alone. Default: as the index does.",
)
_REPRESENTATION = Field(
    "representation",
    OneOf(("learned", "words", "photos")),
    "How items are compared: learned, by titles, captions and what was learned from purchases; words, by titles and captions "
    "alone; or photos, by the photos alone, which needs an index with photo vectors and takes no text. Default: as the index "
    "does.",
)
_SELECTION = (
    Field("where", _WHERE, "A filter over the columns, such as: colour = 'red' and price < 40."),
    Field("deny", _IDS, "Never return these items.", []),
    Field("one_per", Text(200), "At most one item for each value of this column; id:7 compares 7 characters."),
    Field("diversity", Number(0, 1), "From 0, the nearest items, to 1, items unlike each other.", 0.0),
    Field("min_score", Number(-_ANY, _ANY), "Only items with at least this score."),
)
_ALLOW = Field("allow", _IDS, "Return only these items.")
_RECOMMEND = (
    Field("history", Many(_ID, MOST_HISTORY), "Ids of the items that were bought, the oldest first.", []),
    _K,
    Field(
        "disliked",
        Many(_ID, MOST_HISTORY),
        "Ids of disliked items, which push the profile away and are never returned.",
        [],
    ),
    Field("text", _TEXT, "A text query, with or without a history."),
    Field("weights", Many(Number(0, _ANY), MOST_HISTORY), "A number for each item of the history, such as a rating."),
    Field(
        "times",
        Many(Either(Number(-_ANY, _ANY), Text(40)), MOST_HISTORY),
        "When each item of the history was bought: dates such as 2026-03-31, or numbers.",
    ),
    Field("last", Number(1, MOST_HISTORY, whole=True), "Count only the newest so many items of the history."),
    Field("half_life", Number(0, _ANY, above=True), "How much older an item must be to count half as much."),
    Field("interests", Number(1, 20, whole=True), "Split the history into at most so many interests.", 1),
    Field("merge", OneOf(("quota", "best")), "How several interests share the list.", "quota"),
    Field("dislike_weight", Number(0, _ANY), "How much disliked items count.", 0.2),
    Field("text_weight", Number(0, _ANY), "How much the text counts, where the history counts 1.", 1.0),
    *_SELECTION,
    _ALLOW,
    Field("include_history", Flag(), "Return items of the history too.", False),
    Field("popularity", Text(200), "A column of counts, used if the index holds no item of the history."),
    _EXPLAIN,
    _REPRESENTATION,
)

OPERATIONS = (
    Operation("info", "GET", "/v1/info", "What the index holds, and what made it.", answer="Info"),
    Operation(
        "state",
        "GET",
        "/v1/state",
        "Whether the index is being written, what the last run could not use, and what this server can do.",
        answer="State",
    ),
    Operation("columns", "GET", "/v1/columns", "The columns that a filter may name.", answer="Columns"),
    Operation(
        "items",
        "GET",
        "/v1/items",
        "Items by their ids, a page at a time.",
        query=(
            Field("where", _WHERE, "A filter over the columns, such as: colour = 'red' and price < 40."),
            Field("text", _TEXT, "Words that must all be in the id, the title or the caption."),
            Field("after", _ID, "Only items whose ids come after this one: next_after of the page before."),
            Field("skip", Number(0, 1e9, whole=True), "How many of them to skip.", 0),
            Field("limit", Number(1, MOST_ANSWERS, whole=True), "How many a page holds.", PAGE_ITEMS),
            Field("id", Many(_ID, 200), "Only these items, in this order; cannot be combined with other fields."),
        ),
        answer="Items",
        example={"limit": 2, "where": "id is not missing"},
    ),
    Operation("item", "GET", "/v1/items/{id}", "One item.", answer="Item"),
    Operation(
        "photo",
        "GET",
        "/v1/items/{id}/photo",
        "The photo of an item, made small: a JPEG.",
        query=(
            Field("size", Number(1, SIZES[-1], whole=True), "The longer side in pixels, rounded up to a step.", 320),
            Field("number", Number(1, 1_000, whole=True), "Which photo, where an item has several.", 1),
        ),
        answer="image/jpeg",
        example={"size": 160},
    ),
    Operation(
        "similar",
        "GET",
        "/v1/items/{id}/similar",
        "The items most similar to one item.",
        query=(_K, *_SELECTION, _EXPLAIN, _REPRESENTATION),
        answer="Recommendations",
        example={"k": 3, "explain": True},
    ),
    Operation(
        "search",
        "GET",
        "/v1/search",
        "Items nearest to a text query, the nearest first. Needs the text encoder that made the index.",
        query=(
            Field("q", Text(1_000, 1), "The text query.", required=True),
            _K,
            *_SELECTION,
            _EXPLAIN,
            _WORDS_ALONE,
        ),
        answer="Recommendations",
        example={"q": "something warm", "k": 3},
    ),
    Operation(
        "recommend",
        "POST",
        "/v1/recommend",
        "Items for a shopper, from what was bought.",
        body=_RECOMMEND,
        answer="Recommendations",
        example={"history": ["{id}", "{other}"], "k": 3, "explain": True, "diversity": 0.2},
    ),
    Operation(
        "similar_photo",
        "POST",
        "/v1/similar-photo",
        "The items most similar to a photo, which is captioned by the model that made the index. The server must be started "
        "with --captioner.",
        query=(_K, *_SELECTION, _EXPLAIN),
        answer="Recommendations",
        uploads=True,
        example={"k": 3},
    ),
    Operation(
        "session",
        "POST",
        "/v1/session",
        "Takes the token and sets the cookie that a page in a browser needs.",
        body=(Field("token", Text(1_000), "The token that the server was started with.", required=True),),
        answer="Session",
        example={"token": "{token}"},
        open=True,
    ),
    Operation("health", "GET", "/healthz", "Whether the server is running.", answer="Health", open=True),
    Operation("openapi", "GET", "/openapi.json", "This description.", answer="OpenAPI"),
)


def matching(segments: Sequence[str]) -> tuple[list[Operation], str | None]:
    """Return the operations at a path, given as its decoded segments, and the item id in it."""
    for path in dict.fromkeys(operation.path for operation in OPERATIONS):
        wanted = path.split("/")[1:]
        if len(wanted) == len(segments) and all(
            own in ("{id}", given) for own, given in zip(wanted, segments, strict=True)
        ):
            item = segments[wanted.index("{id}")] if "{id}" in wanted else None
            if item != "":
                return [operation for operation in OPERATIONS if operation.path == path], item
    return [], None
