"""The vision encoder of a model in GGUF -> the ONNX graph that encodes its photos, compared with llama.cpp's own."""

from __future__ import annotations

import subprocess
import sys
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated

try:
    import typer

    from vlm4rec_edge.checksums import sha256_of
    from vlm4rec_edge.cores import usable_cores
    from vlm4rec_edge.errors import ModelError, UsageError
    from vlm4rec_edge.grounding.llama.native import require_captioning
    from vlm4rec_edge.grounding.vision.check import ask_mtmd, reference_pictures
    from vlm4rec_edge.grounding.vision.graph_file import graph_name
    from vlm4rec_edge.grounding.vision.making import make_graph
    from vlm4rec_edge.grounding.vision.projector import check_covered, require_building
    from vlm4rec_edge.models.resolve import LvlmFiles, resolve_lvlm
except ModuleNotFoundError as error:
    raise SystemExit(f"{error.name} is not installed; in the checkout run: pip install -e '.[cpu,export]'") from None

from checkpoint import run, say


class Precision(StrEnum):
    """What the linear layers of the vision encoder multiply."""

    FP32 = "fp32"
    INT8 = "int8"


def export(
    source: Annotated[
        str,
        typer.Argument(
            help="A model in GGUF: its name, its folder, or its text file; or the local folder of a checkpoint."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the graphs; default: the projector's, where they are found. Of a checkpoint: for its GGUF files."
        ),
    ] = None,
    projector: Annotated[
        Path | None, typer.Option(help="The projector of a text file.", exists=True, dir_okay=False)
    ] = None,
    precision: Annotated[
        list[Precision] | None, typer.Option(help="fp32 or int8; may be given twice; default: both.")
    ] = None,
    text_type: Annotated[str, typer.Option(help="Of a checkpoint: llama.cpp type of the text model.")] = "Q8_0",
    projector_type: Annotated[
        str, typer.Option(help="Of a checkpoint: llama.cpp type of vision encoder and projector.")
    ] = "F16",
) -> None:
    """Make the ONNX graph of a vision encoder from its GGUF file, and verify it against llama.cpp's own.

    Photos then go through ONNX Runtime on a CPU, several times faster, and the text model stays with llama.cpp. Both
    encode the same pictures; the cosine of each token with llama.cpp's is printed, and below a bound the export fails.
    The commands do all this by themselves when a model is first used; this script does it beforehand, and prints more.

    Families: SmolVLM, SmolVLM2, Idefics3 and Gemma 3.

    \b
    Precisions:
      fp32  the weights of the GGUF file, unpacked; it computes in float
      int8  computes with integers ("dynamic", weights per output, activations
            per view): a quarter of the size, faster, less exact

    \b
    Example, a model that was pulled:
      pip install -e '.[cpu,export]'
      python export/vision_to_onnx.py smolvlm-256m-instruct

    \b
    Example, a checkpoint of your own; its GGUF files are made first:
      python export/vision_to_onnx.py ./my-checkpoint --out my-model --precision int8
    """  # noqa: D301 - the backspaces are for click, which keeps the lines after one
    require_building()
    require_captioning()
    files = _files(source, out, projector, ["--text-type", text_type, "--projector-type", projector_type])
    check_covered(files.projector)
    sha256 = sha256_of(files.projector)
    folder = out or files.projector.parent
    folder.mkdir(parents=True, exist_ok=True)
    references = cache(lambda: ask_mtmd(files, reference_pictures(), threads=usable_cores()))  # once for all precisions
    for one in precision or list(Precision):
        say(f"Making {one.value} of {files.projector.name}, and encoding pictures with it and with llama.cpp.")
        graph = folder / graph_name(sha256, one.value)
        record = make_graph(files, sha256, one.value, graph, references)
        if record.graph is None or record.agreement is None:
            raise ModelError(f"There is no graph of {files.projector}: {record.reason}.")
        agreement = record.agreement
        say(
            f"Wrote {graph}: {record.graph.size / 1e6:.1f} MB, weights of {record.weight_bits} bits. Against llama.cpp, "
            f"{agreement.tokens} tokens of {agreement.views} views: cosine mean {agreement.cosine_mean:.5f}, worst "
            f"{agreement.cosine_worst:.5f}; lengths differ by {agreement.length_worst:.2%} at most."
        )
    say("Passed.")


def _files(source: str, out: Path | None, projector: Path | None, types: list[str]) -> LvlmFiles:
    """Return a model in GGUF; that of a checkpoint is exported first.

    Raises:
        UsageError: a checkpoint without a folder for its GGUF files.
        ModelError: there is no such model, or it cannot be exported.
    """
    if not (Path(source) / "config.json").is_file():
        return resolve_lvlm(source, projector=projector)
    if out is None:
        raise UsageError(f"{source} is a checkpoint; name a folder for its GGUF files with --out.")
    script = Path(__file__).with_name("lvlm_to_gguf.py")
    command = [sys.executable, str(script), source, "--out", str(out), *types]
    if subprocess.run(command, check=False).returncode:
        raise ModelError(f"{source} cannot be exported to GGUF; see above.")
    return resolve_lvlm(out)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(export)
    run(app)
