"""From a name to a captioner: the embedded model, another one of llama.cpp's, or one of an installed package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm4rec_edge.errors import StoreError, UsageError
from vlm4rec_edge.plugins import close_model, open_plugin
from vlm4rec_edge.provenance import fingerprint

if TYPE_CHECKING:
    from vlm4rec_edge.grounding.native import Device
    from vlm4rec_edge.grounding.protocol import Captioner
    from vlm4rec_edge.recommend.source import ItemSource

# What a captioner of llama.cpp notes of itself: what decides its captions besides the files of the model.
_SETTINGS = ("prompt", "max_tokens", "temperature", "seed", "max_side")


def open_captioner(
    model: str | Path | None = None, *, projector: Path | None = None, device: Device = "auto", **settings: Any
) -> Captioner:
    """Find and check a captioner; nothing is loaded yet, unless a GPU was asked for.

    Args:
        model: The name of an installed plug-in (``NAME`` or ``NAME:ARGUMENT``; see ``vlm4rec_edge.plugins``), of an embedded
            or pulled model, a model folder, or a text ``.gguf`` file. Default: the embedded model.
        projector: The mmproj file, for a text ``.gguf`` file without one beside it.
        device: ``auto``, ``cpu`` or ``cuda``.
        settings: Those of ``BaseCaptioner``, for a model of llama.cpp.

    Raises:
        ModelError, UsageError, DeviceError, MissingDependencyError: before any long work.
    """
    if isinstance(model, str) and (plugin := open_plugin("captioners", model)) is not None:
        settings |= {"projector": projector, "device": device != "auto"}
        if given := [name for name, value in settings.items() if value not in (None, False, 0)]:
            close_model(plugin)
            raise UsageError(f"{model} is a captioner with settings of its own; leave out {', '.join(given)}.")
        return plugin  # type: ignore[no-any-return]  # a package of somebody else's
    from vlm4rec_edge.grounding.isolated import IsolatedCaptioner
    from vlm4rec_edge.grounding.native import require_captioning
    from vlm4rec_edge.models.resolve import DEFAULT_LVLM, resolve_lvlm

    files = resolve_lvlm(model or DEFAULT_LVLM, projector=projector)
    require_captioning()
    captioner = IsolatedCaptioner(files, device=device, **settings)
    if device == "cuda":
        captioner.load()
    return captioner


def captioner_of(
    source: ItemSource,
    model: str | Path | None = None,
    *,
    projector: Path | None = None,
    device: Device = "auto",
    batch: int | None = None,
) -> Captioner:
    """Open the captioner that made the captions of an index or a bundle, with the settings it had.

    Args:
        source: The index or the bundle.
        model: Where the model is, if it can not be found by the name that is noted.
        projector: As for ``open_captioner``.
        device: As there.
        batch: Photos captioned together; default: chosen from the memory at hand.

    Raises:
        UsageError: its captions come from a table, or its items are encoded by their titles alone.
        StoreError: it is no longer noted what made them, or the model is another one, or another version.
        ModelError, DeviceError, MissingDependencyError: the model is not on this machine, or what runs it.
    """
    identity = source.provenance("groundings")
    if identity.get("imported"):
        raise UsageError(
            f"The captions of {source.folder} come from {identity['source']}, so no model describes a new photo in their way. "
            "Put its caption into a table and run `vlm4rec-edge index` with --captions, or look for words with "
            "`vlm4rec-edge search`."
        )
    if source.meta.get("encoded_text") == "title" or not identity:
        raise UsageError(
            f"The items of {source.folder} are found by their titles, so no photo can be matched with it; look for words with "
            "`vlm4rec-edge search`."
        )
    name = model or source.lvlm_folder or identity.get("name")
    if not name:
        raise StoreError(f"It is not noted what made the captions of {source.folder}; give the model with --model.")
    settings = _settings_in(identity)
    if settings:
        settings["batch"] = batch
    captioner = open_captioner(str(name), projector=projector, device=device, **settings)
    if fingerprint(captioner.identity) != source.meta.get("grounding"):
        close_model(captioner)
        raise StoreError(
            f"The captions of {source.folder} were made by another model or another version of it than "
            f"{captioner.identity.get('name', name)}; give the right one with --model, or index again with this one."
        )
    return captioner


def _settings_in(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of llama.cpp's captioner in an identity; none in that of another one."""
    if not set(_SETTINGS) <= identity.keys():
        return {}
    settings = {name: identity[name] for name in _SETTINGS}
    if form := identity.get("structured"):
        from vlm4rec_edge.grounding.schema import parse_schema

        settings["structured"] = parse_schema(form["schema"])
    return settings
