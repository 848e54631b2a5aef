"""The demo: draw a shop, caption, encode and index it, shop in it, and write the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vlm4rec_edge.demo.drawings import Drawing, catalog_of_drawings, write_catalog
from vlm4rec_edge.demo.report import ReportData, ReportItem, Shopper, write_report
from vlm4rec_edge.encoding.encoder import Encoder
from vlm4rec_edge.grounding.isolated import IsolatedCaptioner
from vlm4rec_edge.index_folder import build_index
from vlm4rec_edge.indexing import IndexProgress, IndexReport
from vlm4rec_edge.items import StoredItem
from vlm4rec_edge.models.resolve import resolve_encoder, resolve_lvlm
from vlm4rec_edge.recommend.recommender import Recommender

ITEMS_PER_KIND = 5
ITEM_COUNT = len(catalog_of_drawings(ITEMS_PER_KIND))
_RECOMMENDED = 6

# Who shops in the demo: a name, what the report tells of them, and what they have bought. Colour is what the embedded
# model sees best, so tastes in colour are where anybody can judge at a glance whether what comes back makes sense.
_SHOPPERS = (
    ("Ada", "Wears black.", (("black", "blazer"), ("black", "dress"), ("black", "jeans"))),
    ("Bela", "Likes it bright.", (("yellow", "shirt"), ("yellow", "sweater"), ("orange", "skirt"))),
    ("Cleo", "Denim and light blue.", (("blue", "jacket"), ("blue", "jeans"), ("light blue", "sweater"))),
)


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
        Vlm4RecError: a dependency is missing, or ``out`` can not be written.
    """
    drawings = catalog_of_drawings(ITEMS_PER_KIND)
    table = write_catalog(out / "shop", drawings)
    index = out / "shop.index"
    with IsolatedCaptioner(resolve_lvlm()) as captioner, Encoder(resolve_encoder()) as encoder:
        report = build_index(table, index, captioner=captioner, encoder=encoder, prune=True, on_progress=on_progress)
        names = (captioner.files.name, encoder.files.name)
    with Recommender.open(index) as shop:
        catalog = {item.id: _shown(item) for item in shop.store.items()}
        shoppers = [_shop(shop, catalog, drawings, *shopper) for shopper in _SHOPPERS]
    rate = report.progress.captioned / report.seconds if report.seconds > 0 else 0.0
    page = out / "report.html"
    write_report(page, _report(report, names, rate, shoppers, [catalog[drawing.item_id] for drawing in drawings]))
    return DemoResult(page, index, report.items, rate, shoppers)


def _shown(item: StoredItem) -> ReportItem:
    return ReportItem(item.id, item.title, item.caption, Path(item.image), item.attributes)


def _shop(
    shop: Recommender,
    catalog: dict[str, ReportItem],
    drawings: Sequence[Drawing],
    name: str,
    story: str,
    bought: Sequence[tuple[str, str]],
) -> Shopper:
    by_look = {(drawing.colour, drawing.kind): drawing.item_id for drawing in drawings}
    history = [by_look[look] for look in bought]
    found = shop.recommend(history, _RECOMMENDED)
    return Shopper(
        name, story, [catalog[item_id] for item_id in history], [(catalog[hit.item_id], hit.score) for hit in found]
    )


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
        title="A small shop, seen and recommended offline",
        intro="Every picture below was described in words by a vision-language model on this machine. The words became "
        "vectors, and the mean vector of what a shopper has bought found the recommendations. No title, no price and no "
        "other shopper was used.",
        facts=[
            ("items", str(report.items)),
            ("captioned in this run", str(done.captioned)),
            ("pictures a second", f"{rate:.1f}" if done.captioned else "none to do"),
            ("words by", captioner_name),
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
