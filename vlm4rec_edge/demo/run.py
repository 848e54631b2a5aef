"""The demo: caption, encode and index a shop, recommend in it by words and by photos, and write the report.

The shop is the one that the package brings, or somebody's own photos.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from vlm4rec_edge.catalog.reader import Catalog
from vlm4rec_edge.demo import INDEX, REPORT
from vlm4rec_edge.demo.contents import ReportData, Shopper
from vlm4rec_edge.demo.counting import TasteCount, count_tastes
from vlm4rec_edge.demo.pages import columns_of, page_of_photos, page_of_shop, shown_items
from vlm4rec_edge.demo.report import write_report
from vlm4rec_edge.demo.shop_files import lay_out_shop
from vlm4rec_edge.encoding.encoder import OnnxEncoder
from vlm4rec_edge.errors import CatalogError, UsageError
from vlm4rec_edge.grounding.child.isolated import IsolatedCaptioner
from vlm4rec_edge.index_folder import build_index
from vlm4rec_edge.indexing.report import IndexProgress
from vlm4rec_edge.models.resolve import resolve_encoder, resolve_lvlm
from vlm4rec_edge.recommend.recommender import Recommender

OnProgress = Callable[[IndexProgress], None]


@dataclass(frozen=True)
class DemoResult:
    """What the demo made and where it lies.

    Attributes:
        report: The page.
        index: The index folder.
        items: How many items it holds.
        captions_per_second: 0 where all were captioned before.
        shoppers: Those of the report.
        counts: How often each way keeps to a taste; empty for photos of which nothing is known.
        shown: The sentence that matters.
        failures: What was left out, as (item id, reason).
    """

    report: Path
    index: Path
    items: int
    captions_per_second: float
    shoppers: Sequence[Shopper]
    counts: Sequence[TasteCount]
    shown: str
    failures: Sequence[tuple[str, str]]


def run_demo(out: Path, *, on_progress: OnProgress | None = None) -> DemoResult:
    """Run the whole way with the package's shop in the folder ``out``, and return what was made.

    The folder ``shop`` beside the report and the index holds the shop's files, as ``lay_out_shop`` writes them.

    Raises:
        Vlm4RecError: a dependency is missing, or ``out`` cannot be written.
    """
    _check_own(out)
    out.mkdir(parents=True, exist_ok=True)
    made = _indexed(lay_out_shop(out / "shop"), out, on_progress)
    with _opened(made.index) as (words, photos):
        catalog = shown_items(words)
        items = [(item.item_id, columns_of(item)) for item in catalog.values()]
        counts = count_tastes(items, words, photos)
        data = page_of_shop(catalog, items, counts, words, photos)
    return _written(out, made, data, counts)


def run_demo_of_photos(catalog: Path | Catalog, out: Path, *, on_progress: OnProgress | None = None) -> DemoResult:
    """Do the same with a folder of photos, or a table; its shoppers are made up from groups of photos.

    Raises:
        CatalogError: there are no photos at ``catalog``, or none that can be used.
        Vlm4RecError: a dependency is missing, or ``out`` cannot be written.
    """
    _check_own(out)
    made = _indexed(catalog, out, on_progress)
    with _opened(made.index) as (words, photos):
        data = page_of_photos(shown_items(words), words, photos)
    return _written(out, made, data)


def _check_own(out: Path) -> None:
    """Look whether what the demo would write over is its own, which its report tells.

    Raises:
        UsageError: it is not.
    """
    report = out / REPORT
    if report.is_file() and "vlm4rec-edge" in report.read_text(encoding="utf-8", errors="replace"):
        return
    if there := [name for name in (INDEX, "shop", REPORT) if (out / name).exists()]:
        raise UsageError(
            f"{out} already has {there[0]}, which the demo did not make and would overwrite; choose "
            "another folder with --out."
        )


@dataclass(frozen=True)
class _Indexed:
    """An index that was made, and the numbers of the run."""

    index: Path
    items: int
    rate: float
    facts: Sequence[tuple[str, str]]
    failures: Sequence[tuple[str, str]]


def _indexed(catalog: Path | Catalog, out: Path, on_progress: OnProgress | None) -> _Indexed:
    index = out / INDEX
    with IsolatedCaptioner(resolve_lvlm(), photo_vectors=True) as captioner, OnnxEncoder(resolve_encoder()) as encoder:
        report = build_index(
            catalog,
            index,
            captioner=captioner,
            encoder=encoder,
            encoded_text="caption",  # what the report shows and speaks of
            remake=True,  # the index is the demo's own, perhaps of an earlier version or of other photos
            prune=True,
            prune_anyway=True,
            on_progress=on_progress,
        )
        names = captioner.files.name, encoder.files.name
    if report.interrupted:
        raise KeyboardInterrupt
    failures = [(failure.where, failure.reason) for failure in report.failures]
    if not report.items:
        first = f" The first of them, {failures[0][0]}: {failures[0][1]}" if failures else ""
        raise CatalogError(f"None of these photos can be used, so there is nothing to show.{first}")
    done = report.progress
    rate = done.captioned / report.seconds if report.seconds > 0 else 0.0
    facts = [
        ("items", f"{report.items:,}"),
        ("captioned in this run", f"{done.captioned:,}"),
        ("photos a second", f"{rate:.1f}" if done.captioned else "none needed"),
        ("seconds to index", f"{report.seconds:.1f}"),
        ("captions by", names[0]),
        ("vectors by", names[1]),
    ]
    return _Indexed(index, report.items, rate, facts, failures)


@contextmanager
def _opened(index: Path) -> Iterator[tuple[Recommender, Recommender]]:
    """Open an index by its words and by its photos."""
    with ExitStack() as stack:
        words = stack.enter_context(Recommender.open(index))
        yield words, stack.enter_context(Recommender.open(index, photos_alone=True))


def _written(out: Path, made: _Indexed, data: ReportData, counts: Sequence[TasteCount] = ()) -> DemoResult:
    page = out / REPORT
    write_report(page, replace(data, facts=made.facts, failures=made.failures))
    return DemoResult(page, made.index, made.items, made.rate, data.shoppers, counts, data.intro, made.failures)
