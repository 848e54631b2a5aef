"""What is given to a public function as ids, texts or paths is taken as it is meant, or a sentence says why not."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable, Iterator
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from made_store import random_vectors, write_store
from pictures import swatches

import vlm4rec_edge
from vlm4rec_edge import (
    History,
    ImportedCaptions,
    IndexFolder,
    OnnxEncoder,
    Profile,
    ProfileSettings,
    Recommender,
    Selection,
    UsageError,
    Vlm4RecError,
    apply_delta,
    build_index,
    caption_photo,
    caption_photos,
    check_model,
    describe_index,
    describe_new_photo,
    evaluate,
    export_items,
    list_items,
    make_bundle,
    make_delta,
    open_captioner,
    open_catalog,
    open_encoder,
    read_interactions,
    read_schema,
    recommend_table,
    resolve_encoder,
    resolve_lvlm,
    similar_to_photo,
    state_of,
    verify_bundle,
)

# What may be given, made of a text that would be right.
WAYS: dict[str, Callable[[str], Any]] = {
    "an int": lambda right: int(right) if right.isdigit() else 7,
    "a NumPy integer": lambda right: np.int64(right) if right.isdigit() else np.int64(7),
    "an array": lambda right: np.array([right]),
    "a set": lambda right: {right},
    "a generator": lambda right: (each for each in [right]),
    "a string": lambda right: right,
    "a Path": Path,
    "an enumeration": lambda right: Enum("Made", {"RIGHT": right}, type=str).RIGHT,  # type: ignore[attr-defined]
    "a mapping": lambda right: {right: 1},
    "nothing": lambda right: None,
}
LISTS = {"an array", "a set", "a generator"}
TAKEN = {
    "id": {"an int", "a NumPy integer", "a string", "an enumeration"},
    "ids": LISTS,
    "text": {"a string", "an enumeration"},
    "texts": LISTS,
    "path": {"a string", "a Path", "an enumeration"},
    "paths": LISTS,
}


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory, shop_index: Path, encoder: OnnxEncoder
) -> Iterator[SimpleNamespace]:
    """What the calls work on; ids are numbers, so that a number may mean one."""
    folder = tmp_path_factory.mktemp("given")
    rows = [(str(row), row) for row in range(12)]
    index = write_store(folder / "s", random_vectors(12), rows, attributes={"3": {"price": "3"}})
    make_bundle(index, folder / "s.zip")
    purchases = "".join(f"ann,{row},2026-01-{row + 1:02}\n" for row in range(6))
    (folder / "purchases.csv").write_text(f"user_id,item_id,date\n{purchases}")
    (folder / "captions.csv").write_text("id,caption\n3,A shirt.\n")
    (folder / "form.json").write_text('{"type": "object", "properties": {"kind": {"type": "string"}}}')
    photos = swatches(folder / "photos", 2)
    described = ImportedCaptions(folder / "captions.csv")
    with Recommender.open(index) as shop, Recommender.open(shop_index) as real:
        yield SimpleNamespace(
            folder=folder, index=index, shop=shop, real=real, encoder=encoder, photos=photos, captioner=described
        )


# What is called, the kind of thing it takes, and a text that is right.
Call = tuple[Callable[[Any, Any], Any], str, Callable[[Any], str]]
_THREE: Callable[[Any], str] = lambda _: "3"  # noqa: E731
_INDEX: Callable[[Any], str] = lambda at: str(at.index)  # noqa: E731
_BUNDLE: Callable[[Any], str] = lambda at: str(at.folder / "s.zip")  # noqa: E731
_PHOTO: Callable[[Any], str] = lambda at: str(at.photos[0])  # noqa: E731
_TABLE: Callable[[Any], str] = lambda at: str(at.folder / "purchases.csv")  # noqa: E731
_NEW: Callable[[Any], str] = lambda at: str(at.folder / "new")  # noqa: E731
CALLS: dict[str, Call] = {
    "recommend": (lambda at, given: at.shop.recommend(given), "ids", _THREE),
    "recommend, disliked": (lambda at, given: at.shop.recommend(["1"], disliked=given), "ids", _THREE),
    "recommend, text": (lambda at, given: at.real.recommend([], text=given or 7), "text", lambda _: "a red shirt"),
    "History": (lambda at, given: list(at.shop.recommend_many([History("ann", given)])), "ids", _THREE),
    "Selection, allow": (lambda at, given: at.shop.similar("1", selection=Selection(allow=given or 7)), "ids", _THREE),
    "Selection, deny": (lambda at, given: at.shop.similar("1", selection=Selection(deny=given)), "ids", _THREE),
    "Selection, where": (
        lambda at, given: at.shop.similar("1", selection=Selection(where=given or 7)),
        "text",
        lambda _: "price = 3",
    ),
    "similar": (lambda at, given: at.shop.similar(given), "id", _THREE),
    "search": (lambda at, given: at.real.search(given), "text", lambda _: "a red shirt"),
    "unknown": (lambda at, given: at.shop.unknown(given), "ids", _THREE),
    "vectors": (lambda at, given: at.shop.vectors(given), "ids", _THREE),
    "profile": (lambda at, given: at.shop.profile(given), "ids", _THREE),
    "recommend_vector": (lambda at, given: at.shop.recommend_vector(given), "no vector", _THREE),
    "encode": (lambda at, given: at.encoder.encode(given), "texts", lambda _: "a red shirt"),
    "encode_stream": (lambda at, given: list(at.encoder.encode_stream(given)), "texts", lambda _: "a red shirt"),
    "caption_photos": (lambda at, given: caption_photos(given, at.captioner), "paths", _PHOTO),
    "remove": (lambda at, given: IndexFolder(_copied(at)).remove(given), "ids", _THREE),
    "holds": (lambda at, given: IndexFolder(at.index).holds(given), "id", _THREE),
    "list_items, after": (lambda at, given: list_items(at.index, after=given or []), "id", _THREE),
    "list_items": (lambda _, given: list_items(given), "path", _INDEX),
    "open": (lambda _, given: Recommender.open(given).close(), "path", _INDEX),
    "IndexFolder": (lambda _, given: IndexFolder(given).verify(), "path", _INDEX),
    "describe_index": (lambda _, given: describe_index(given), "path", _INDEX),
    "state_of": (lambda _, given: state_of(given), "path", _INDEX),
    "verify_bundle": (lambda _, given: verify_bundle(given), "path", _BUNDLE),
    "make_bundle": (lambda at, given: make_bundle(given, at.folder / "made.zip"), "path", _INDEX),
    "make_bundle, out": (lambda at, given: make_bundle(at.index, given), "path", _NEW),
    "make_delta": (
        lambda at, given: make_delta(at.index, at.folder / "delta.zip", given),
        "path",
        _BUNDLE,
    ),
    "apply_delta": (
        lambda at, given: apply_delta(_delta(at), given, at.folder / "patched.zip"),
        "path",
        _BUNDLE,
    ),
    "export_items": (lambda at, given: export_items(given, _free(at), "jsonl"), "path", _INDEX),
    "evaluate": (lambda _, given: evaluate(given, _TABLE(_)), "path", _INDEX),
    "evaluate, interactions": (lambda at, given: evaluate(at.index, given), "path", _TABLE),
    "read_interactions": (lambda _, given: read_interactions(given), "path", _TABLE),
    "recommend_table": (
        lambda at, given: recommend_table(at.shop, given, at.folder / "answers.csv"),
        "path",
        _TABLE,
    ),
    "open_catalog": (lambda _, given: open_catalog(given), "path", lambda at: str(at.folder / "photos")),
    "read_schema": (lambda _, given: read_schema(given), "path", lambda at: str(at.folder / "form.json")),
    "ImportedCaptions": (lambda _, given: ImportedCaptions(given), "path", lambda at: str(at.folder / "captions.csv")),
    "check_model": (lambda _, given: check_model(given), "path", lambda _: str(resolve_encoder().folder)),
    "resolve_encoder": (lambda _, given: resolve_encoder(given), "path", lambda _: str(resolve_encoder().folder)),
    "resolve_lvlm": (lambda _, given: resolve_lvlm(given), "path", lambda _: str(resolve_lvlm().folder)),
    "open_encoder": (lambda _, given: open_encoder(given or 7), "path", lambda _: str(resolve_encoder().folder)),
    "open_captioner": (lambda _, given: open_captioner(given or 7), "path", lambda _: str(resolve_lvlm().folder)),
    "caption_photo": (lambda at, given: caption_photo(given, at.captioner), "a photo it has no caption for", _PHOTO),
    "describe_new_photo": (lambda at, given: describe_new_photo(at.shop.store, given), "an index of titles", _PHOTO),
    "similar_to_photo": (lambda at, given: similar_to_photo(at.shop, given), "an index of titles", _PHOTO),
    "build_index": (lambda at, given: build_index(_TABLE(at), given), "a table of purchases", _NEW),
}
# Public functions and classes that take none of these, or only what others made.
OTHERS = {"captioner_of", "export_to_lancedb", "export_to_qdrant", "list_models"}


def _copied(at: Any) -> Path:
    shutil.rmtree(at.folder / "copy", ignore_errors=True)
    return shutil.copytree(at.index, at.folder / "copy")


def _free(at: Any) -> Path:
    (at.folder / "out.jsonl").unlink(missing_ok=True)
    return at.folder / "out.jsonl"


def _delta(at: Any) -> Path:
    make_delta(at.index, at.folder / "for-patch.zip", at.folder / "s.zip")
    return at.folder / "for-patch.zip"


def test_no_public_function_is_left_out() -> None:
    functions = {name for name in vlm4rec_edge.__all__ if inspect.isfunction(getattr(vlm4rec_edge, name))}
    assert functions - {name.partition(",")[0] for name in CALLS} - OTHERS == set()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("call", CALLS)
def test_it_is_taken_or_refused_with_a_sentence(place: SimpleNamespace, call: str, way: str) -> None:
    ask, kind, right = CALLS[call]
    text = right(place)
    given = WAYS[way](text)
    if way in TAKEN.get(kind, ()):
        ask(place, given)
        return
    try:
        ask(place, given)
    except Vlm4RecError as error:
        assert str(error).rstrip(")").endswith((".", "?")), error
        assert type(error).__name__ in {"UsageError", "CatalogError", "ModelError", "UnknownItemError", "PhotoError"}
    else:
        # A catalog may be a list of items; that these are none is a failure of each, when it is read.
        assert (call, kind) == ("open_catalog", "path")
        assert way in LISTS


# What is called with a number.
NUMBERS: dict[str, Callable[[Any], Any]] = {
    "Selection, diversity": lambda number: Selection(diversity=number),
    "Selection, min_score": lambda number: Selection(min_score=number),
    "ProfileSettings, half_life": lambda number: ProfileSettings(half_life=number),
    "ProfileSettings, dislike_weight": lambda number: ProfileSettings(dislike_weight=number),
    "ProfileSettings, text_weight": lambda number: ProfileSettings(text_weight=number),
    "History, weights": lambda number: History("ann", ["3"], weights=[number]),
    "History, times": lambda number: History("ann", ["3"], times=[number]),
    "Profile, half_life": lambda number: Profile.empty("e", 2, half_life=number),
    "Profile, weight": lambda number: Profile.empty("e", 2).add(np.ones(2), weight=number),
    "Profile, time": lambda number: Profile.empty("e", 2, half_life=1).add(np.ones(2), time=number),
}


@pytest.mark.parametrize("call", NUMBERS)
def test_a_number_of_any_kind_is_taken_and_anything_else_refused_with_a_sentence(call: str) -> None:
    for number in (1, 1.0, np.float32(1), np.int64(1), Decimal(1)):
        NUMBERS[call](number)
    for none in ("x", "1", b"1", [1], {"a": 1}, object()):
        with pytest.raises(UsageError, match=r"is a number, not .*\)\.$"):
            NUMBERS[call](none)


@pytest.mark.parametrize("name", ["last", "interests"])
def test_a_setting_that_is_a_whole_number_is_none_else(name: str) -> None:
    for none in ("1", 1.5, [1]):
        with pytest.raises(UsageError, match=f"The setting {name} of a profile is a whole number"):
            ProfileSettings(**{name: none})


@pytest.mark.parametrize("none", ["ab", b"ab", {"3": 1}, 5, object()])
@pytest.mark.parametrize("name", ["weights", "times"])
def test_weights_and_times_are_lists_of_numbers(place: SimpleNamespace, name: str, none: Any) -> None:
    with pytest.raises(UsageError, match=f"The {name} of a history are a list of numbers"):
        place.shop.recommend(["3"], **{name: none})


def test_a_mapping_of_weights_is_not_taken_for_its_keys(place: SimpleNamespace) -> None:
    with pytest.raises(UsageError, match="its values as weights="):
        place.shop.recommend({"3": 100, "1": 1})
    with pytest.raises(UsageError, match="whose values would be lost"):
        IndexFolder(_copied(place)).remove({"3": 1})
