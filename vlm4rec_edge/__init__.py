"""Recommend from product photos, offline, on one ordinary machine.

The offline half, ``build_index``, captions every photo with a vision-language model, encodes the captions, and stores
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
    from vlm4rec_edge.bundle.check import verify_bundle
    from vlm4rec_edge.bundle.delta import DeltaReport, PatchReport, apply_delta, make_delta
    from vlm4rec_edge.bundle.writer import BundleReport, make_bundle
    from vlm4rec_edge.catalog.layouts import CatalogColumns
    from vlm4rec_edge.catalog.reader import open_catalog
    from vlm4rec_edge.catalog.web.cache import WebPhotoCache
    from vlm4rec_edge.encoding.encoder import OnnxEncoder
    from vlm4rec_edge.encoding.opening import open_encoder
    from vlm4rec_edge.encoding.protocol import Encoder
    from vlm4rec_edge.errors import (
        BundleError,
        CatalogError,
        DeviceError,
        MissingDependencyError,
        ModelError,
        PhotoError,
        ProfileError,
        StoreError,
        UnknownItemError,
        UsageError,
        Vlm4RecError,
        Vlm4RecWarning,
    )
    from vlm4rec_edge.evaluation import Evaluation, EvaluationSettings, evaluate
    from vlm4rec_edge.grounding.child.isolated import IsolatedCaptioner
    from vlm4rec_edge.grounding.imported import ImportedCaptions
    from vlm4rec_edge.grounding.llama.base import BaseCaptioner
    from vlm4rec_edge.grounding.llama.captioner import LlamaCaptioner
    from vlm4rec_edge.grounding.opening import open_captioner
    from vlm4rec_edge.grounding.photos import CaptionReport, caption_photo, caption_photos
    from vlm4rec_edge.grounding.protocol import Captioned, Captioner, CaptionRequest
    from vlm4rec_edge.grounding.schema import read_schema
    from vlm4rec_edge.index.backend import IndexBackend
    from vlm4rec_edge.index_folder import IndexFolder, build_index
    from vlm4rec_edge.indexing.remaking import Remake, RemakeError
    from vlm4rec_edge.indexing.remove import RemoveReport
    from vlm4rec_edge.indexing.repair import RepairReport
    from vlm4rec_edge.indexing.report import IndexProgress, IndexReport
    from vlm4rec_edge.info import IndexInfo, IndexState, describe_index, state_of
    from vlm4rec_edge.interactions import InteractionColumns, Interactions, read_interactions
    from vlm4rec_edge.interchange.export import ExportReport, export_items, export_to_lancedb, export_to_qdrant
    from vlm4rec_edge.items import Failure, Item
    from vlm4rec_edge.known_models import ModelCheck, ModelInfo, check_model, list_models
    from vlm4rec_edge.models.resolve import EncoderFiles, LvlmFiles, resolve_encoder, resolve_lvlm
    from vlm4rec_edge.new_photo import captioner_of, describe_new_photo, similar_to_photo
    from vlm4rec_edge.recommend.explanation import Reason
    from vlm4rec_edge.recommend.facets import ColumnSummary
    from vlm4rec_edge.recommend.history import History
    from vlm4rec_edge.recommend.listing import ItemPage, ListedItem, list_items
    from vlm4rec_edge.recommend.many import Answer
    from vlm4rec_edge.recommend.profile import ProfileSettings
    from vlm4rec_edge.recommend.recommender import Recommender
    from vlm4rec_edge.recommend.result import Recommendation, Recommendations
    from vlm4rec_edge.recommend.running import Profile
    from vlm4rec_edge.recommend.selection import Selection
    from vlm4rec_edge.recommend.source import ItemSource
    from vlm4rec_edge.store.check import VerifyReport

__version__ = "0.1.0"

keep_quiet()  # before anything else is imported, for then it counts

# Where each public name lives; imported on first use, so that the online half never pays for the offline one.
_HOMES = {
    "Answer": "recommend.many",
    "BaseCaptioner": "grounding.llama.base",
    "BatchReport": "batch.run",
    "BundleError": "errors",
    "BundleReport": "bundle.writer",
    "CaptionReport": "grounding.photos",
    "CaptionRequest": "grounding.protocol",
    "Captioned": "grounding.protocol",
    "Captioner": "grounding.protocol",
    "CatalogColumns": "catalog.layouts",
    "CatalogError": "errors",
    "ColumnSummary": "recommend.facets",
    "DeltaReport": "bundle.delta",
    "DeviceError": "errors",
    "Encoder": "encoding.protocol",
    "EncoderFiles": "models.resolve",
    "Evaluation": "evaluation",
    "EvaluationSettings": "evaluation",
    "ExportReport": "interchange.export",
    "Failure": "items",
    "History": "recommend.history",
    "ImportedCaptions": "grounding.imported",
    "IndexBackend": "index.backend",
    "IndexFolder": "index_folder",
    "IndexInfo": "info",
    "IndexProgress": "indexing.report",
    "IndexReport": "indexing.report",
    "IndexState": "info",
    "InteractionColumns": "interactions",
    "Interactions": "interactions",
    "IsolatedCaptioner": "grounding.child.isolated",
    "Item": "items",
    "ItemPage": "recommend.listing",
    "ItemSource": "recommend.source",
    "ListedItem": "recommend.listing",
    "LlamaCaptioner": "grounding.llama.captioner",
    "LvlmFiles": "models.resolve",
    "MissingDependencyError": "errors",
    "ModelCheck": "known_models",
    "ModelError": "errors",
    "ModelInfo": "known_models",
    "OnnxEncoder": "encoding.encoder",
    "PatchReport": "bundle.delta",
    "PhotoError": "errors",
    "Profile": "recommend.running",
    "ProfileError": "errors",
    "ProfileSettings": "recommend.profile",
    "Reason": "recommend.explanation",
    "Recommendation": "recommend.result",
    "Recommendations": "recommend.result",
    "Recommender": "recommend.recommender",
    "Remake": "indexing.remaking",
    "RemakeError": "indexing.remaking",
    "RemoveReport": "indexing.remove",
    "RepairReport": "indexing.repair",
    "Selection": "recommend.selection",
    "StoreError": "errors",
    "UnknownItemError": "errors",
    "UsageError": "errors",
    "VerifyReport": "store.check",
    "Vlm4RecError": "errors",
    "Vlm4RecWarning": "errors",
    "WebPhotoCache": "catalog.web.cache",
    "apply_delta": "bundle.delta",
    "build_index": "index_folder",
    "caption_photo": "grounding.photos",
    "caption_photos": "grounding.photos",
    "captioner_of": "new_photo",
    "check_model": "known_models",
    "describe_index": "info",
    "describe_new_photo": "new_photo",
    "evaluate": "evaluation",
    "export_items": "interchange.export",
    "export_to_lancedb": "interchange.export",
    "export_to_qdrant": "interchange.export",
    "list_items": "recommend.listing",
    "list_models": "known_models",
    "make_bundle": "bundle.writer",
    "make_delta": "bundle.delta",
    "open_captioner": "grounding.opening",
    "open_catalog": "catalog.reader",
    "open_encoder": "encoding.opening",
    "read_interactions": "interactions",
    "read_schema": "grounding.schema",
    "recommend_table": "batch.run",
    "resolve_encoder": "models.resolve",
    "resolve_lvlm": "models.resolve",
    "similar_to_photo": "new_photo",
    "state_of": "info",
    "verify_bundle": "bundle.check",
}

__all__ = [
    "Answer",
    "BaseCaptioner",
    "BatchReport",
    "BundleError",
    "BundleReport",
    "CaptionReport",
    "CaptionRequest",
    "Captioned",
    "Captioner",
    "CatalogColumns",
    "CatalogError",
    "ColumnSummary",
    "DeltaReport",
    "DeviceError",
    "Encoder",
    "EncoderFiles",
    "Evaluation",
    "EvaluationSettings",
    "ExportReport",
    "Failure",
    "History",
    "ImportedCaptions",
    "IndexBackend",
    "IndexFolder",
    "IndexInfo",
    "IndexProgress",
    "IndexReport",
    "IndexState",
    "InteractionColumns",
    "Interactions",
    "IsolatedCaptioner",
    "Item",
    "ItemPage",
    "ItemSource",
    "ListedItem",
    "LlamaCaptioner",
    "LvlmFiles",
    "MissingDependencyError",
    "ModelCheck",
    "ModelError",
    "ModelInfo",
    "OnnxEncoder",
    "PatchReport",
    "PhotoError",
    "Profile",
    "ProfileError",
    "ProfileSettings",
    "Reason",
    "Recommendation",
    "Recommendations",
    "Recommender",
    "Remake",
    "RemakeError",
    "RemoveReport",
    "RepairReport",
    "Selection",
    "StoreError",
    "UnknownItemError",
    "UsageError",
    "VerifyReport",
    "Vlm4RecError",
    "Vlm4RecWarning",
    "WebPhotoCache",
    "__version__",
    "apply_delta",
    "build_index",
    "caption_photo",
    "caption_photos",
    "captioner_of",
    "check_model",
    "describe_index",
    "describe_new_photo",
    "evaluate",
    "export_items",
    "export_to_lancedb",
    "export_to_qdrant",
    "list_items",
    "list_models",
    "make_bundle",
    "make_delta",
    "open_captioner",
    "open_catalog",
    "open_encoder",
    "read_interactions",
    "read_schema",
    "recommend_table",
    "resolve_encoder",
    "resolve_lvlm",
    "similar_to_photo",
    "state_of",
    "verify_bundle",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
