"""Signatures of requests to S3-compatible stores: version 4, for a payload whose hash is known."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

EMPTY = hashlib.sha256(b"").hexdigest()
"""The hash of no payload."""
_ALGORITHM = "AWS4-HMAC-SHA256"


def path(*parts: str) -> str:
    """A path of these parts, in the one form that is signed and sent."""
    return "/" + quote("/".join(part.strip("/") for part in parts if part), safe="/-_.~")


def headers(
    method: str,
    host: str,
    where: str,
    *,
    access_key: str,
    secret: str,
    region: str,
    payload: str = EMPTY,
    query: str = "",
    now: datetime | None = None,
    more: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The headers of a signed request. ``payload`` is the SHA-256 of the body, ``query`` sorted and encoded already."""
    when = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    signed = {"host": host, "x-amz-content-sha256": payload, "x-amz-date": when, **(more or {})}
    names = ";".join(sorted(signed))
    lines = "".join(f"{name}:{signed[name].strip()}\n" for name in sorted(signed))
    request = f"{method}\n{where}\n{query}\n{lines}\n{names}\n{payload}"
    scope = f"{when[:8]}/{region}/s3/aws4_request"
    text = "\n".join((_ALGORITHM, when, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{secret}".encode()
    for part in (when[:8], region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    says = f"{_ALGORITHM} Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**{name: value for name, value in signed.items() if name != "host"}, "authorization": says}
