"""``vlm4rec-edge shard``: plan a catalog in shards, run them anywhere, look how far they are, merge them into one index.

Their ``--json`` documents are described in ``vlm4rec_edge/documents``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlm4rec_edge.cli import EXIT_INTERRUPTED, options
from vlm4rec_edge.cli.groups import grouped
from vlm4rec_edge.cli.output import EXIT_SOME_FAILED, emit_json, note, printable, some_of
from vlm4rec_edge.cli.progress import progress_bar, told_now_and_then
from vlm4rec_edge.errors import UsageError

if TYPE_CHECKING:
    from vlm4rec_edge.items import Failure
    from vlm4rec_edge.shards.making import ModelChoice
    from vlm4rec_edge.shards.running import RunReport
    from vlm4rec_edge.shards.status import OpenShard

shard = typer.Typer(
    help="Divide a catalog into shards, run them on any number of machines, and merge them into one index.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

# Shards and failures that are named on a terminal; all of them are in --json.
_SHOWN = 10
# What says which shard a task of a Slurm array, or of a Kubernetes index job, is to run.
_INDEX_VARIABLES = ["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"]

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the shards.", show_default=False)]
Verify = Annotated[
    bool,
    typer.Option(
        "--verify", help="Read all of every output, rather than only what it says of itself, to find damaged ones."
    ),
]


@shard.command("plan")
@grouped
def plan(
    catalog: Annotated[
        Path,
        typer.Argument(
            metavar="CATALOG", help="A folder of photos, or a CSV, JSONL or Parquet table.", show_default=False
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder of the shards, made or updated.", show_default=False)
    ],
    *,
    rows: Annotated[int, typer.Option(metavar="N", min=1, help="The most rows of a shard.")] = 10_000,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="The folder to which the paths of the table's image column are relative, as for `index`. Default: the folder "
            "of the catalog.",
            show_default=False,
        ),
    ] = None,
    columns: options.CatalogColumnOptions,
    as_json: options.AsJson = False,
) -> None:
    """Divide a catalog into shards: one Parquet file each, with the rows that a worker needs.

    Photos are named by their absolute paths, so that every machine that runs a shard must find them there, or by an address
    such as s3://bucket/a.jpg or https://. Planning an updated catalog into the same folder keeps the shards that are
    unchanged; of the others only new photos are captioned. Needs the extra [parquet].

    \b
    Example:
      vlm4rec-edge shard plan catalog.csv --out shards
      vlm4rec-edge shard plan photos/ --out shards --rows 1000
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.shards.planning import plan_shards

    report = plan_shards(
        catalog,
        out,
        rows=rows,
        images=images,
        columns=columns.columns() if columns.are_given() else None,
        on_progress=_told_rows(shown=not as_json),
    )
    if as_json:
        emit_json(report.to_dict())
    else:
        for sentence in report.notes:
            note(sentence)
        kept = f", {report.kept} of them unchanged" if report.kept else ""
        typer.echo(f"{out}: {report.shards} shards with {report.items:,} items{kept}.")
        if report.duplicates:
            note(
                f"{report.duplicates:,} rows have the id of an earlier one; the first usable row of each id is used: "
                f"{some_of(report.duplicate_ids)}."
            )
        _tell_failures(report.failures, report.unusable)
        if report.addresses:
            note(f"{report.addresses:,} photos are named by an address; `shard run --fetch` fetches them.")
    _end(some_left=bool(report.unusable))


@dataclass(frozen=True)
class WorkOptions:
    """Which shards are run, and where."""

    index: Annotated[
        list[str] | None,
        typer.Option(
            "--index",
            metavar="N|N-M",
            envvar=_INDEX_VARIABLES,
            show_envvar=False,
            help="The number of a shard to run, from 0, or a range such as 0-99; with commas between several, or given "
            "several times. Default: the variable SLURM_ARRAY_TASK_ID or JOB_COMPLETION_INDEX, which the tasks of a Slurm "
            "array and of a Kubernetes index job have; without it, all shards that are missing.",
            show_default=False,
        ),
    ] = None
    scratch: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="A folder for unfinished work and for fetched photos, such as a fast local disk. Default: in DIR, where "
            "another machine can continue it.",
            show_default=False,
        ),
    ] = None
    fetch: Annotated[
        bool,
        typer.Option(
            "--fetch",
            help="Fetch photos that the catalog names by an address, for as long as their shard takes: https:// as `index "
            "--fetch` does, s3:// and others with the extra [fsspec].",
        ),
    ] = False
    fetch_private: Annotated[
        bool, typer.Option("--fetch-private", help="As --fetch, and also from this machine and from private networks.")
    ] = False
    verify: Verify = False


