"""A message as its receiver takes it: JSON that is signed, what Slack takes, or a mail."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage

from operations.channel import EVENTS, TEST
from operations.models import Channel, Delivery

MARKS = {
    "container.exited": ":red_circle:", "container.oom": ":red_circle:", "container.unhealthy": ":large_orange_circle:",
    "container.crash_loop": ":red_circle:", "operation.failed": ":red_circle:", "backup.failed": ":red_circle:",
    "engine.away": ":red_circle:", "engine.back": ":large_green_circle:",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent by HTTP."""

    body: bytes
    headers: dict[str, str]


def request(row: Delivery, secret: str, now: float) -> Request:
    """For a webhook or for what takes Slack's. The body is the same at each attempt; only the signature is new."""
    headers = {"Content-Type": "application/json", "User-Agent": "Slipway"}
    if row.channel.kind == Channel.Kind.SLACK:
        return Request(_json(slack(row)), headers)
    body = _json({"id": str(row.event_id), **row.payload, "count": row.count})
    return Request(body, {
        **headers, "Slipway-Event": row.event, "Slipway-Delivery": str(row.event_id),
        "Slipway-Signature": signature(secret, int(now), body),
    })  # fmt: skip


def signature(secret: str, at: int, body: bytes) -> str:
    """``t=…,v1=…``: the HMAC-SHA256 of the time, a dot and the body."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def slack(row: Delivery) -> dict[str, Any]:
    """``text`` for whatever shows one line, and the same as blocks."""
    said, mark = row.payload, MARKS.get(row.event, ":information_source:")
    title = _escaped(headline(row))
    linked = f"<{said['url']}|{title}>" if said.get("url") else title
    about = " · ".join(_escaped(part) for part in _about(row))
    blocks: list[dict[str, Any]] = [_section(f"{mark} *{linked}*")]
    if said.get("text"):
        blocks.append(_section(_escaped(said["text"])))
    if about:
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": about}]})
    return {"text": f"{mark} {title}", "blocks": blocks}


def mail(row: Delivery, addresses: list[str]) -> EmailMessage:
    """In plain text, one for all of them, not shown to each other. All attempts have one ``Message-ID``."""
    said = row.payload
    lines = [
        headline(row),
        "",
        said.get("text", ""),
        "",
        *_about(row),
        said.get("url") or "",
        f"At {said['at']}",
    ]
    text = "\n".join(line for line, after in zip(lines, [*lines[1:], "x"], strict=True) if line or after)
    host = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].strip("> ") or "localhost"
    headers = {"Message-ID": f"<{row.event_id}@{host}>", "Auto-Submitted": "auto-generated"}
    return EmailMessage(
        f"[Slipway] {headline(row)}", text, settings.DEFAULT_FROM_EMAIL, bcc=addresses, headers=headers
    )


def headline(row: Delivery) -> str:
    """The title, and how often it was since the message before."""
    return f"{row.title} ({row.count} times since the last message)" if row.count > 1 else row.title


def _about(row: Delivery) -> list[str]:
    said = row.payload
    engine, team = said.get("engine"), said.get("team")
    what = "" if row.event == TEST else str(EVENTS.get(row.event, row.event))
    return [
        part
        for part in (what, f"engine {engine['name']}" if engine else "", f"team {team}" if team else "")
        if part
    ]


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:2900]}}


def _escaped(text: str) -> str:
    """Without what Slack takes for a link, a mention or markup of its own."""
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return plain.replace("*", "∗").replace("`", "'").replace("~", "∼")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
