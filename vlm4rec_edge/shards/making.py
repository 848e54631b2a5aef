"""What makes the captions and vectors of all shards of a folder: chosen by the first run, noted, and held to by all others."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

from vlm4rec_edge.encoding.golden import check_golden, golden_of
from vlm4rec_edge.encoding.opening import open_encoder
from vlm4rec_edge.encoding.protocol import Encoder
from vlm4rec_edge.encoding.text import DEFAULT_TEXT, TITLE, EncodedText, check_encoded_text
from vlm4rec_edge.errors import StoreError, UsageError
from vlm4rec_edge.grounding.opening import open_captioner
from vlm4rec_edge.grounding.protocol import Captioner
from vlm4rec_edge.grounding.schema import Schema, parse_schema
from vlm4rec_edge.indexing.remembered import place_of
from vlm4rec_edge.plugins import close_model, installed_plugins
from vlm4rec_edge.provenance import MadeBy, made_by, photo_vectors_by
from vlm4rec_edge.shards.folder import MODELS_NAME, VERSION, read_document, write_document
from vlm4rec_edge.store.making import Making

# Settings of a captioner, and of an encoder, that decide nothing but the speed.
MACHINE_SETTINGS = ("device", "threads", "batch", "vision")


@dataclass(frozen=True)
class Models:
    """The models at work; ``captioner`` is None where titles alone are encoded."""

    captioner: Captioner | None
    encoder: Encoder
    encoded_text: EncodedText = DEFAULT_TEXT


@dataclass(frozen=True)
class ModelChoice:
    """Which models are to be used, and how.

    Attributes:
        model, encoder: Their names, as ``open_captioner`` and ``open_encoder`` find them; None for the embedded ones.
        encoded_text: Which text becomes the vectors; None for ``weighted:0.9``.
        photo_vectors: Whether photos get vectors of their own; None for no.
        settings: Further settings of ``open_captioner`` that decide what is made, such as ``prompt``.
        machine: Those that decide nothing but the speed, and may differ from machine to machine: ``device``, ``threads``,
            ``batch``, ``vision``.
    """

    model: str | None = None
    encoder: str | None = None
    encoded_text: str | None = None
    photo_vectors: bool | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def is_default(self) -> bool:
        """Whether nothing that decides what is made was chosen."""
        return self == ModelChoice()

    @contextmanager
    def opened(self) -> Iterator[Models]:
        """Open the models, and free them at the end.

        Raises:
            ModelError, UsageError, DeviceError, MissingDependencyError: one cannot be found or used.
        """
        kind = DEFAULT_TEXT if self.encoded_text is None else check_encoded_text(self.encoded_text)
        both = {name: value for name, value in self.machine.items() if name in ("device", "threads")}
        with ExitStack() as stack:
            captioner = None
            if kind == TITLE:
                if self.model or self.settings or self.photo_vectors:
                    raise UsageError("Where titles alone are encoded no model captions photos; leave out its options.")
            else:
                settings = dict(self.settings) if _is_plugin(self.model) else {**self.machine, **self.settings}
                captioner = open_captioner(self.model, photo_vectors=bool(self.photo_vectors), **settings)
                stack.callback(close_model, captioner)
            encoder = open_encoder(self.encoder, **both)
            stack.callback(close_model, encoder)
            yield Models(captioner, encoder, kind)

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON object, without what is of a machine."""
        return {
            "model": self.model,
            "encoder": self.encoder,
            "encoded_text": str(DEFAULT_TEXT if self.encoded_text is None else check_encoded_text(self.encoded_text)),
            "photo_vectors": bool(self.photo_vectors),
            "settings": {name: _plain(value) for name, value in self.settings.items()},
        }

    @staticmethod
    def of(document: Mapping[str, Any], machine: Mapping[str, Any]) -> ModelChoice:
        """Return the choice that ``to_dict`` returned, on this machine."""
        settings = dict(document["settings"])
        if isinstance(settings.get("structured"), dict):
            settings["structured"] = parse_schema(settings["structured"])
        if settings.get("projector"):
            settings["projector"] = Path(settings["projector"])
        return ModelChoice(**{**document, "settings": settings}, machine=machine)


