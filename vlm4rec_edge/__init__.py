"""Recommend from product photos, offline, on one ordinary machine.

The offline half, ``build_index``, lets a vision-language model describe every photo, encodes the words, and stores
both. The online half, ``Recommender``, matches the profile of a history, by default its mean vector, against the catalog
and loads no model.

    >>> from vlm4rec_edge import Recommender, build_index
    >>> report = build_index("photos", "shop.index")  # doctest: +SKIP
    >>> with Recommender.open("shop.index") as shop:  # doctest: +SKIP
    ...     shop.recommend(["shirt-1", "shoe-7"], k=5)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vlm4rec_edge.quiet import keep_quiet

if TYPE_CHECKING:
    from vlm4rec_edge.batch.run import BatchReport, recommend_table
    from vlm4rec_edge.catalog.reader import open_catalog
    from vlm4rec_edge.encoding.encoder import Encoder
    from vlm4rec_edge.errors import Vlm4RecError, Vlm4RecWarning
    from vlm4rec_edge.evaluation import Evaluation, EvaluationSettings, evaluate
    from vlm4rec_edge.grounding.captioner import Captioner
    from vlm4rec_edge.grounding.isolated import IsolatedCaptioner
    from vlm4rec_edge.grounding.schema import read_schema
    from vlm4rec_edge.indexing import build_index
    from vlm4rec_edge.interactions import Interactions, read_interactions
    from vlm4rec_edge.items import Failure, Item
    from vlm4rec_edge.models.resolve import resolve_encoder, resolve_lvlm
    from vlm4rec_edge.recommend.explanation import Reason
    from vlm4rec_edge.recommend.history import History
    from vlm4rec_edge.recommend.many import Answer
    from vlm4rec_edge.recommend.profile import ProfileSettings
    from vlm4rec_edge.recommend.recommender import Recommender
    from vlm4rec_edge.recommend.result import Recommendation, Recommendations
    from vlm4rec_edge.recommend.running import Profile
    from vlm4rec_edge.recommend.selection import Selection

__version__ = "0.1.0"

keep_quiet()  # before anything else is imported, for then it counts

# Where each public name lives; imported on first use, so that the online half never pays for the offline one.
_HOMES = {
    "Answer": "recommend.many",
    "BatchReport": "batch.run",
    "Captioner": "grounding.captioner",
    "Encoder": "encoding.encoder",
    "Evaluation": "evaluation",
    "EvaluationSettings": "evaluation",
    "Failure": "items",
    "History": "recommend.history",
    "Interactions": "interactions",
    "IsolatedCaptioner": "grounding.isolated",
    "Item": "items",
    "Profile": "recommend.running",
    "ProfileSettings": "recommend.profile",
    "Reason": "recommend.explanation",
    "Recommendation": "recommend.result",
    "Recommendations": "recommend.result",
    "Recommender": "recommend.recommender",
    "Selection": "recommend.selection",
    "Vlm4RecError": "errors",
    "Vlm4RecWarning": "errors",
    "build_index": "indexing",
    "evaluate": "evaluation",
    "open_catalog": "catalog.reader",
    "read_interactions": "interactions",
    "read_schema": "grounding.schema",
    "recommend_table": "batch.run",
    "resolve_encoder": "models.resolve",
    "resolve_lvlm": "models.resolve",
}

__all__ = [
    "Answer",
    "BatchReport",
    "Captioner",
    "Encoder",
    "Evaluation",
    "EvaluationSettings",
    "Failure",
    "History",
    "Interactions",
    "IsolatedCaptioner",
    "Item",
    "Profile",
    "ProfileSettings",
    "Reason",
    "Recommendation",
    "Recommendations",
    "Recommender",
    "Selection",
    "Vlm4RecError",
    "Vlm4RecWarning",
    "__version__",
    "build_index",
    "evaluate",
    "open_catalog",
    "read_interactions",
    "read_schema",
    "recommend_table",
    "resolve_encoder",
    "resolve_lvlm",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
