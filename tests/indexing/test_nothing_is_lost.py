"""Whatever runs follow one another: no item, photo or caption leaves an index without being named."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_catalog import items_of
from made_plugins import MadeCaptioner, MadeEncoder, said
from pictures import swatches

from vlm4rec_edge import Captioned, CaptionRequest, Failure, IndexFolder, Item, build_index
from vlm4rec_edge.catalog.photo import read_photo_file
from vlm4rec_edge.store.reader import StoreReader

_PHOTOS = 8
_ITEMS = 40
_FEW = 20


@dataclass(frozen=True)
class Step:
    """One run: the items of its catalog with the numbers of their photos, and whether it prunes."""

    catalog: dict[str, list[int]]
    prune: bool
    prune_anyway: bool


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Photos by number: good ones, one that no captioner describes, an empty one, and one that is not there."""
    folder = tmp_path_factory.mktemp("photos")
    paths = swatches(folder, _PHOTOS + 1)
    (folder / "empty.png").write_bytes(b"")
    return [*paths, folder / "empty.png", folder / "missing.png"]


class _Choosy(MadeCaptioner):
    """Describes every photo but one."""

    def __init__(self, not_this: Path) -> None:
        super().__init__()
        self._not_this = read_photo_file(not_this).sha256

    def caption(self, photos: Iterable[CaptionRequest]) -> Iterator[Captioned | Failure]:
        for request in photos:
            failed = request.photo.sha256 == self._not_this
            yield Failure(request.key, "grounding", "Not this one.") if failed else said(request)


_numbers = st.lists(st.integers(0, _PHOTOS + 2), min_size=1, max_size=3, unique=True)
# Mostly many items, so that a prune may be a large one.
_catalogs = st.one_of(
    st.dictionaries(st.sampled_from([f"i{number}" for number in range(_ITEMS)]), _numbers, min_size=1, max_size=_ITEMS),
    st.lists(_numbers, min_size=_ITEMS, max_size=_ITEMS).map(lambda all_: {f"i{n}": own for n, own in enumerate(all_)}),
)
_steps = st.builds(Step, _catalogs, st.booleans(), st.booleans())


def _captions(out: Path) -> set[str]:
    with StoreReader(out) as store:
        return {key for (key,) in store.query("SELECT key FROM captions")}


@settings(max_examples=40)
@example(steps=[Step({f"i{number}": [0] for number in range(_ITEMS)}, False, False), Step({"i0": [0]}, True, False)])
@given(steps=st.lists(_steps, min_size=1, max_size=4))
def test_what_goes_into_a_run_is_in_the_index_or_named(photos: list[Path], steps: list[Step]) -> None:
    good = set(photos[:_PHOTOS])
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "x.index"
        before: set[str] = set()
        captions: set[str] = set()
        for step in steps:
            catalog = {item_id: [photos[number] for number in numbers] for item_id, numbers in step.catalog.items()}
            report = build_index(
                [Item(item_id, first, more_photos=tuple(more)) for item_id, (first, *more) in catalog.items()],
                out,
                captioner=_Choosy(photos[_PHOTOS]),
                encoder=MadeEncoder(),
                prune=step.prune,
                prune_anyway=step.prune_anyway,
            )
            after = items_of(out)
            named = {
                (failure.where, path) for failure in report.failures for path in photos if str(path) in failure.reason
            }
            usable = {item_id for item_id, paths in catalog.items() if good & set(paths)}
            # The catalog is items and failures, each once.
            assert report.progress.done == len(catalog)
            assert set(catalog) - usable <= {failure.where for failure in report.failures}
            assert usable <= set(after)
            # Every photo is shown by its item, or named.
            for item_id in usable:
                own = after[item_id]
                shown = {Path(photo.image) for photo in own.photos} or {Path(own.image)}
                assert set(catalog[item_id]) == shown | {path for where, path in named if where == item_id}
            # What is gone is named, and was in no catalog; what failed is kept.
            assert before - set(after) == set(report.removed_ids)
            assert not set(report.removed_ids) & set(catalog)
            unseen = before - set(catalog)
            if step.prune_anyway:
                assert set(report.removed_ids) == unseen
            elif step.prune:
                too_many = len(unseen) > max(_FEW, len(before) / 10)
                assert set(report.not_removed if too_many else report.removed_ids) == unseen
            else:
                assert not report.removed_ids
                assert not report.not_removed
            # No caption ever goes.
            assert captions <= _captions(out)
            assert IndexFolder(out).verify().ok
            before, captions = set(after), _captions(out)
