"""Settings of single sign-on: the provider, and what Slipway reads from what it says of somebody."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from environs import Env, validate


def asked(env: Env) -> dict[str, Any]:
    """What the environment says; wrong values are told by the environment itself, all of them at once."""
    return {
        "issuer": env.str("SLIPWAY_OIDC_ISSUER", ""),
        "client_id": env.str("SLIPWAY_OIDC_CLIENT_ID", ""),
        "secret_file": env.str("SLIPWAY_OIDC_SECRET_FILE", ""),
        "name": env.str("SLIPWAY_OIDC_NAME", "single sign-on"),
        "unknown": env.str("SLIPWAY_OIDC_UNKNOWN", "refuse", validate=validate.OneOf(["refuse", "create"])),
        "groups": env.str("SLIPWAY_OIDC_GROUPS_CLAIM", "groups", validate=validate.Length(min=1, max=200)),
        "scopes": env.list("SLIPWAY_OIDC_SCOPES", ["openid", "profile", "email"]),
    }


def checked(said: dict[str, Any]) -> dict[str, Any]:
    """What `accounts.sso` works with; empty without a provider. Ends the start where something is wrong."""
    if not said["issuer"]:
        return {}
    issuer = urlsplit(said["issuer"])
    if issuer.scheme != "https" and issuer.hostname not in ("localhost", "127.0.0.1"):
        raise SystemExit("SLIPWAY_OIDC_ISSUER must begin with https://")
    found, secret = dict(said), said["secret_file"]
    if not (said["client_id"] and secret and Path(secret).is_file()):
        raise SystemExit(
            "SLIPWAY_OIDC_ISSUER needs SLIPWAY_OIDC_CLIENT_ID and a file SLIPWAY_OIDC_SECRET_FILE."
        )
    if "openid" not in said["scopes"]:
        raise SystemExit("SLIPWAY_OIDC_SCOPES must hold openid: without it nobody says who it is.")
    del found["secret_file"]
    return found | {"secret": Path(secret).read_text().strip()}
