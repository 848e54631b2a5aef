"""Run the application with uvicorn, on an address of this machine."""

from __future__ import annotations

import errno
import ipaddress
import logging
import socket
import sys
import warnings
from collections.abc import Callable, Iterable
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vlm4rec_edge.errors import UsageError, Vlm4RecWarning
from vlm4rec_edge.given import Place
from vlm4rec_edge.optional import optional
from vlm4rec_edge.plugins import opened
from vlm4rec_edge.recommend.recommender import Recommender
from vlm4rec_edge.serve import app
from vlm4rec_edge.serve.guards import ANY_ADDRESS, LOOPBACK, SHORTEST_TOKEN

if TYPE_CHECKING:
    from vlm4rec_edge.grounding.protocol import Captioner

PORT = 8000
# How many ports are tried from there on where none was asked for.
_PORTS_TRIED = 10
# Connections at a time, beyond which uvicorn answers 503; a browser opens six.
_MOST_CONNECTIONS = 512
# A client that holds a connection and asks nothing.
_IDLE_SECONDS = 20
_GRACE_SECONDS = 3


@dataclass(frozen=True)
class Serving:
    """What is served, and where."""

    index: str
    items: int
    address: str
    reference: str
    port: int

    def to_dict(self) -> dict[str, Any]:
        """Return the document that ``serve --json`` prints."""
        return asdict(self)


def serve(
    index: Place,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    hosts: Iterable[str] = (),
    origins: Iterable[str] = (),
    token: str | None = None,
    captioner: bool = False,
    log: bool = False,
    log_histories: bool = False,
    on_start: Callable[[Serving], None] | None = None,
) -> None:
    """Serve an index or a bundle until the process is stopped.

    Args:
        index: An index folder, a bundle, or the address of a table.
        host: The address to listen at. Another one than this machine's own needs a token.
        port: The port; 0 takes any that is free. Default: 8000 or, where that is in use, the next that is free.
        hosts: Further names by which the server may be asked.
        origins: As for ``app``.
        token: As for ``app``.
        captioner: Whether uploaded photos are described, by the model that made the index, which is loaded now.
        log: Whether to write a line for each request to stderr.
        log_histories: Whether these lines hold what was asked for.
        on_start: Called once the server listens.

    Raises:
        UsageError: another address without a token, or one that cannot be listened at.
        StoreError: there is no index, or it is damaged or empty.
        MissingDependencyError: Starlette or uvicorn are not installed.
        ModelError, DeviceError: there is no such model for ``captioner``.
    """
    optional("starlette", "Serving needs Starlette and uvicorn", "serve")
    uvicorn = optional("uvicorn", "Serving needs Starlette and uvicorn", "serve")
    from vlm4rec_edge.serve.protocol import ImpatientProtocol

    if not _is_loopback(host) and token is None:
        raise UsageError(
            f"Other machines can reach {host}; protect it by a --token of {SHORTEST_TOKEN} characters or more, or "
            "listen at 127.0.0.1."
        )
    # They name ids of histories; what was not found is in each answer.
    warnings.filterwarnings("ignore", category=Vlm4RecWarning)
    _log_to_stderr(logging.INFO if log or log_histories else logging.ERROR)
    with Recommender.open(index) as shop, closing(_listening(host, port)) as listener:
        model = opened(None, lambda: _captioner(shop)) if captioner else nullcontext()
        with model as describes:
            names = {*LOOPBACK, host, *hosts, *(() if _is_loopback(host) else (ANY_ADDRESS,))}
            application = app(
                shop, hosts=names, origins=origins, token=token, captioner=describes, log_histories=log_histories
            )
            config = uvicorn.Config(
                application,
                http=ImpatientProtocol,
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=_MOST_CONNECTIONS,
                timeout_keep_alive=_IDLE_SECONDS,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
            taken = listener.getsockname()[1]
            address = _address(host, taken)
            told = Serving(str(index), shop.store.count(), f"{address}/", f"{address}/reference", taken)
            if on_start is not None:
                on_start(told)  # who asks from now on waits for the answer, and is not refused
            with closing(application):
                uvicorn.Server(config).run(sockets=[listener])


def _captioner(shop: Recommender) -> Captioner:
    from vlm4rec_edge.new_photo import captioner_of  # which loads all that captioning needs

    return captioner_of(shop.store, photos=1)


def _listening(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens; at the first free port from ``PORT`` on where none is asked for.

    Raises:
        UsageError: the port is taken, or all that are tried; or the address is none of this machine's.
    """
    for number in range(PORT, PORT + _PORTS_TRIED) if port is None else (port,):
        try:
            return _bound(host, number)
        except OSError as error:
            if port is not None or error.errno != errno.EADDRINUSE:
                reason = error.strerror or error
                raise UsageError(
                    f"{host}:{number} cannot be listened at: {reason}. Take another --port; 0 is any that is free."
                ) from None
    raise UsageError(
        f"The ports {PORT} to {PORT + _PORTS_TRIED - 1} of {host} are all in use. Give a --port; 0 is any that is free."
    )


def _bound(host: str, port: int) -> socket.socket:
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, place = infos[0]
    # asyncio sends small answers without delay (TCP_NODELAY) only where it is said that the protocol is TCP.
    listener = socket.socket(family, kind, protocol)
    try:
        if sys.platform != "win32":  # where it means another thing
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(_MOST_CONNECTIONS)
    except BaseException:
        listener.close()
        raise
    return listener


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _log_to_stderr(level: int) -> None:
    """Write our lines, and the errors of uvicorn, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    for name, least in (("vlm4rec_edge.serve", level), ("uvicorn.error", logging.ERROR)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(least)
