"""What it takes to reach an engine over TLS: whom we believe, and what we show. PEM texts in, a context out."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from engine.specs import SpecError
from engine.words import gettext, kept

LONGEST = 64 * 1024
"""Bytes of one PEM text. A chain of four certificates takes eight thousand."""

NAMES = ("ca", "cert", "key")


@dataclass(frozen=True, slots=True)
class Certificates:
    """``ca`` signs the engine's certificate; ``cert`` and its ``key`` are what we are known by there. All are PEM."""

    ca: str
    cert: str
    key: str = field(repr=False)

    @classmethod
    def parse(cls, given: Mapping[str, str]) -> Self:
        """From ``ca``, ``cert`` and ``key``; `SpecError` says which of them is none, is over, or does not fit."""
        errors: dict[str, list[str]] = {}
        for name in NAMES:
            if not given.get(name, "").strip():
                errors[name] = ["All three are needed: the CA, the certificate and its key."]
            elif len(given[name].encode()) > LONGEST:
                errors[name] = ["This is too long for a PEM text."]
        if errors:
            raise SpecError(errors)
        made = cls(given["ca"], given["cert"], given["key"])
        made._check()
        return made

    def _check(self) -> None:
        errors: dict[str, list[str]] = {}
        for name in ("ca", "cert"):
            if problem := _problem(getattr(self, name)):
                errors[name] = [problem]
        try:
            key = load_pem_private_key(self.key.encode(), None)
        except TypeError:
            errors["key"] = ["This key has a passphrase: give it without one."]
        except Exception:  # noqa: BLE001 - the library raises a dozen kinds for a text that is no key
            errors["key"] = ["A private key in PEM is expected: -----BEGIN PRIVATE KEY-----."]
        if not errors:
            shown = x509.load_pem_x509_certificates(self.cert.encode())[0].public_key()
            form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            if shown.public_bytes(*form) != key.public_key().public_bytes(*form):
                errors["key"] = ["This key belongs to another certificate."]
        if errors:
            raise SpecError(errors)

    def context(self) -> ssl.SSLContext:
        """For connections: TLS 1.2 at least, the engine's certificate and its name are checked."""
        return _context(self)


def _problem(pem: str) -> str:
    try:
        found = x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        return gettext("A certificate in PEM is expected: -----BEGIN CERTIFICATE-----.")
    if any(one.not_valid_after_utc < datetime.now(UTC) for one in found):
        said = gettext("This certificate was valid until %(day)s.")
        return said % {"day": f"{found[0].not_valid_after_utc:%Y-%m-%d}"}
    return ""


@lru_cache(maxsize=64)
def _context(certificates: Certificates) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.load_verify_locations(cadata=certificates.ca)
    # OpenSSL reads these from files alone: one in memory, so that no key ever lies on a disk.
    file = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(file, f"{certificates.cert}\n{certificates.key}\n".encode())
        made.load_cert_chain(f"/proc/self/fd/{file}")
    finally:
        os.close(file)
    return made


def words(error: ssl.SSLError) -> str:
    """Why there is no connection, for people."""
    if isinstance(error, ssl.SSLCertVerificationError):
        said = error.verify_message.rstrip(".")
        return kept(f"The engine shows a certificate that is not the expected one: {said}.")
    if "ALERT" in (error.reason or ""):
        return kept("The engine does not accept the certificate that it was shown.")
    return kept(
        "No TLS connection came about: perhaps something else listens at this address, or without TLS."
    )
