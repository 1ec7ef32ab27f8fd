"""Builds with BuildKit and with the classic builder, from the wish to the rows. On a real engine."""

from __future__ import annotations

import io
import tarfile
import uuid
from pathlib import Path
from typing import Any

import docker
import pytest
from django.apps import apps
from django.conf import settings
from django.core import serializers

from engine.specs import SpecError
from images_app import kept, operations, queries
from images_app.models import Build
from images_app.steps import around
from images_app.tests.test_operations import Bench, _own_contexts, bench, contexts, failed, log  # noqa: F401 - fixtures
from operations.models import Operation
from operations.services import Refused


def test_steps_of_buildkit_stand_at_their_lines(bench: Bench) -> None:  # noqa: F811
    text = "FROM {base} AS one\nENV A=1\nRUN echo first; touch /a\n\nFROM {base}\nCOPY --from=one /a /a\n"
    text += "RUN echo last; exit 7\n"
    operation = bench.build(text)
    failed(operation, "build_failed")
    build = Build.objects.get(operation=operation)
    assert (build.builder, build.builder_why, build.error_line) == ("buildkit", "This engine has it", 7)
    assert operation.error_message == "RUN echo last; exit 7 ended with exit code 7."
    assert [(step["line"], step["state"]) for step in build.steps] == [
        (1, "done"),
        (3, "done"),
        (6, "done"),
        (7, "failed"),
    ]
    assert [n for n, _ in around(build)] == [4, 5, 6, 7]
    of = {event.data["text"]: event.data["step"] for event in operation.events.filter(kind="log")}
    by_n = {step["n"]: step["line"] for step in build.steps}
    assert (by_n[of["first"]], by_n[of["last"]]) == (3, 7)


def test_what_only_buildkit_can_is_refused_with_the_classic_builder(
    bench: Bench,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "FROM {base}\nRUN --mount=type=cache,target=/c true\n"
    with pytest.raises(SpecError) as caught:
        bench.ask(text, builder="classic")
    assert caught.value.errors == {"builder": ["Line 2: --mount needs BuildKit, not the classic builder."]}
    with pytest.raises(SpecError):
        bench.ask("FROM {base}\n", builder="classic", secrets={"k": "x"})
    monkeypatch.setattr(
        "engine.docker_builders.choose", lambda told, wanted: ("classic", "This engine has no BuildKit")
    )
    operation = bench.build(text)
    failed(operation, "build_failed")
    assert operation.error_message == "Line 2: --mount needs BuildKit. This engine has no BuildKit."
    assert Build.objects.get(operation=operation).error_line == 2
    failed(bench.build("FROM {base}\nRUN true\n", secrets={"k": "x"}), "invalid")


def test_a_secret_of_a_build_is_nowhere_afterwards(bench: Bench, docker_client: docker.DockerClient) -> None:  # noqa: F811
    canary = f"canary{uuid.uuid4().hex}"
    text = "FROM {base}\nRUN --mount=type=secret,id=key echo it is $(cat /run/secrets/key); touch /made\n"
    asked = bench.ask(text, secrets={"key": canary})
    assert canary not in everything(), "while it waits it is sealed"
    operation = bench.done(asked)
    assert operation.state == "succeeded", operation.error_message
    assert "it is ********" in log(operation).splitlines()
    assert operation.sealed == ""
    assert operation.params["secrets"] == {"key": "********"}
    assert canary not in everything()
    image = docker_client.images.get("shop/app:1")
    assert canary not in str(image.history())
    assert canary.encode() not in b"".join(image.save(named=True))
    failed(bench.build(text.replace("echo it", "exit 4; echo it"), secrets={"key": canary}), "build_failed")
    assert canary not in everything()


def test_what_follows_a_build_is_done_where_it_succeeds(bench: Bench) -> None:  # noqa: F811
    good = 'FROM {base}\nRUN echo %s\nCMD ["sleep", "600"]\n'
    with pytest.raises(SpecError) as caught:
        bench.ask(good % 1, then={"run": {"name": "not a name"}})
    assert list(caught.value.errors) == ["then.run.name"]
    assert not Build.objects.exists()
    with pytest.raises(SpecError):
        bench.ask(good % 1, then={"deploy": {}})
    secret = {"name": "web", "networks": ["none"], "environment": {"API_TOKEN": "canary"}}
    build = bench.done(bench.ask(good % 1, then={"run": secret}))
    ran = queries.following(bench.actor, Build.objects.get(operation=build))
    assert [(one.kind, one.state, one.target_name) for one in ran] == [("container.run", "succeeded", "web")]
    assert "canary" not in everything()
    first = ran[0].result["container"]
    again = bench.done(
        bench.ask(good % 2, then={"recreate": {"container": first, "gate": {"timeout": 5, "steady": 1}}})
    )
    ran = queries.following(bench.actor, Build.objects.get(operation=again))
    assert [(one.kind, one.state) for one in ran] == [("container.recreate", "succeeded")], ran[
        0
    ].error_message
    broken = bench.done(bench.ask("FROM {base}\nRUN false\n", then={"run": {"name": "never"}}))
    ran = queries.following(bench.actor, Build.objects.get(operation=broken))
    assert [(one.state, one.error_message) for one in ran] == [
        ("cancelled", "What it was to follow did not succeed: nothing was done.")
    ]


def packed(dockerfile: str, **files: str) -> io.BytesIO:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, text in {"Dockerfile": dockerfile, **files}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    made.seek(0)
    return made


def everything() -> str:
    """All rows, and all files of ours."""
    rows = "".join(
        serializers.serialize("json", model._default_manager.all())
        for model in apps.get_models()
        if model._meta.managed
    )
    files = (path.read_bytes() for path in Path(settings.HOME).rglob("*") if path.is_file())
    return rows + b"".join(files).decode("latin-1")


def test_a_build_is_made_again_with_its_files_while_they_are_kept(
    bench: Bench,  # noqa: F811
    settings: Any,
) -> None:
    """S-58."""

    def sent(text: str) -> Operation:
        context = packed(f"FROM {bench.base}\nCOPY hello /hello\n", hello=text)
        return bench.done(operations.request_build(actor=bench.actor, tags=["shop/app:1"], context=context))

    first, second = sent("one"), sent("two")
    assert [bool(build.context_path) for build in Build.objects.order_by("created_at")] == [False, True]
    assert len(contexts()) == 1
    with pytest.raises(Refused, match="not kept"):
        operations.rebuild(first, bench.actor)
    third = bench.done(operations.rebuild(second, bench.actor))
    assert third.state == "succeeded"
    assert third.result["native_id"] == second.result["native_id"]
    past = queries.trends(bench.actor, [Build.objects.get(operation=third)])["shop/app"]
    assert [one.pk for one in past] == [op.build.pk for op in (first, second, third)]
    assert past[-1].share == 100
    settings.BUILD_CONTEXTS_MB = 0
    kept.settle()
    assert contexts() == []
