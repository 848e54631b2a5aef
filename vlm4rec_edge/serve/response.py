"""An answer as HTTP: its bytes, and the headers that keep a browser from doing more with it than it should."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.types import Send

# The page asks for nothing but its own files; nobody may frame it, embed its pictures, or guess at types.
SAFETY = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_METHODS, _HEADERS = "GET, POST", "authorization, content-type, if-none-match"


@dataclass(frozen=True)
class Answer:
    """An answer."""

    content: bytes
    media_type: str = "application/json"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
        """Return an answer of a JSON document."""
        text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        # Half of a surrogate pair, which is no UTF-8, is written as JSON escapes it.
        return cls(text.encode("utf-8", "backslashreplace"), status=status, headers=headers or {})

    @classmethod
    def unchanged(cls, tag: str) -> Answer:
        """Return the answer to who has it already."""
        return cls(b"", "", 304).tagged(tag)

    @classmethod
    def preflight(cls) -> Answer:
        """Return the answer to a browser that asks what a page of a named origin may send."""
        allowed = {"access-control-allow-methods": _METHODS, "access-control-allow-headers": _HEADERS}
        return cls(b"", "", 204, {**allowed, "access-control-max-age": "600"})

    @classmethod
    def elsewhere(cls, address: str) -> Answer:
        """Return the answer that sends a browser to another address."""
        return cls(b"", "", 307, {"location": address})

    def tagged(self, tag: str) -> Answer:
        """Return it with an ETag; a browser keeps it, and asks each time whether it still holds."""
        return replace(self, headers={**self.headers, "etag": f'"{tag}"', "cache-control": "private, no-cache"})

    def with_header(self, name: str, value: str) -> Answer:
        """Return it with one more header, or another value of it."""
        return replace(self, headers={**self.headers, name: value})

    async def send(self, send: Send, *, head: bool, origin: str | None) -> None:
        """Send it; ``head``: without its content. ``origin`` is that of another site whose page may read it."""
        headers = {"cache-control": "no-store", **SAFETY, **self.headers}
        if self.media_type:
            headers |= {"content-type": self.media_type, "content-length": str(len(self.content))}
        if origin is not None:
            headers |= {
                "access-control-allow-origin": origin,
                "access-control-expose-headers": "etag, retry-after",
                "cross-origin-resource-policy": "cross-origin",
                "vary": "origin",
            }
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": pairs})
        await send({"type": "http.response.body", "body": b"" if head else self.content})