def _is_plugin(model: str | None) -> bool:
    """Whether a name is that of another package's captioner, which has no settings of ours."""
    return model is not None and model.partition(":")[0] in {plugin.name for plugin in installed_plugins("captioners")}


def _plain(value: Any) -> Any:
    if isinstance(value, Schema):
        return value.document
    return str(value.absolute()) if isinstance(value, Path) else value


@dataclass(frozen=True)
class ShardMaking:
    """What makes the shards of a folder: fingerprints and identities, as an index notes them, and the choice behind them.

    ``choice`` is that of the first run; None where it was given opened models.
    """

    making: Making
    choice: Mapping[str, Any] | None = None

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 (hex) of all that decides a caption or a vector; shards of two of them are never mixed."""
        made = self.making
        by = [one and one.fingerprint for one in (made.captions_by, made.vectors_by, made.photo_vectors_by)]
        return hashlib.sha256(json.dumps([VERSION, *by, made.encoded_text]).encode()).hexdigest()

    @property
    def names(self) -> str:
        """The models by their names, for a sentence."""
        made = [one.identity.get("name", "") for one in (self.making.captions_by, self.making.vectors_by) if one]
        return " and ".join(map(str, made))

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {"making": asdict(self.making), "choice": self.choice}

    @staticmethod
    def of(document: Mapping[str, Any]) -> ShardMaking:
        """Return what ``to_dict`` returned."""
        making = dict(document["making"])
        for name in ("captions_by", "vectors_by", "photo_vectors_by"):
            making[name] = MadeBy(*making[name]) if making[name] else None
        return ShardMaking(Making(**making), document.get("choice"))


def making_of(models: Models) -> Making:
    """Return what makes the captions and vectors of a run with these models.

    Raises:
        ModelError: one of them is no model.
    """
    captioner, encoder = models.captioner, models.encoder
    return Making(
        made_by(captioner) if captioner else None,
        made_by(encoder),
        int(encoder.dimensions),
        golden_of(encoder),
        models.encoded_text,
        {"captioner_place": place_of(captioner)} if captioner else {},
        {"encoder_place": place_of(encoder)},
        photo_vectors_by(captioner) if captioner else None,
    )


def noted_making(folder: Path) -> ShardMaking | None:
    """Return what makes the shards of a folder, as its first run noted it; None before that.

    Raises:
        StoreError: the note is damaged.
    """
    path = folder / MODELS_NAME
    if not path.is_file():
        return None
    remedy = "restore it, or remove it and run the shards with the options of the first run"
    try:
        return ShardMaking.of(read_document(path, remedy))
    except (KeyError, TypeError) as error:
        raise StoreError(f"{path} is damaged ({error}); {remedy}.") from error


def agreed_making(folder: Path, models: Models, choice: ModelChoice | None) -> ShardMaking:
    """Return what makes the shards of a folder, noted now if this is its first run.

    Raises:
        StoreError: these models would make other captions or vectors than the shards that are there.
    """
    own = ShardMaking(making_of(models), choice.to_dict() if choice else None)
    noted = noted_making(folder) or _noted_first(folder, own)
    if noted.fingerprint != own.fingerprint:
        raise StoreError(other_models(folder, noted, own))
    check_golden(noted.making.golden, models.encoder, folder)
    return noted


def other_models(folder: Path, noted: ShardMaking, own: ShardMaking) -> str:
    """Return the sentence on models that make something else than the shards that are there."""
    same = " with other settings or another version" if noted.names == own.names else ""
    return (
        f"The shards of {folder} are made by {noted.names}, and these options mean {own.names}{same}; the two are not mixed. "
        "Leave the options out, or plan into another folder."
    )


def _noted_first(folder: Path, own: ShardMaking) -> ShardMaking:
    """Note what makes the shards, unless another process has done so at this moment; return what is noted."""
    mine = folder / f"{MODELS_NAME}.{uuid4().hex}.new"
    write_document(mine, {"version": VERSION, **own.to_dict()})
    try:
        os.link(mine, folder / MODELS_NAME)  # fails where the name is taken, and never shows half a file
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        if not (folder / MODELS_NAME).exists():
            mine.replace(folder / MODELS_NAME)
    finally:
        mine.unlink(missing_ok=True)
    noted = noted_making(folder)
    return own if noted is None else noted
