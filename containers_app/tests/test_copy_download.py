"""The tar of the files that a container has written, fetched by who may."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import AuditEntry, Team, User
from containers_app.written import copy_of
from operations.models import Engine
from tests.rows import make_container, make_operation

pytestmark = pytest.mark.django_db


def test_a_copy_is_fetched_by_an_admin_of_the_team_and_written_down(
    client: Client, tara: User, vic: User, team: Team
) -> None:
    engine = Engine.objects.create(name="quiet", endpoint="unix:///nowhere/docker.sock")
    web = make_container(engine, team, "web")
    operation = make_operation(
        engine, team, kind="container.copy", state="succeeded", target_type="container", target_id=str(web.pk),
        target_name="web",
    )  # fmt: skip
    address = f"/containers/copies/{operation.pk}/"
    client.force_login(tara)
    assert client.get(address).status_code == 404
    path = copy_of(operation.pk)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"tar")
    answer = client.get(address)
    assert b"".join(answer.streaming_content) == b"tar"  # type: ignore[attr-defined]
    assert 'filename="web-files.tar"' in answer["Content-Disposition"]
    assert AuditEntry.objects.filter(verb="container.download", target_id=str(web.pk)).exists()
    client.force_login(vic)
    assert client.get(address).status_code == 403
    path.unlink()
