"""The columns of a catalog: our own names, and those of the exports of shop systems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vlm4rec_edge.tables.roles import Layout, Wanted

_LAYOUTS = (
    Layout("", {"id": ("id",), "image": ("image",), "title": ("title",)}),
    # https://help.shopify.com/en/manual/products/import-export/using-csv
    Layout("a Shopify export", {"id": ("Handle",), "image": ("Image Src",), "title": ("Title",)}),
    # https://woocommerce.com/document/product-csv-importer-exporter/
    Layout("a WooCommerce export", {"id": ("ID",), "image": ("Images",), "title": ("Name",)}),
    # https://experienceleague.adobe.com/en/docs/commerce-admin/systems/data-transfer/data-attributes-product
    Layout("a Magento export", {"id": ("sku",), "image": ("base_image", "additional_images"), "title": ("name",)}),
    # https://support.google.com/merchants/answer/7052112
    Layout(
        "a Google Merchant feed",
        {"id": ("id",), "image": ("image_link", "additional_image_link"), "title": ("title",)},
    ),
)


@dataclass(frozen=True)
class CatalogColumns:
    """The columns of a catalog's table, where they are not called ``id``, ``image`` and ``title`` or as a known export does.

    Attributes:
        id: The column of the ids.
        image: One or more columns that name photos; all are photos of the item.
        title: One or more columns that are joined, with a space between.
    """

    id: str = ""
    image: Sequence[str] = ()
    title: Sequence[str] = ()

    def wanted(self) -> Wanted:
        """Return what a reader of tables is to look for."""
        given = {"id": (self.id,) if self.id else (), "image": _texts(self.image), "title": _texts(self.title)}
        return Wanted(_LAYOUTS, ("id", "image"), {role: names for role, names in given.items() if names}, options=True)


def _texts(names: Sequence[str]) -> tuple[str, ...]:
    return ((names,) if names else ()) if isinstance(names, str) else tuple(names)
