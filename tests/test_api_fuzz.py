"""Every address of REST by its own OpenAPI document, once for each role: what fits it, and what does not.

A request or two each; with ``--security``, as in ``make security``, many.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import requests
from django.db import transaction
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as effort
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.transport import Response
from schemathesis.openapi import from_dict
from schemathesis.specs.openapi import checks

from accounts import tokens
from accounts.models import Team, User
from containers_app.api import figures
from containers_app.backed import BackupSchedule, BackupStore, VolumeBackup
from containers_app.cared import CareRule
from containers_app.kept import KeptLog, LogRule
from engine.errors import Unreachable
from images_app.models import Registry
from operations import channels, reads
from operations.models import Channel
from operations.policy import PolicyException
from tests import rows
from tests.machine import ROOT

pytestmark = [pytest.mark.security, pytest.mark.timeout(3000)]
SHAPE = [
    not_a_server_error, checks.status_code_conformance, checks.content_type_conformance,
    checks.response_headers_conformance, checks.response_schema_conformance,
]  # fmt: skip
AWAY = (502, 503, 504)
"""Said in time and in words, these are no faults: nobody runs an engine here."""
STEERING = ("Prefer", "If-Match", "If-None-Match", "Idempotency-Key")
"""Headers that hold an answer up, or that end a request before its body is looked at."""


@pytest.fixture
def ids(team: Team) -> dict[str, str]:
    """One of everything, of team blue: collection → id."""
    engine, now = rows.make_engine(), timezone.now()
    image = rows.make_image(engine, team, "app:1")
    web = rows.make_container(engine, team, image=image, image_ref="app:1", stack="shop")
    volume = rows.make_volume(engine, team, "data", web)
    store = BackupStore.objects.create(name="away", endpoint="https://s3.example", bucket="b", sealed=b"")
    backup = VolumeBackup.objects.create(
        engine=engine,
        team=team,
        volume_name="data",
        key="data/1.tar.gz",
        digest="0" * 64,
        size=1,
        held=1,
        entries=1,
    )
    BackupSchedule.objects.create(engine=engine, volume_name="data", team=team, next_at=now)
    found: Mapping[str, Any] = {
        "engines": engine, "images": image, "containers": web, "volumes": volume, "backups": backup,
        "backup-stores": store, "teams": team, "networks": rows.make_network(engine, team, "front", web),
        "tags": image.tags.get(), "builds": rows.make_build(engine, team),
        "operations": rows.make_operation(engine, team), "trash": rows.in_the_trash("container", engine, team),
        "registries": Registry.objects.create(name="Blue", host="registry.example", owner=team),
        "scans": rows.make_scan(image),
        "webhooks": Channel.objects.create(team=team, name="ops", shown="https://hooks.example/…"),
        "care": CareRule.objects.create(team=team, heal=True),
        "log-history/rules": LogRule.objects.create(team=team),
        "log-history": KeptLog.objects.create(engine=engine, native_id=web.native_id, name="web", team=team),
        "policies/exceptions": PolicyException.objects.create(
            team=team, rule="no_low_ports", name="web", reason="old", expires_at=now + timedelta(days=1)
        ),
    }  # fmt: skip
    return {name: str(one.pk) for name, one in found.items()}


@pytest.fixture
def _no_engine_answers(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """At once, in place of seconds later."""

    def away(*args: Any, **kwargs: Any) -> Any:
        raise Unreachable("The engine does not answer.")

    monkeypatch.setattr(reads, "ask", away)
    monkeypatch.setattr(figures, "WAIT", 0)
    monkeypatch.setattr(channels, "WAIT", 0)
    settings.API_RATE = 0


def _places(path: str, ids: dict[str, str], user: User) -> dict[str, Any]:
    """What is put into the path: mostly something that is there."""
    if "{name}" in path:
        return {"engine": ids["engines"], "name": "shop"}
    if "{id}" not in path:
        return {}
    collection = path.split("/api/v1/")[1].split("/{id}", maxsplit=1)[0]
    known = {**ids, "users": str(user.pk), "tokens": str(user.tokens.get().pk)}
    places = {"id": known.get(collection, str(uuid4()))}
    others = {"other": "images", "scan": "scans"}
    return places | {place: ids[name] for place, name in others.items() if f"{{{place}}}" in path}


def _send(case: Case, client: Client, secret: str) -> Response:
    """As it would go over the wire, into this process."""
    for name in STEERING:
        (case.headers or {}).pop(name, None)
    (case.query or {}).pop("follow", None)
    kept = ("method", "url", "headers", "params", "data", "json", "files")
    told = {k: v for k, v in case.as_transport_kwargs(base_url="http://testserver").items() if k in kept}
    request = requests.Request(**told).prepare()
    headers = {k: v.decode("latin-1") if isinstance(v, bytes) else v for k, v in request.headers.items()}
    headers |= {"Authorization": f"Bearer {secret}", "Accept-Encoding": "identity"}
    kind = headers.pop("Content-Type", "")
    assert request.method
    answer = client.generic(
        request.method, request.path_url, request.body or b"", content_type=kind, headers=headers
    )
    content = (
        b"".join(answer)
        if answer.streaming and not answer.is_async
        else answer.content
        if not answer.streaming
        else b""
    )
    return Response(
        answer.status_code, {k: [v] for k, v in answer.items()}, content, request, 0.0, verify=True
    )


def _has_blank(case: Case) -> bool:
    """An empty filter is none: it fits no format, and is no mistake."""
    return any(isinstance(value, str) and not value.strip() for value in (case.query or {}).values())


def _judge(case: Case, response: Response, mode: GenerationMode, path: str) -> list[str]:
    """What is wrong with this answer."""
    if response.status_code in AWAY:
        code = json.loads(response.content).get("code", "")
        return (
            [] if code.startswith("engine_") or code == "unavailable" else [f"{response.status_code} {code}"]
        )
    judges = list(SHAPE)
    if mode is GenerationMode.NEGATIVE and not _has_blank(case):
        judges.append(checks.negative_data_rejection)
    try:
        case.validate_response(response, checks=judges)
    except FailureGroup as found:
        sent = f"{case.method} {path} {case.query} {str(case.body)[:300]} → {response.status_code}"
        return [f"{sent} {response.content[:300]!r}: {str(one)[:400]}" for one in found.exceptions]
    return []


@pytest.fixture(scope="module")
def addresses() -> list[Any]:
    """Each method of each address."""
    document = json.loads((ROOT / "tests/openapi.json").read_text())
    return [found.ok() for found in from_dict(document).get_all_operations()]


def _modes(operation: Any, role: str, *, long: bool) -> tuple[GenerationMode, ...]:
    """What is asked for that fits, and what does not; in short, of those who may less what tells most of them."""
    if long or role == "alice":
        return GenerationMode.POSITIVE, GenerationMode.NEGATIVE
    return (GenerationMode.POSITIVE if operation.method == "get" else GenerationMode.NEGATIVE,)


@pytest.mark.usefixtures("_no_engine_answers")
@pytest.mark.parametrize("role", ["vic", "bob", "tara", "alice"])
def test_rest_keeps_to_its_document(
    role: str, request: pytest.FixtureRequest, ids: dict[str, str], addresses: list[Any]
) -> None:
    user: User = request.getfixturevalue(role)
    _, secret = tokens.make(user, "fuzz", ["admin"])
    long = request.config.getoption("--security")
    client = Client(raise_request_exception=False)
    wrong: list[str] = []

    def ask(operation: Any, mode: GenerationMode) -> None:
        places = _places(operation.path, ids, user)

        @effort(
            max_examples=40 if long else 1, database=None, deadline=None, derandomize=not long,
            phases=[Phase.generate], suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(operation.as_strategy(generation_mode=mode, path_parameters=places or None))
        def send(case: Case) -> None:
            with transaction.atomic():
                response = _send(case, client, secret)
                wrong.extend(_judge(case, response, mode, operation.path))
                transaction.set_rollback(True)

        with suppress(Unsatisfiable):  # it takes nothing that could be wrong
            send()

    for operation in addresses:
        for mode in _modes(operation, role, long=long):
            ask(operation, mode)
    assert not wrong, "\n\n".join(wrong[:50])
