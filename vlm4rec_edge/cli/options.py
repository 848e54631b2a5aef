"""Options that several commands share."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.given import place_of
from vlm4rec_edge.plugins import opened

if TYPE_CHECKING:
    from vlm4rec_edge.catalog.layouts import CatalogColumns
    from vlm4rec_edge.grounding.llama.native import Device as LlamaDevice
    from vlm4rec_edge.grounding.protocol import Captioner
    from vlm4rec_edge.interactions import InteractionColumns


class DeviceName(StrEnum):
    """Where models compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class RepresentationName(StrEnum):
    """By what items are compared."""

    learned = "learned"
    words = "words"
    photos = "photos"


class VisionName(StrEnum):
    """What encodes photos."""

    auto = "auto"
    onnx = "onnx"
    mtmd = "mtmd"


class VisionPrecisionName(StrEnum):
    """In which precision ONNX Runtime, or OpenVINO, encodes photos."""

    fp32 = "fp32"
    int8 = "int8"
    bf16 = "bf16"


# Under this name a context holds whether JSON is wanted, also for errors before its options are read.
AS_JSON = "vlm4rec_edge.json"
AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document for programs."),
]
Index = Annotated[Path, typer.Argument(metavar="INDEX", help="The index folder.", show_default=False)]


def _place(text: str) -> str:
    """Return where an index lies: a path as paths are written, the address of a table as it is."""
    return str(place_of(text, "An index"))


Shipped = Annotated[
    str,
    typer.Argument(
        metavar="INDEX",
        help="An index folder, a bundle, or the address of a LanceDB table, such as lancedb://shop.lancedb.",
        show_default=False,
        parser=_place,
    ),
]
Count = Annotated[int, typer.Option("-k", metavar="N", min=1, help="How many items to return.")]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="The vision-language model: a name of `models list`, a folder, a text .gguf file, or an installed plug-in (NAME "
        "or NAME:ARGUMENT). Default: the one that made the index, if there is one; else the embedded one.",
        show_default=False,
    ),
]
Projector = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The model's projector, a second .gguf file (often called mmproj) that turns photos into what the text model "
        "reads. It is needed if --model is a .gguf file without one beside it.",
        show_default=False,
    ),
]
EncoderModel = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        metavar="ENCODER",
        help="The text encoder: a name of `models list`, a folder with an ONNX file and tokenizer.json, or an installed "
        "plug-in (NAME or NAME:ARGUMENT). Default: the one that made the index, if there is one; else the embedded one.",
        show_default=False,
    ),
]
ModelOfIndex = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="Name, folder or file of the model that made the captions, if it is not found by the name noted in the index.",
        show_default=False,
    ),
]
EncoderOfIndex = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        metavar="ENCODER",
        help="Name or folder of the encoder that made the vectors, if it is not found by the name noted in the index.",
        show_default=False,
    ),
]
PromptText = Annotated[
    str | None,
    typer.Option(
        "--prompt",
        metavar="TEXT",
        help="The prompt: what to ask about each photo. {title} and {any_column} are filled in from the catalog. Default: the "
        "model's own prompt.",
        show_default=False,
    ),
]
Structured = Annotated[
    bool | None,
    typer.Option(
        "--structured/--no-structured",
        help="Make captions follow a schema. Its fields become columns of the items, by which --where can filter.",
        show_default=False,
    ),
]
SchemaFile = Annotated[
    Path | None,
    typer.Option(
        "--schema",
        metavar="FILE",
        help="A file with the JSON schema of structured captions; implies --structured. Default: a schema with the fields "
        "kind, colour, pattern, audience and details.",
        show_default=False,
    ),
]
MaxTokens = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="The longest caption, in tokens. Default: the model's own limit.",
        show_default=False,
    ),
]
Temperature = Annotated[
    float | None,
    typer.Option(
        metavar="NUMBER",
        min=0.0,
        help="The sampling temperature. With 0, the default, the likeliest token is taken each time; above 0, tokens are "
        "sampled at random.",
        show_default=False,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="The sampling seed, for a --temperature above 0: the same seed gives the same captions.",
        show_default=False,
    ),
]


def _batch(given: str) -> int:
    """Return a batch as a number; 0 stands for ``auto``."""
    if given != "auto" and not (given.isdecimal() and int(given) >= 1):
        raise typer.BadParameter(f"{given!r} is neither auto nor a number from 1 on.")
    return 0 if given == "auto" else int(given)


