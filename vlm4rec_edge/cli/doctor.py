"""``vlm4rec-edge doctor``: what a user needs to know when something is wrong, or to paste into a bug report.

Its ``--json`` document (a field may be added, none is renamed or removed): ``{"ok", "findings": [{"topic", "says", "ok",
"remedy", "essential"}], "versions": {name: version or null}, "machine": {"system", "architecture", "processor", "features",
"cores", "physical_cores", "available_bytes"}, "llama_cpp": {"works", "extra_buffers", "reason"} or null, "onnx_providers",
"models": [{"name", "kind", "folder", "sha256": {role: digest}}], "plugins": [{"group", "name", "value", "package",
"problem"}], "recommends": bool, "telemetry": {package: bool}, "cache"}``; where a caption could be made also
``"llama_cpp_uses", "llama_cpp_gpu"`` and ``"vision": [{"model", "says", "agreement": {"views", "tokens", "cosine_worst",
"cosine_mean", "length_worst", "mtmd_s", "onnx_s"} or null}]`` (how near ONNX Runtime's vision encoder comes to llama.cpp's,
and seconds of a view with each), and where a vector could, ``"vector_difference"`` from its reference.
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