@dataclass(frozen=True)
class RayOptions:
    """Whether shards are run on a Ray cluster, and with what."""

    ray: Annotated[
        bool,
        typer.Option(
            "--ray",
            help="Run the shards on a Ray cluster whose nodes share DIR, the photos and the models (extra [ray]). Every shard "
            "that fails is tried three times.",
        ),
    ] = False
    address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="The address of the cluster, such as auto on its head node. Default: the variable RAY_ADDRESS; without it a "
            "cluster of this machine alone is started, and ended again.",
            show_default=False,
        ),
    ] = None
    cores_per_actor: Annotated[
        float, typer.Option(metavar="N", min=0, help="With --ray: CPU cores of each process that captions.")
    ] = 1
    gpus_per_actor: Annotated[
        float,
        typer.Option(metavar="N", min=0, help="With --ray: GPUs of each of them; a fraction lets several share one."),
    ] = 0
    actors: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="With --ray: how many of them. Default: as many as the cluster has room for.",
            show_default=False,
        ),
    ] = None

    def run(self, folder: Path, indexes: Iterable[int] | None, **settings: Any) -> RunReport:
        """Run shards, here or on the cluster."""
        if not self.ray:
            if self != RayOptions():
                raise UsageError("--address, --cores-per-actor, --gpus-per-actor and --actors are for --ray.")
            from vlm4rec_edge.shards.running import run_shards

            return run_shards(folder, indexes, **settings)
        from vlm4rec_edge.shards.cluster import checked_cluster, run_on_ray

        cluster = checked_cluster(self.address, self.cores_per_actor, self.gpus_per_actor, self.actors)
        return run_on_ray(folder, indexes, cluster=cluster, **settings)


@shard.command("run")
@grouped
def run(
    folder: Folder,
    *,
    work: WorkOptions,
    ray: RayOptions,
    encoded_text: Annotated[
        str | None,
        typer.Option(
            metavar="weighted[:SHARE]|title|caption|title_caption",
            help="Which text of an item is encoded as its vector, as for `index`. Default: as the first run; for that one "
            "weighted.",
            show_default=False,
        ),
    ] = None,
    photo_vectors: options.PhotoVectors = None,
    captioner: options.CaptionerOptions,
    encoder: options.EncoderModel = None,
    as_json: options.AsJson = False,
) -> None:
    """Run the shards that are missing, one after the other, or those of --index.

    The first run chooses the models for all shards; later ones need not repeat its options, and other models are refused. What
    is done is not done again, and then no model is loaded. A shard that was stopped or killed goes on where it was. Any number
    of processes and machines may run shards of one folder at the same time.

    \b
    Example:
      vlm4rec-edge shard run shards
      vlm4rec-edge shard run shards --index 17 --model smolvlm-256m-instruct
      vlm4rec-edge shard run shards --ray --address auto --cores-per-actor 8
    """  # noqa: D301 (click reads the control character)
    with _Bar(shown=not as_json) as bar:
        report = ray.run(
            folder,
            _numbers(work.index),
            choice=_choice(captioner, encoder, encoded_text, photo_vectors),
            scratch=work.scratch,
            fetch=work.fetch,
            allow_private=work.fetch_private,
            verify=work.verify,
            on_start=bar.start,
            on_items=bar.advanced,
        )
    tell_run(report, as_json=as_json)


def _choice(
    captioner: options.CaptionerOptions, encoder: str | None, encoded_text: str | None, photo_vectors: bool | None
) -> ModelChoice:
    """Return which models the options name, what decides the captions apart from what only decides the speed."""
    from vlm4rec_edge.shards.making import MACHINE_SETTINGS, ModelChoice

    given = {name: value for name, value in captioner.settings().items() if value not in (None, False)}
    machine = {name: given.pop(name) for name in MACHINE_SETTINGS if name in given}
    return ModelChoice(captioner.model, encoder, encoded_text, photo_vectors, given, machine)


def _numbers(given: Iterable[str] | None) -> Iterable[int] | None:
    """Return the numbers of shards: ``3``, ``5-9``, ``3,5-9``."""
    if not given:
        return None
    found: list[range] = []
    for part in (part.strip() for value in given for part in value.split(",")):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or int(last or first) < int(first):
            raise typer.BadParameter(f"{part!r} is neither the number of a shard nor a range such as 0-99.")
        found.append(range(int(first), int(last or first) + 1))
    return chain.from_iterable(found)


def tell_run(report: RunReport, *, as_json: bool) -> None:
    """Say what was run, and exit with the code that fits."""
    if as_json:
        emit_json(report.to_dict())
    else:
        for sentence in report.damaged:
            note(f"Made again: {sentence}")
        if report.taken:
            note(f"Other processes work on {some_of([*map(str, report.taken)])}.")
        for one in report.failed[:_SHOWN]:
            note(f"Shard {one.index} failed: {one.reason}")
        rate = f", {report.captioned / report.seconds:.1f} photos/s" if report.captioned else ""
        done = f"{len(report.done)} shards done, {report.items:,} items, {report.captioned:,} captioned{rate}"
        what = done if report.done else "nothing to do" if report.there == report.shards else "no shard done"
        typer.echo(f"{report.folder}: {what} ({report.seconds:.1f} s); {report.there} were done before.")
        if report.failures:
            note(
                f"{report.failures:,} items or photos could not be used; `shard status` counts them, and the index lists them."
            )
        if report.interrupted:
            note("Stopped; what was finished is kept. Run the same command again to go on.")
    _end(
        interrupted=report.interrupted,
        failed=bool(report.failed),
        some_left=bool(report.failures or report.taken),
    )


