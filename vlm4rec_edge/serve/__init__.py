"""Serve an index or a bundle over HTTP: an API, and a page to look at. Needs the extra ``[serve]`` (Starlette and uvicorn).

    >>> from vlm4rec_edge import Recommender
    >>> from vlm4rec_edge.serve import app
    >>> application = app(Recommender.open("shop.index"))  # doctest: +SKIP

``app`` returns an ASGI application, to be run by any server or mounted in another application;
``vlm4rec_edge.serve.running.serve`` runs it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from vlm4rec_edge.optional import optional

if TYPE_CHECKING:
    from vlm4rec_edge.grounding.protocol import Captioner
    from vlm4rec_edge.recommend.recommender import Recommender
    from vlm4rec_edge.serve.application import Application

__all__ = ["app"]


def app(
    recommender: Recommender,
    *,
    hosts: Iterable[str] | None = ("127.0.0.1", "localhost", "::1"),
    origins: Iterable[str] = (),
    token: str | None = None,
    captioner: Captioner | None = None,
    log_histories: bool = False,
) -> Application:
    """Return an ASGI application that answers from an open index or bundle.

    It takes up what is written to the index, by ``recommender.reload``. Paths are those of the API below where it is mounted:
    ``/v1/recommend``, ``/openapi.json``, ``/reference``, and the page at ``/``.

    Args:
        recommender: Stays open.
        hosts: Names by which the server may be asked, without a port; None: any. Mounted in an application that is asked by
            another name, give that one, or None if the application looks at the Host itself.
        origins: Origins of other sites' pages that may ask (CORS), such as ``https://shop.example``.
        token: What clients must know, at least 16 characters; None: nothing.
        captioner: Describes photos that are uploaded, as ``captioner_of`` returns it; stays open. None: none are taken.
        log_histories: Whether the log (``vlm4rec_edge.serve``) holds what was asked for.

    Raises:
        MissingDependencyError: Starlette is not installed.
        UsageError: the token is too short, or an origin is none.
    """
    optional("starlette", "Serving needs Starlette and uvicorn", "serve")
    from vlm4rec_edge.serve.application import Application
    from vlm4rec_edge.serve.endpoints import Endpoints
    from vlm4rec_edge.serve.following import ServedIndex
    from vlm4rec_edge.serve.guards import Guard

    served = ServedIndex(recommender)
    guard = Guard.of(hosts, origins, token)
    return Application(served, Endpoints(served, captioner), guard, log_histories=log_histories)
