"""A tar of a file system becomes an image that runs."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable

import docker
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from rest_framework.test import APIClient

from accounts.access import Actor
from accounts.models import Team, User
from engine.specs import SpecError
from images_app import filesystems
from operations.models import Engine, Operation

Run = Callable[[], list[Operation]]


@pytest.fixture
def exported(docker_client: docker.DockerClient, busybox: str) -> bytes:
    """The file system of a container, with a file of its own."""
    made = docker_client.containers.run(
        busybox, ["sh", "-c", "echo own >/own"], name="source", network_mode="none", detach=True
    )
    made.wait()
    return b"".join(made.export())


def test_it_runs_with_its_command(
    exported: bytes,
    docker_client: docker.DockerClient,
    engine_row: Engine,
    team: Team,
    bob: User,
    run_operations: Run,
) -> None:
    asked = filesystems.request_import(
        io.BytesIO(gzip.compress(exported, 1)), "blue/back:1", command=["cat", "/own"], actor=Actor(user=bob),
        engine=engine_row, team=team,
    )  # fmt: skip
    assert asked.kind == "image.build"
    (done,) = run_operations()
    assert done.state == "succeeded", done.error_message
    assert docker_client.containers.run("blue/back:1", remove=True, network_mode="none") == b"own\n"


def test_by_rest_and_by_the_page(
    exported: bytes,
    engine_row: Engine,
    team: Team,
    bob: User,
    vic: User,
    client_for: Callable[..., Client],
    api_for: Callable[..., APIClient],
) -> None:
    def wish(**more: str) -> dict[str, object]:
        return {"archive": SimpleUploadedFile("fs.tar", exported), "reference": "blue/back:2", **more}

    answer = api_for(bob).post("/api/v1/images/filesystem/", wish(command='["sh"]'), format="multipart")
    assert (answer.status_code, json.loads(answer.content)["kind"]) == (202, "image.build")
    assert api_for(vic).post("/api/v1/images/filesystem/", wish(), format="multipart").status_code == 403
    Operation.objects.update(state="succeeded")
    page = client_for(bob).post("/images/filesystem/", wish(command="sh -c 'true'"))
    assert page.status_code == 302
    operation = Operation.objects.order_by("-created_at")[0]
    assert 'CMD ["sh", "-c", "true"]' in operation.build.dockerfile


def test_what_is_no_tar_is_said(
    engine_row: Engine, team: Team, bob: User, client_for: Callable[..., Client]
) -> None:
    with pytest.raises(SpecError) as wrong:
        filesystems.request_import(io.BytesIO(b"no tar at all"), "a:1", actor=Actor(user=bob))
    assert list(wrong.value.errors) == ["archive"]
    wish = {"archive": SimpleUploadedFile("fs.tar", b"nothing"), "reference": "blue/x:1"}
    assert b"This is no tar" in client_for(bob).post("/images/filesystem/", wish).content
    assert not Operation.objects.exists()
