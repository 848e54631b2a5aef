"""The command ``serve``: an index or a bundle as an HTTP API, with a page to look at.

Its ``--json`` document, printed once the server listens: ``vlm4rec_edge/documents/serve.schema.json``.
"""

from __future__ import annotations

import webbrowser
from typing import TYPE_CHECKING, Annotated

import typer

from vlm4rec_edge.cli import lists, options
from vlm4rec_edge.cli.output import emit_json, note

if TYPE_CHECKING:
    from vlm4rec_edge.serve.running import Serving


_Host = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS",
        help="The address to listen at. One that others can reach, such as 0.0.0.0, needs --token.",
    ),
]
_Token = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        envvar="VLM4REC_EDGE_TOKEN",
        help="The token that clients must send, at least 16 characters. Better in the environment than on the command line, "
        "where other users of the machine can read it.",
        show_default=False,
    ),
]


def serve(
    index: options.Shipped,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            max=65535,
            help="The port to listen at; 0 takes any that is free. Default: 8000 or, if that is in use, the next that "
            "is free.",
            show_default=False,
        ),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    host: _Host = "127.0.0.1",
    token: _Token = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAMES",
            help="Further host names of the server, such as shop.local, separated by commas.",
            show_default=False,
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGINS",
            help="Origins of other sites whose pages may send requests (CORS), such as https://shop.example, separated by "
            "commas.",
            show_default=False,
        ),
    ] = None,
    captioner: Annotated[
        bool,
        typer.Option("--captioner", help="Accept photos too, and caption them with the model that made the index."),
    ] = False,
    log: Annotated[bool, typer.Option("--log", help="Log a line for each request, without its query.")] = False,
    log_histories: Annotated[
        bool,
        typer.Option("--log-histories", help="Log a line for each request, with its query and the histories in it."),
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Serve an index or a bundle: a page to look at, and an HTTP API to build on, for this machine alone by default.

    \b
    Examples:
      vlm4rec-edge serve shop.index --open
      vlm4rec-edge serve shop.zip --port 8080
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.serve.running import PORT
    from vlm4rec_edge.serve.running import serve as run

    def tell(serving: Serving) -> None:
        if port is None and serving.port != PORT:
            note(f"Port {PORT} is in use; listening at {serving.port}.")
        if as_json:
            emit_json(serving.to_dict())
        else:
            typer.echo(f"{serving.items:,} items at {serving.address}")
            note(f"The API is described at {serving.reference}. Stop with Ctrl-C.")
        if open_page:
            webbrowser.open(serving.address)

    run(
        index,
        host=host,
        port=port,
        hosts=lists.split(allow_host or ()),
        origins=lists.split(allow_origin or ()),
        token=token,
        captioner=captioner,
        log=log,
        log_histories=log_histories,
        on_start=tell,
    )