@shard.command("status")
def status(folder: Folder, verify: Verify = False, as_json: options.AsJson = False) -> None:
    """Show which shards are done, which are missing or failed, and why; loads no model. The exit code is 3 if any is missing.

    \b
    Example:
      vlm4rec-edge shard status shards
      vlm4rec-edge shard status shards --json
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.shards.status import shard_status

    found = shard_status(folder, verify=verify)
    if as_json:
        emit_json(found.to_dict())
    else:
        by = f", by {found.models}" if found.models else ""
        typer.echo(
            f"{folder}: {found.done} of {found.shards} shards done, {found.items_done:,} of {found.items:,} items, "
            f"{found.bytes / 1e6:.1f} MB{by}."
        )
        _tell_open("missing", found.missing)
        _tell_open("running", found.running)
        _tell_open("failed", found.failed)
        for stage, count in found.failures.items():
            typer.echo(f"  {count:,} items or photos could not be used at the stage {stage}")
        if found.superseded:
            typer.echo(f"  {found.superseded} outputs of an earlier plan are kept for their captions")
    _end(some_left=not found.is_complete)


def _tell_open(what: str, shards: tuple[OpenShard, ...]) -> None:
    if shards:
        typer.echo(f"  {what}: {some_of([str(one.index) for one in shards])}")
    for one in shards[:_SHOWN]:
        if one.attempts or one.reason:
            why = f"{one.attempts} attempts. {one.running or one.reason}".rstrip()
            typer.echo(printable(f"    {one.index}: {why}"))


@shard.command("merge")
def merge(
    folder: Folder,
    out: Annotated[
        str,
        typer.Option(
            metavar="INDEX",
            help="The index folder to make, which must not exist; or the address of a LanceDB table, such as "
            "lancedb://shop.lancedb, which replaces one that was written before.",
            show_default=False,
        ),
    ],
    partial: Annotated[
        bool, typer.Option("--partial", help="Merge what is there, although shards are missing.")
    ] = False,
    index_backend: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What searches the index if it has more than 20,000 vectors, as for `index`: hnsw, exact, or an installed "
            "plug-in. A graph of a million vectors takes many minutes; exact needs none. Default: hnsw.",
            show_default=False,
        ),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Merge the shards into an index, the same that `index` makes of the whole catalog, or into a LanceDB table.

    It appears when it is whole. `index` on the catalog updates an index later, without captioning anything again.

    \b
    Examples:
      vlm4rec-edge shard merge shards --out shop.index
      vlm4rec-edge shard merge shards --out lancedb://shop.lancedb
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.shards.merging import merge_shards
    from vlm4rec_edge.shards.reading import read_outputs

    total = 0 if as_json else read_outputs(folder, partial=partial).items
    with progress_bar("Merging", total, shown=not as_json) as advance:
        report = merge_shards(folder, out, partial=partial, index_backend=index_backend, on_items=advance)
    if as_json:
        emit_json(report.to_dict())
    else:
        typer.echo(f"{out}: {report.items:,} items of {report.shards} shards ({report.seconds:.1f} s).")
        if report.missing:
            note(f"Without the shards {some_of([*map(str, report.missing)])}, which are not done.")
        _tell_failures(report.failures, report.failed)
    _end(some_left=bool(report.failed or report.missing))


def _end(*, interrupted: bool = False, failed: bool = False, some_left: bool = False) -> None:
    """End a command of ``shard`` with its exit code (``docs/reference/conventions.md``); the first that fits is the code.

    Args:
        interrupted: It was stopped by Ctrl-C.
        failed: A shard that it was to run failed.
        some_left: It did what it could, and rows, photos or shards are left.
    """
    if code := EXIT_INTERRUPTED if interrupted else 1 if failed else EXIT_SOME_FAILED if some_left else 0:
        raise typer.Exit(code)


def _tell_failures(failures: Iterable[Failure], total: int) -> None:
    if not total:
        return
    note(f"{total:,} could not be used:")
    shown = list(failures)[:_SHOWN]
    for failure in shown:
        note(f"  {failure.where}: {failure.reason}")
    if total > len(shown):
        note(f"  ... and {total - len(shown):,} more")


def _told_rows(*, shown: bool) -> Callable[[int], None]:
    """Return a function to call with how many rows are planned, of a total that nobody knows yet."""
    return told_now_and_then("rows planned", None, shown=shown)


class _Bar:
    """A progress bar that begins when it is known how much there is to do."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown
        self._bars = ExitStack()
        self._advance: Callable[[int], None] = lambda _: None

    def start(self, shards: int, rows: int) -> None:
        """Begin with so many shards and rows to do."""
        if self._shown:
            note(f"{shards} shards to run, {rows:,} rows.")
        self._advance = self._bars.enter_context(progress_bar("Captioning", rows, shown=self._shown))

    def advanced(self, done: int) -> None:
        """Show that so many rows are done."""
        self._advance(done)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.close()
