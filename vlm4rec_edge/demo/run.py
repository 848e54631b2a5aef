"""The demo: caption, encode and index a small shop that the package brings, shop in it, and write the report."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vlm4rec_edge.demo.report import ReportData, ReportItem, Shopper, write_report
from vlm4rec_edge.encoding.encoder import OnnxEncoder
from vlm4rec_edge.grounding.child.isolated import IsolatedCaptioner
from vlm4rec_edge.index_folder import build_index
from vlm4rec_edge.indexing.report import IndexProgress, IndexReport
from vlm4rec_edge.items import StoredItem
from vlm4rec_edge.models.resolve import resolve_encoder, resolve_lvlm
from vlm4rec_edge.recommend.recommender import Recommender

# Drawn by models/training/demo_shop.py, which is not part of the package: pictures, items.csv and histories.csv.
SHOP = Path(__file__).with_name("shop")
ITEM_COUNT = len(list((SHOP / "images").iterdir()))
_RECOMMENDED = 6


@dataclass(frozen=True)
class DemoResult:
    """What the demo made and where it lies."""

    report: Path
    index: Path
    items: int
    captions_per_second: float
    shoppers: Sequence[Shopper]


def run_demo(out: Path, *, on_progress: Callable[[IndexProgress], None] | None = None) -> DemoResult:
    """Run the whole way in the folder ``out`` and return what was made.

    Raises:
        Vlm4RecError: a dependency is missing, or ``out`` cannot be written.
    """
    shop = out / "shop"
    _copy_shop(shop)
    table, index = shop / "items.csv", out / "shop.index"
    with IsolatedCaptioner(resolve_lvlm()) as captioner, OnnxEncoder(resolve_encoder()) as encoder:
        report = build_index(
            table,
            index,
            captioner=captioner,
            encoder=encoder,
            encoded_text="caption",  # what the report shows and speaks of
            remake=True,  # the shop and its index are the demo's own, perhaps of an earlier version
            prune_anyway=True,
            on_progress=on_progress,
        )
        names = (captioner.files.name, encoder.files.name)
    with Recommender.open(index) as recommender:
        catalog = {item.id: _shown(item) for item in recommender.store.items()}
        shoppers = [_shop(recommender, catalog, row) for row in _rows(shop / "histories.csv")]
    rate = report.progress.captioned / report.seconds if report.seconds > 0 else 0.0
    page = out / "report.html"
    write_report(page, _report(report, names, rate, shoppers, [catalog[row["id"]] for row in _rows(table)]))
    return DemoResult(page, index, report.items, rate, shoppers)


def _copy_shop(folder: Path) -> None:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for source in SHOP.rglob("*.*"):
        (folder / source.relative_to(SHOP)).write_bytes(source.read_bytes())


def _rows(table: Path) -> list[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _shown(item: StoredItem) -> ReportItem:
    return ReportItem(item.id, item.title, item.caption, Path(item.image), item.attributes)


def _shop(recommender: Recommender, catalog: Mapping[str, ReportItem], shopper: Mapping[str, str]) -> Shopper:
    history = shopper["history"].split(",")
    found = recommender.recommend(history, _RECOMMENDED)
    bought = [catalog[item_id] for item_id in history]
    return Shopper(shopper["user_id"], shopper["story"], bought, [(catalog[hit.item_id], hit.score) for hit in found])


def _report(
    report: IndexReport,
    names: tuple[str, str],
    rate: float,
    shoppers: Sequence[Shopper],
    catalog: Sequence[ReportItem],
) -> ReportData:
    done = report.progress
    captioner_name, encoder_name = names
    return ReportData(
        title="A small shop, captioned and recommended offline",
        intro="A vision-language model captioned every picture below on this machine. A text encoder turned the captions into "
        "vectors, and the mean vector of what a shopper bought is the query. Titles, prices and other shoppers were not "
        "used.",
        facts=[
            ("items", str(report.items)),
            ("captioned in this run", str(done.captioned)),
            ("pictures a second", f"{rate:.1f}" if done.captioned else "none needed"),
            ("captions by", captioner_name),
            ("vectors by", encoder_name),
        ],
        shoppers=shoppers,
        catalog=catalog,
        notes=[
            "The pictures are this project's own drawings. The embedded model is small and knows photos of clothes; where "
            "it is wrong about a drawing, the caption is shown as it is.",
            "Scores are cosines between the shopper's mean vector and the item's vector.",
        ],
        failures=[(failure.where, failure.reason) for failure in report.failures],
    )
