"""Errors as documents, ``{"error": {"kind", "message"}}``, and the HTTP status of each."""

from __future__ import annotations

from typing import Any

from vlm4rec_edge import errors
from vlm4rec_edge.errors import Vlm4RecError


class HttpError(Exception):
    """An error of a request itself: its status, its kind, a sentence, and headers that belong to it."""

    def __init__(self, status: int, kind: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.kind, self.headers = status, kind, headers


# The status of our own errors, special kinds first: what was asked cannot be meant, is not there, cannot be done by this
# installation, or not now.
_STATUS: tuple[tuple[type[Vlm4RecError], int], ...] = (
    (errors.UsageError, 400),
    (errors.ProfileError, 400),
    (errors.UnknownItemError, 404),
    (errors.PhotoError, 422),
    (errors.ModelError, 501),
    (errors.DeviceError, 501),
    (errors.MissingDependencyError, 501),
    (errors.StoreError, 503),
)
# What a document says of each status, for the OpenAPI description.
MEANINGS = {
    400: "A field is missing, unknown, or out of range; the message says which.",
    401: "The token is missing or wrong.",
    403: "The Host or the Origin of the request is not allowed.",
    404: "There is no such item, photo or path.",
    405: "The path takes another method.",
    408: "The body came too slowly.",
    413: "The body is too large.",
    414: "The path or the query is too long.",
    415: "The body is of another type.",
    422: "The photo cannot be used.",
    429: "Too many requests at once; try again.",
    500: "An internal error of this server.",
    501: "This server was not started with, or this installation lacks, what this needs.",
    503: "The index cannot be read.",
}


def status_of(error: Vlm4RecError) -> int:
    """Return the HTTP status of one of our errors."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def error_document(kind: str, message: str) -> dict[str, Any]:
    """Return the document of an error."""
    return {"error": {"kind": kind, "message": message}}
