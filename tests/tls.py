"""An engine's address with TLS: certificates of an authority of our own, and a door that wants them."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests import machine


class Authority:
    """Signs certificates; ``pem`` is its own."""

    def __init__(self, name: str = "Test CA") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        self.pem = _pem(self._signed(name, self._key, [x509.BasicConstraints(ca=True, path_length=None)], 1))

    def give(self, name: str, *, days: float = 1) -> tuple[str, str]:
        """A certificate for this machine's own address, and its key, both PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        return _pem(self._signed(name, key, [here], days)), _key_pem(key)

    def client(self, *, days: float = 1) -> dict[str, str]:
        """What somebody is given who may connect: the body of the REST contract."""
        cert, key = self.give("slipway", days=days)
        return {"ca": self.pem, "cert": cert, "key": key}

    def _signed(
        self,
        name: str,
        key: ec.EllipticCurvePrivateKey,
        extensions: list[x509.ExtensionType],
        days: float,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        made = x509.CertificateBuilder().subject_name(_named(name)).issuer_name(self._name)
        made = made.public_key(key.public_key()).serial_number(x509.random_serial_number())
        made = made.not_valid_before(now - timedelta(days=2)).not_valid_after(now + timedelta(days=days))
        for extension in extensions:
            made = made.add_extension(extension, critical=False)
        return made.sign(self._key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(*form).decode()


@contextlib.contextmanager
def door(authority: Authority, engine_url: str) -> Iterator[str]:
    """The engine at ``tcp://127.0.0.1:port``, for those alone who show a certificate of that authority."""
    folder = machine.short_folder()
    cert, key = authority.give("engine")
    (folder / "server.pem").write_text(cert + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    context.load_verify_locations(cadata=authority.pem)
    context.verify_mode = ssl.CERT_REQUIRED
    loop, port = asyncio.new_event_loop(), machine.free_port()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    opened = asyncio.run_coroutine_threadsafe(_serve(context, port, Path(engine_url[7:])), loop)
    server = opened.result(5)
    try:
        yield f"tcp://127.0.0.1:{port}"
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


async def _serve(context: ssl.SSLContext, port: int, engine: Path) -> asyncio.Server:
    async def through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_unix_connection(engine)
        pumps = [asyncio.ensure_future(_pump(reader, outer)), asyncio.ensure_future(_pump(inner, writer))]
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(pumps, return_when="FIRST_COMPLETED")
        for pump in pumps:
            pump.cancel()
        outer.close()
        writer.close()

    return await asyncio.start_server(through, "127.0.0.1", port, ssl=context)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


async def _end(server: asyncio.Server) -> None:
    server.close()
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