Batch = Annotated[
    int | None,
    typer.Option(
        parser=_batch,
        metavar="auto|N",
        help="How many photos are captioned together. Default: auto, which goes by the model and the free memory.",
        show_default=False,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="How many CPU threads to use. Default: one a core.", show_default=False),
]
MaxSide = Annotated[
    int | None,
    typer.Option(
        metavar="PIXELS",
        min=16,
        help="Larger photos are scaled down to so many pixels on their longer side before the model sees them. Default: the "
        "model's own limit, or 2048.",
    ),
]
PhotoVectors = Annotated[
    bool | None,
    typer.Option(
        "--photo-vectors/--no-photo-vectors",
        help="Store a vector of each photo from the model's vision encoder, which `learn` can use beside titles and captions. "
        "Photos captioned before get one without being captioned again. Default: as the index was made; none for a new one.",
        show_default=False,
    ),
]
Device = Annotated[
    DeviceName,
    typer.Option(
        help="Where to compute. auto takes a GPU if there is one; a device that is named and missing is an error."
    ),
]
VisionTower = Annotated[
    VisionName,
    typer.Option(
        "--vision",
        help="What runs the model's vision encoder: ONNX Runtime (onnx) or llama.cpp (mtmd). auto takes the one that was "
        "measured to be faster on this machine.",
    ),
]
VisionPrecision = Annotated[
    VisionPrecisionName | None,
    typer.Option(
        help="The precision of the vision encoder in ONNX Runtime. int8 is faster and changes some captions; bf16 is computed "
        "by OpenVINO (extra [openvino]), on processors with bfloat16 instructions. Default: as the index was made; fp32 for a "
        "new one.",
        show_default=False,
    ),
]
Where = Annotated[
    str | None,
    typer.Option(
        "--where",
        metavar="FILTER",
        help="Take only items that match this filter, such as \"audience = 'Menswear' and price < 40\". Comparisons: = != < "
        "<= > >=, in (...), like, contains, is missing; joined by and, or, not and parentheses. Text stands in single quotes, "
        "a column name with spaces in double quotes.",
        show_default=False,
    ),
]
Representation = Annotated[
    RepresentationName | None,
    typer.Option(
        help="By what items are compared: learned (from purchases, with the words), the words alone, or the photos' own "
        "vectors, which the index must keep (index --photo-vectors). Default: as the index is.",
        show_default=False,
    ),
]
Explain = Annotated[
    bool,
    typer.Option(
        "--explain", help="Explain each item: which items of the history, or which text query, its score comes from."
    ),
]


def refuse_photo_vectors(asked: bool | None) -> None:
    """Refuse to make photo vectors where no model encodes photos.

    Raises:
        UsageError: they are asked for.
    """
    if asked:
        raise UsageError(
            "--photo-vectors needs a model that encodes the photos; where titles alone are encoded, or captions come from a "
            "table, none does. Leave it out."
        )


@dataclass(frozen=True)
class CaptionerOptions:
    """What describes the photos, and how."""

    model: Model = None
    projector: Projector = None
    prompt: PromptText = None
    structured: Structured = None
    schema: SchemaFile = None
    max_tokens: MaxTokens = None
    temperature: Temperature = None
    seed: Seed = None
    batch: Batch = None
    threads: Threads = None
    max_side: MaxSide = None
    device: Device = DeviceName.auto
    vision: VisionTower = VisionName.auto
    vision_precision: VisionPrecision = None

    def of_a_model(self) -> bool:
        """Whether an option is given that only a vision-language model heeds; threads and device are of the encoder too."""
        return replace(self, threads=None, device=DeviceName.auto) != CaptionerOptions()

    def open(self, photos: int | None = None) -> Captioner:
        """Open the captioner; ``photos`` is how many it will be given, where that is known."""
        from vlm4rec_edge.grounding.opening import open_captioner

        given = {name: value for name, value in self.settings().items() if value is not None}
        return open_captioner(self.model, photos=photos, **given)

    def settings(self) -> dict[str, Any]:
        """Return what is given besides the model, by the names of ``open_captioner``; None where nothing is."""
        from vlm4rec_edge.grounding.schema import read_schema

        return {
            "projector": self.projector,
            "device": self.device.value,
            "prompt": self.prompt
            and self.prompt.encode("utf-8", "replace").decode("utf-8"),  # a terminal may send other bytes
            "structured": read_schema(self.schema) if self.schema else self.structured,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
            "batch": self.batch or None,
            "threads": self.threads,
            "max_side": self.max_side,
            "vision": None if self.vision == VisionName.auto else self.vision.value,
            "vision_precision": self.vision_precision and self.vision_precision.value,
        }


@dataclass(frozen=True)
class CatalogColumnOptions:
    """What the columns of a catalog's table are called."""

    id_column: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="The column of the catalog's table that holds the ids. Default: id, or the name that it has in an export of "
            "Shopify, WooCommerce, Magento or Google Merchant.",
            show_default=False,
        ),
    ] = None
    image_column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="The column of the photos; may be given several times. Default: image, or the name in such an export.",
            show_default=False,
        ),
    ] = None
    title_column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="The column that holds the titles; may be given several times, and the texts are joined. Default: title, or "
            "the name in such an export.",
            show_default=False,
        ),
    ] = None

    def are_given(self) -> bool:
        """Whether any is named."""
        return bool(self.id_column or self.image_column or self.title_column)

    def columns(self) -> CatalogColumns:
        """Return them as the catalog takes them."""
        from vlm4rec_edge.catalog.layouts import CatalogColumns

        return CatalogColumns(self.id_column or "", tuple(self.image_column or ()), tuple(self.title_column or ()))


@dataclass(frozen=True)
class InteractionColumnOptions:
    """What the columns of a table of interactions are called."""

    user_column: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="The column of the interactions' table that holds the users. Default: user_id, or the name that it has in a "
            "known data set.",
            show_default=False,
        ),
    ] = None
    item_column: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="The column that holds the item ids. Default: item_id, or the name in a known data set.",
            show_default=False,
        ),
    ] = None
    date_column: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="The column that holds the dates. Default: date, or the name in a known data set.",
            show_default=False,
        ),
    ] = None
    weight_column: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The column that holds the weights. Default: weight.", show_default=False),
    ] = None

    def columns(self) -> InteractionColumns:
        """Return them as a reader of interactions takes them."""
        from vlm4rec_edge.interactions import InteractionColumns

        return InteractionColumns(
            self.user_column or "", self.item_column or "", self.date_column or "", self.weight_column or ""
        )


def named_encoder(name: str | None, *, device: LlamaDevice = "cpu") -> AbstractContextManager[Any]:
    """The encoder that ``--encoder`` names, closed at the end; None where none is named, for the one that made the index."""
    if name is None:
        return nullcontext()
    from vlm4rec_edge.encoding.opening import open_encoder

    return opened(None, lambda: open_encoder(name, device=device))
