"""From a name to a captioner: the embedded model, another one of llama.cpp's, or one of an installed package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.plugins import close_model, open_plugin

if TYPE_CHECKING:
    from vlm4rec_edge.grounding.llama.native import Device
    from vlm4rec_edge.grounding.protocol import Captioner


# From so many on a model chooses by itself how many it captions together.
_MANY_PHOTOS = 8


def open_captioner(
    model: str | Path | None = None,
    *,
    projector: Path | None = None,
    device: Device = "auto",
    photos: int | None = None,
    photo_vectors: bool = False,
    **settings: Any,
) -> Captioner:
    """Find and check a captioner; nothing is loaded yet, unless a GPU was asked for.

    Args:
        model: The name of an installed plug-in (``NAME`` or ``NAME:ARGUMENT``; see ``vlm4rec_edge.plugins``), of an embedded
            or pulled model, a model folder, or a text ``.gguf`` file. Default: the embedded model.
        projector: The mmproj file, for a text ``.gguf`` file without one beside it.
        device: ``auto``, ``cpu`` or ``cuda``.
        photos: How many it will be given, where that is known; without ``batch``, no memory is held for more, and for few
            of them it is not found out whether ONNX Runtime's vision encoder is faster, but only looked up.
        photo_vectors: Whether captions come with vectors of the photos themselves, which an index then keeps for ``learn``.
        settings: Those of ``BaseCaptioner``, for a model of llama.cpp.

    Raises:
        ModelError, UsageError, DeviceError, MissingDependencyError: before any long work.
    """
    if (
        isinstance(model, str)
        and (plugin := open_plugin("captioners", model, members=("identity", "caption"))) is not None
    ):
        settings |= {"projector": projector, "device": device != "auto"}
        if given := [name for name, value in settings.items() if value not in (None, False, 0)]:
            close_model(plugin)
            raise UsageError(f"{model} is a captioner with settings of its own; leave out {', '.join(given)}.")
        if photo_vectors and getattr(plugin, "vector_identity", None) is None:
            close_model(plugin)
            raise UsageError(
                f"{model} gives no vectors of photos; leave out --photo-vectors, or use --no-photo-vectors."
            )
        return plugin  # type: ignore[no-any-return]  # a package of somebody else's
    from vlm4rec_edge.grounding.child.isolated import IsolatedCaptioner
    from vlm4rec_edge.grounding.llama.native import require_captioning
    from vlm4rec_edge.models.resolve import DEFAULT_LVLM, resolve_lvlm

    if settings.get("batch") is None and photos is not None and photos < _MANY_PHOTOS:
        settings |= {"batch": photos, "find_out": False}
    files = resolve_lvlm(model or DEFAULT_LVLM, projector=projector)
    require_captioning()
    captioner = IsolatedCaptioner(files, device=device, photo_vectors=photo_vectors, **settings)
    if device == "cuda":
        captioner.load()
    return captioner
