"""Connections to hosts that people have named: stores of backups, registries, receivers of messages.

A host is looked up once, each of its addresses is looked at, and the connection goes to that very address: nothing
leads a worker into networks that people may not reach. Hosts within a network of one's own, and those without TLS,
are reached only where the site names them. Redirections are nobody's here to follow.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from engine.words import gettext

_TUNNELS = tuple(
    map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96"))
)


class Refused(Exception):
    """It may not go there, nobody answers, or who answers cannot be trusted. A sentence for people."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Where connections of one kind may go. ``named``: ``host`` or ``host:port``, as the site has set ``setting``.

    ``what`` is what stands there, for messages; ``example`` an address of one. ``ports`` are those of hosts that the
    site has not named, none: any. ``patience`` bounds one wait, ``within`` the whole life of a connection, in seconds.
    """

    named: Collection[str]
    setting: str
    what: str
    example: str
    patience: float = 60
    within: float | None = None
    ports: Collection[int] = ()
    queries: bool = False
    """Whether an address may hold what stands behind a question mark."""

    def problem(self, url: str) -> str:
        """What is wrong with the address, as far as that can be told without asking anybody; or empty."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return gettext("This is no address.")
        if parts.scheme not in ("https", "http") or not parts.hostname:
            return gettext("An address such as %(example)s is expected.") % {"example": self.example}
        if parts.username or parts.password or parts.fragment or port == 0:
            return gettext("The address holds a host, and perhaps a port; the keys go into their own fields.")
        if parts.query and not self.queries:
            return gettext("The address holds a host, and perhaps a port; the keys go into their own fields.")
        if parts.scheme == "http" and not self.allows(parts.hostname, port or 80):
            said = gettext("Without TLS only hosts are reached that %(setting)s names, such as %(host)s.")
            return said % {"setting": self.setting, "host": parts.hostname}
        if self.ports and (port or 443) not in self.ports and not self.allows(parts.hostname, port or 443):
            said = gettext("Port %(port)s is not one of %(ports)s: %(setting)s may name it.")
            ports = ", ".join(map(str, self.ports))
            return said % {"port": port, "ports": ports, "setting": self.setting}
        with suppress(ValueError):
            if not self.allows(parts.hostname, port or 443) and not is_open(parts.hostname):
                said = gettext("This address is in a network of its own: a site's %(setting)s may name it.")
                return said % {"setting": self.setting}
        return ""

    def allows(self, host: str, port: int) -> bool:
        """Whether the site has named this host, with or without its port."""
        return host in self.named or f"{host}:{port}" in self.named

    def connect(self, url: str) -> http.client.HTTPConnection:
        """A connection to the very address that was looked at. Raises `Refused`."""
        host, port, address = self.looked_up(url)
        secure = urlsplit(url).scheme == "https"
        try:
            wire = socket.create_connection((address, port), timeout=self.patience)
        except OSError as error:
            raise Refused(f"{host} does not answer: {error.strerror or 'no connection'}.") from None
        connection = _Bounded(host, port, timeout=self.patience)
        connection.sock = wire
        if self.within:
            connection.end_within(self.within)
        if secure:
            try:
                connection.secure(host)
            except OSError as error:
                connection.close()
                raise Refused(f"The {self.what} at {host} cannot be trusted: {why(error)}.") from None
        return connection

    def looked_up(self, url: str) -> tuple[str, int, str]:
        """``(host, port, address)`` to go to, and to no other address of that host. Raises `Refused`."""
        if problem := self.problem(url):
            raise Refused(problem)
        parts = urlsplit(url)
        host, port = str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)
        try:
            found = [str(row[4][0]) for row in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        except (OSError, UnicodeError):
            raise Refused(f"There is no host {host}, or nobody knows it here.") from None
        if not self.allows(host, port) and not all(is_open(address) for address in found):
            raise Refused(f"{host} leads into a network of its own: {self.setting} may name it.")
        return host, port, found[0]


class _Bounded(http.client.HTTPConnection):
    """A connection over a wire that is there already; it may be cut in the middle of whatever it does."""

    _clock: threading.Timer | None = None
    _was_cut = False

    def end_within(self, seconds: float) -> None:
        """However slowly the other side drips: each byte would begin the usual patience anew."""
        self._clock = threading.Timer(seconds, self._cut)
        self._clock.daemon = True
        self._clock.start()

    def secure(self, host: str) -> None:
        """From here on by TLS. Raises OSError."""
        context = ssl.create_default_context()
        self.sock = context.wrap_socket(self.sock, server_hostname=host, do_handshake_on_connect=False)
        self.sock.do_handshake()

    def getresponse(self) -> http.client.HTTPResponse:
        """Half an answer would else be taken for a short one."""
        found = super().getresponse()
        if self._was_cut:
            raise TimeoutError
        return found

    def close(self) -> None:
        if self._clock:
            self._clock.cancel()
        super().close()

    def _cut(self) -> None:
        self._was_cut = True
        with suppress(OSError, AttributeError, TypeError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


def is_open(address: str) -> bool:
    """Whether this is an address of the open net. Raises ValueError for what is none."""
    found = ipaddress.ip_address(address)
    tunnels = isinstance(found, ipaddress.IPv6Address) and (
        found.ipv4_mapped is not None or any(found in net for net in _TUNNELS if net.version == 6)
    )
    return found.is_global and not (found.is_multicast or found.is_reserved or tunnels)


def why(error: Exception) -> str:
    """What went wrong on the wire, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its certificate is not one that this machine trusts"
    if isinstance(error, ssl.SSLError):
        return "it does not speak TLS as it should"
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    return str(getattr(error, "strerror", "") or type(error).__name__)
