"""Which web addresses may be asked: a table from a stranger must not make this machine speak to its own network."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection, HTTPSConnection
from urllib.parse import quote, urljoin, urlsplit

_PORTS = {"https": 443, "http": 80}
# What an address may hold as it is; spaces and letters beyond ASCII are sent as %20 and its kin.
_AS_IT_IS = "%/:=&?~#+!$,;'@()*[]"


class RefusedError(Exception):
    """An address that is not asked; the text is a sentence."""


@dataclass(frozen=True)
class Target:
    """A checked web address, in parts as a request needs them."""

    address: str
    scheme: str
    host: str
    port: int
    path: str


def target_of(address: str) -> Target:
    """Take an address apart.

    Raises:
        RefusedError: it is no address of a photo on the web.
    """
    try:
        parts = urlsplit(quote(address.strip(), safe=_AS_IT_IS))
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode("ascii")
    except ValueError as error:  # UnicodeError is one
        raise RefusedError(f"{address} is not a web address: {error}.") from None
    if parts.scheme not in _PORTS or not host:
        raise RefusedError(f"{address} is not fetched; only https:// and http:// addresses are.")
    if parts.username or parts.password:
        raise RefusedError(f"The address of a photo on {host} holds a name and a password, which are not sent.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(address, parts.scheme, host, port or _PORTS[parts.scheme], path)


def redirected(source: Target, location: str) -> Target:
    """Return where a server sends on to.

    Raises:
        RefusedError: to no web address, or from https to http.
    """
    target = target_of(urljoin(f"{source.scheme}://{source.host}:{source.port}{source.path}", location))
    if source.scheme == "https" and target.scheme != "https":
        raise RefusedError(f"{source.address} redirects to {location}, which is not https.")
    return target


def connection_to(target: Target, *, allow_private: bool, timeout: float) -> HTTPConnection:
    """Return a connection that will be made to a public internet address of the host, and to no other.

    The name is looked up once, and what was looked at is what is connected to: a name that stands for another address a
    moment later gains nothing.
    """
    kind = _CheckedHttps if target.scheme == "https" else _CheckedHttp
    return kind(target.host, target.port, timeout=timeout, allow_private=allow_private)


class _CheckedHttp(HTTPConnection):
    def __init__(self, host: str, port: int, *, timeout: float, allow_private: bool) -> None:
        super().__init__(host, port, timeout=timeout)
        self._allow_private = allow_private

    def connect(self) -> None:
        self.sock = _checked_socket(self.host, self.port, self.timeout, allow_private=self._allow_private)


class _CheckedHttps(HTTPSConnection):
    def __init__(self, host: str, port: int, *, timeout: float, allow_private: bool) -> None:
        super().__init__(host, port, timeout=timeout)
        self._allow_private = allow_private

    def connect(self) -> None:
        plain = _checked_socket(self.host, self.port, self.timeout, allow_private=self._allow_private)
        self.sock = _trusted().wrap_socket(plain, server_hostname=self.host)


@cache
def _trusted() -> ssl.SSLContext:
    return ssl.create_default_context()


def _checked_socket(host: str, port: int, timeout: float | None, *, allow_private: bool) -> socket.socket:
    found = [str(place[0]) for *_, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    allowed = [place for place in found if allow_private or is_public(place)]
    if not allowed:
        raise RefusedError(
            f"{host} is {', '.join(sorted(set(found)))}, an address of this machine or of a private network; "
            "--fetch-private allows it."
        )
    for place in allowed[:-1]:
        try:
            return socket.create_connection((place, port), timeout)
        except OSError:  # the next address of the same host may answer
            continue
    return socket.create_connection((allowed[-1], port), timeout)


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet, for everybody: not private, loopback, link-local or multicast."""
    found = ipaddress.ip_address(address.partition("%")[0])
    inner = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None)
    if inner is not None:
        found = inner
    return found.is_global and not found.is_multicast
