"""From a name to a text encoder: the embedded one, an ONNX folder, or one of an installed package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vlm4rec_edge.plugins import open_plugin

if TYPE_CHECKING:
    from vlm4rec_edge.encoding.protocol import Encoder
    from vlm4rec_edge.grounding.llama.native import Device
    from vlm4rec_edge.models.resolve import EncoderFiles


def open_encoder(
    name: str | Path | EncoderFiles | None = None, *, device: Device = "auto", threads: int | None = None
) -> Encoder:
    """Find, check and load a text encoder.

    Args:
        name: The name of an installed plug-in (``NAME`` or ``NAME:ARGUMENT``; see ``vlm4rec_edge.plugins``), of an embedded
            or pulled encoder, a folder with an ONNX graph and ``tokenizer.json``, or checked files. Default: the embedded one.
        device: ``auto``, ``cpu`` or ``cuda``; a plug-in decides for itself.
        threads: CPU threads; default: the physical cores that this process may use.

    Raises:
        ModelError, DeviceError, MissingDependencyError: it cannot be found or used.
    """
    members = ("identity", "dimensions", "encode")
    if isinstance(name, str) and (plugin := open_plugin("encoders", name, members=members)) is not None:
        return plugin  # type: ignore[no-any-return]  # a package of somebody else's
    from vlm4rec_edge.encoding.encoder import OnnxEncoder
    from vlm4rec_edge.models.resolve import DEFAULT_ENCODER, EncoderFiles, resolve_encoder

    files = name if isinstance(name, EncoderFiles) else resolve_encoder(name or DEFAULT_ENCODER)
    return OnnxEncoder(files, device=device, threads=threads)
