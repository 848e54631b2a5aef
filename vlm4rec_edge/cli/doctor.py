"""``vlm4rec-edge doctor``: what a user needs to know when something is wrong, or to paste into a bug report.

Its ``--json`` document: ``vlm4rec_edge/documents/doctor.schema.json``.
"""

from __future__ import annotations

import typer

from vlm4rec_edge.cli import options
from vlm4rec_edge.cli.output import emit_json, printable


def doctor(as_json: options.AsJson = False) -> None:
    """Check this installation: versions, processor, models, plug-ins, a caption, a vector, recommending, telemetry.

    The exit code is 1 if photos cannot be indexed here.

    \b
    Example:
      vlm4rec-edge doctor
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.doctor import examine

    diagnosis = examine()
    if as_json:
        emit_json(diagnosis.to_dict())
    else:
        width = max(len(finding.topic) for finding in diagnosis.findings)
        for finding in diagnosis.findings:
            state = "ok" if finding.ok else "FAILS" if finding.essential else "note"
            typer.echo(printable(f"{state:<5}  {finding.topic:<{width}}  {finding.says}"))
            if finding.remedy:
                typer.echo(printable(f"{'':<5}  {'':<{width}}  -> {finding.remedy}"))
        typer.echo("Photos can be indexed here." if diagnosis.ok else "Photos cannot be indexed here.")
    if not diagnosis.ok:
        raise typer.Exit(1)
