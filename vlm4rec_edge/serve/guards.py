"""Who may ask: which names the server answers to, pages of which origins, and who has the token.

A server on 127.0.0.1 is not safe by that alone: any page in a browser of this machine can send requests to it, and a name
of an attacker can be made to point to it (DNS rebinding), after which the browser takes the answers for the attacker's own.
So the Host must be a known one, and the Origin, where a browser sends it, the server's own or one that was named.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.serve.errors import HttpError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Stands for every address written in numbers: only a name can be made to point elsewhere.
ANY_ADDRESS = "*"
COOKIE = "vlm4rec_edge_session"
# 16 characters of a password generator are 2^80 guesses and more.
SHORTEST_TOKEN = 16


@dataclass(frozen=True)
class Guard:
    """What a request must show.

    Attributes:
        hosts: Names that the server answers to, without a port, or ``ANY_ADDRESS``; None: any, where something before it has
            looked.
        origins: Origins of other sites' pages that may ask, such as ``https://shop.example``.
        token: What a client must know; None: nothing.
    """

    hosts: frozenset[str] | None
    origins: frozenset[str] = frozenset()
    token: str | None = None

    @classmethod
    def of(cls, hosts: Iterable[str] | None = LOOPBACK, origins: Iterable[str] = (), token: str | None = None) -> Guard:
        """Return a guard.

        Raises:
            UsageError: the token is too short or has characters that no header has, or an origin is none.
        """
        if token is not None and len(token) < SHORTEST_TOKEN:
            raise UsageError(
                f"The token has {len(token)} characters; take at least {SHORTEST_TOKEN} that cannot be guessed."
            )
        if token is not None and not (token.isascii() and token.isprintable() and len(token) == len(token.strip())):
            raise UsageError("The token may have what a header carries: printable ASCII, no blanks at its ends.")
        named = frozenset(origins)
        for origin in named:
            scheme, host = _split(origin)
            if scheme not in ("http", "https") or f"{scheme}://{host}" != origin:
                raise UsageError(f"{origin!r} is not an origin; write one as https://shop.example, without a path.")
        return cls(None if hosts is None else frozenset(map(_without_brackets, hosts)), named, token)

    def check_host(self, headers: Headers) -> None:
        """Refuse a request for another name.

        Raises:
            HttpError: 403.
        """
        given = headers.getlist("host")
        if self.hosts is None:
            return
        if len(given) != 1 or not (
            _name(given[0]) in self.hosts or (ANY_ADDRESS in self.hosts and _is_address(given[0]))
        ):
            shown = ascii(given[0][:100]) if given else "none"
            raise HttpError(
                403,
                "ForbiddenHostError",
                f"This server does not answer to the host {shown}; name it with --allow-host.",
            )

    def check_origin(self, headers: Headers) -> str | None:
        """Return the origin of another site that was named, None for our own page or a program; refuse all others.

        Our own is the one that the Host names, whatever its scheme: something before us may speak HTTPS.

        Raises:
            HttpError: 403.
        """
        origin = headers.get("origin")
        if origin is not None:
            if origin in self.origins:
                return origin
            if _split(origin)[1].lower() != headers.get("host", "").lower():
                raise HttpError(
                    403, "ForbiddenOriginError", f"Pages of {origin[:100]!a} may not send requests to this server."
                )
        elif headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate":
            raise HttpError(403, "ForbiddenOriginError", "Pages of other sites may not send requests to this server.")
        return None

    def check_token(self, headers: Headers) -> None:
        """Refuse a request without the token, as a bearer's or as the cookie that ``cookie`` made of it.

        Raises:
            HttpError: 401.
        """
        if self.token is None:
            return
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self.is_token(given.strip()):
            return
        try:
            sent = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            sent = None
        if sent is not None and _equal(sent.value, self._session(self.token)):
            return
        raise HttpError(
            401,
            "UnauthorizedError",
            "This server needs its token: Authorization: Bearer TOKEN.",
            **{"www-authenticate": "Bearer"},
        )

    def is_token(self, given: str) -> bool:
        """Whether a text is the token, compared in constant time."""
        return self.token is None or _equal(given, self.token)

    def cookie(self) -> str:
        """Return the Set-Cookie header of who has shown the token; a browser sends it back to this site alone."""
        value = self._session(self.token or "")
        return f"{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict"

    @staticmethod
    def _session(token: str) -> str:
        return hmac.new(token.encode("utf-8", "surrogatepass"), b"session of a page", hashlib.sha256).hexdigest()


def _split(origin: str) -> tuple[str, str]:
    """Return the scheme and the host of an origin; empty texts where it is none."""
    try:
        parts = urlsplit(origin)
    except ValueError:  # half of an IPv6 address
        return "", ""
    return parts.scheme, parts.netloc


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


def _name(host: str) -> str:
    """Return the name in a Host header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().rstrip(".")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(_name(host))
    except ValueError:
        return False
    return True


def _without_brackets(host: str) -> str:
    return host.strip("[]").lower()
