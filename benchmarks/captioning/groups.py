"""What of one shop's words means what in another's: kinds in groups, and a second shop's colours in the first's families.

The groups are those of the second shop's own ``subCategory`` where both shops have them, so that nothing is made easier by
merging. What a kind is said to be (a tunic: topwear) follows the second shop, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Group:
    """A group of kinds: the types of the training catalog, and the second shop's article types."""

    types: tuple[str, ...]
    articles: tuple[str, ...] = ()


GROUPS: Mapping[str, Group] = MappingProxyType(
    {
        "topwear": Group(
            (
                *(
                    "T-shirt",
                    "Top",
                    "Vest top",
                    "Blouse",
                    "Shirt",
                    "Polo shirt",
                    "Sweater",
                    "Hoodie",
                    "Cardigan",
                    "Blazer",
                ),
                *("Jacket", "Coat", "Tailored Waistcoat", "Outdoor Waistcoat", "Bodysuit"),
            ),
            (*("Tshirts", "Shirts", "Tops", "Kurtas", "Kurtis", "Sweaters", "Sweatshirts", "Jackets", "Tunics"),),
        ),
        "bottomwear": Group(
            ("Trousers", "Shorts", "Skirt", "Leggings/Tights", "Outdoor trousers"),
            (*("Trousers", "Jeans", "Shorts", "Track Pants", "Capris", "Skirts", "Leggings", "Churidar", "Tights"),),
        ),
        "full body": Group(
            ("Dress", "Jumpsuit/Playsuit", "Dungarees", "Garment Set", "Outdoor overall", "Costumes"),
            ("Dresses", "Tracksuits"),
        ),
        "innerwear and nightwear": Group(
            (
                *("Bra", "Underwear bottom", "Underwear body", "Underwear set", "Underwear corset", "Underdress"),
                *("Kids Underwear top", "Nipple covers", "Bra extender", "Long John", "Pyjama set", "Pyjama bottom"),
                *("Pyjama jumpsuit/playsuit", "Night gown", "Robe", "Sleeping sack", "Sleep Bag"),
            ),
            ("Briefs", "Innerwear Vests", "Trunk", "Bra", "Lounge Shorts"),
        ),
        "swimwear": Group(("Swimsuit", "Swimwear bottom", "Swimwear top", "Swimwear set", "Bikini top", "Sarong")),
        "socks and stockings": Group(("Socks", "Underwear Tights", "Leg warmers"), ("Socks", "Stockings")),
        "footwear": Group(
            (
                *(
                    "Sneakers",
                    "Boots",
                    "Bootie",
                    "Sandals",
                    "Heeled sandals",
                    "Ballerinas",
                    "Slippers",
                    "Pumps",
                    "Heels",
                ),
                *("Flat shoe", "Flat shoes", "Flip flop", "Wedge", "Moccasins", "Other shoe"),
            ),
            (
                *("Casual Shoes", "Sports Shoes", "Formal Shoes", "Heels", "Flats", "Flip Flops", "Sandals"),
                "Sports Sandals",
            ),
        ),
        "bag": Group(
            ("Bag", "Backpack", "Cross-body bag", "Weekend/Gym bag", "Bumbag", "Tote bag", "Washing bag"),
            (
                *("Handbags", "Backpacks", "Clutches", "Laptop Bag", "Duffel Bag", "Messenger Bag", "Mobile Pouch"),
                "Waist Pouch",
            ),
        ),
        "headwear": Group(
            (*("Hat/beanie", "Beanie", "Cap/peaked", "Cap", "Hat/brim", "Bucket hat", "Straw hat", "Felt hat"),),
            ("Caps",),
        ),
        "eyewear": Group(("Sunglasses", "Eyeglasses"), ("Sunglasses",)),
        "watch": Group(("Watch",), ("Watches",)),
        "jewellery": Group(("Earring", "Earrings", "Necklace", "Ring", "Bracelet")),
        "belt": Group(("Belt", "Braces"), ("Belts",)),
        "wallet": Group(("Wallet",), ("Wallets",)),
        "tie": Group(("Tie",), ("Ties",)),
        "scarf": Group(("Scarf",), ("Scarves", "Mufflers", "Stoles", "Dupatta")),
        "gloves": Group(("Gloves",)),
        "umbrella": Group(("Umbrella",), ("Umbrellas",)),
        "hair accessory": Group(("Hair/alice band", "Alice band", "Hair clip", "Hair string", "Hair ties")),
        "cosmetics": Group(
            ("Fine cosmetics", "Chem. cosmetics", "Clothing mist"),
            ("Perfume and Body Mist", "Deodorant", "Fragrance Gift Set"),
        ),
        "other things": Group(
            (
                *("Other accessories", "Accessories set", "Dog Wear", "Dog wear", "Soft Toys", "Toy", "Waterbottle"),
                *("Side table", "Giftbox", "Blanket", "Cushion", "Towel", "Keychain", "Sewing kit", "Marker pen"),
                *("Zipper head", "Stain remover spray", "Wood balls", "Mobile case"),
            )
        ),
    }
)
# Of the second shop's article types these have no group: our captions have no word for them.
ARTICLES_WITHOUT_GROUP = ("Accessory Gift Set", "Cufflinks", "Free Gifts", "Shoe Accessories")

GROUP_OF_TYPE: Mapping[str, str] = MappingProxyType(
    {kind: name for name, group in GROUPS.items() for kind in group.types}
)
GROUP_OF_ARTICLE: Mapping[str, str] = MappingProxyType(
    {article: name for name, group in GROUPS.items() for article in group.articles}
)

# The second shop's ``baseColour`` in the first shop's families. Two families where the shops draw the line between them
# differently: either is right.
FAMILIES_OF_BASE_COLOUR: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Black": ("Black",),
        "White": ("White",),
        "Off White": ("White",),
        "Cream": ("White", "Beige"),
        "Grey": ("Grey",),
        "Charcoal": ("Grey",),
        "Silver": ("Metal", "Grey"),
        "Steel": ("Metal", "Grey"),
        "Gold": ("Metal",),
        "Bronze": ("Metal",),
        "Copper": ("Metal",),
        "Beige": ("Beige", "Mole"),
        "Taupe": ("Mole", "Beige"),
        "Tan": ("Brown", "Beige"),
        "Khaki": ("Khaki green", "Beige"),
        "Brown": ("Brown",),
        "Blue": ("Blue",),
        "Navy Blue": ("Blue",),
        "Turquoise Blue": ("Turquoise",),
        "Teal": ("Turquoise",),
        "Green": ("Green",),
        "Fluorescent Green": ("Green",),
        "Olive": ("Khaki green", "Green"),
        "Red": ("Red",),
        "Maroon": ("Red",),
        "Burgundy": ("Red",),
        "Pink": ("Pink",),
        "Magenta": ("Pink",),
        "Peach": ("Orange", "Pink"),
        "Orange": ("Orange",),
        "Yellow": ("Yellow",),
        "Mustard": ("Yellow",),
        "Purple": ("Lilac Purple",),
        "Lavender": ("Lilac Purple",),
        "Multi": ("undefined",),
    }
)

AUDIENCES_OF_GENDER: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Men": ("Menswear",),
        "Women": ("Ladieswear", "Divided"),
        "Girls": ("Baby/Children",),
        "Boys": ("Baby/Children",),
    }
)
