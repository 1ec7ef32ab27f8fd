"""Weaknesses of what is near to us, and of the engine, tried out here: what came in by names, paths, words and bodies.

The name of a test holds the number.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import re
import tarfile
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from accounts.access import person
from accounts.models import Team, User
from containers_app import consoles
from containers_app.models import Container, DeployHook
from engine.docker_build import query
from engine.docker_file_changes import _tar_of
from engine.docker_files import Tree
from engine.errors import Invalid, PolicyDenied
from engine.files import clean
from engine.specs import BuildSpec, ContainerSpec, SpecError
from engine.terminal import Program
from images_app import git
from images_app.tests.test_spool import entry, keep, tar
from operations import messages
from operations.models import Engine, Operation
from tests import house, rows
from tests.weaknesses import BIND, CANARY, RUN, ApiFor, ClientFor, Outcome, forgotten
from tests.weaknesses import engine as engine  # noqa: PLC0414 - fixtures
from tests.weaknesses import kept as kept  # noqa: PLC0414
from tests.weaknesses import outcome as outcome  # noqa: PLC0414
from tests.weaknesses import web as web  # noqa: PLC0414

NUMBERS = (
    "GHSA-46v3", "CVE-2026-88804", "CVE-2026-23520", "CVE-2026-45626", "CVE-2026-53988", "CVE-2026-24841",
    "CVE-2026-45629", "CVE-2026-72739", "CVE-2026-129433", "CVE-2026-58455", "issue-182", "CVE-2024-41110",
    "CVE-2026-34040", "CVE-2018-15664", "CVE-2026-41567", "CVE-2026-41568", "CVE-2026-42306",
    "CVE-2024-21626", "CVE-2024-23651", "CVE-2024-23652", "CVE-2024-23653",
)  # fmt: skip


def test_no_number_is_forgotten() -> None:
    assert forgotten(NUMBERS, __file__) == []


# --- Names and addresses are data ---------------------------------------------------------------------


def test_ghsa_46v3_a_label_is_no_markup_and_no_link_that_runs(
    web: Container, tara: User, client_for: ClientFor
) -> None:
    """What a user had typed ran in the browser of an administrator; here labels are text."""
    evil = {
        "note": "<script>alert(46)</script>",
        "url": "javascript:alert(46)",
        "x": '" onmouseover="alert(46)',
    }
    Container.objects.filter(pk=web.pk).update(labels=evil, inspect={"Config": {"Labels": evil}})
    seen = ""
    for path in ("", "inspect/", "edit/"):
        answer = client_for(tara).get(f"/containers/{web.pk}/{path}")
        page = answer.content.decode()
        assert "<script>alert" not in page
        assert 'href="javascript:' not in page
        assert '" onmouseover="' not in page
        seen += page
    assert "alert(46)" in seen


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_cve_2026_88804_a_method_is_the_one_that_was_sent(
    header: str, web: Container, client: Client, tara: User, api_for: ApiFor, outcome: Outcome
) -> None:
    """A POST that called itself a PUT went past the sign-in; here nothing but the method itself says what it is."""
    path = f"{RUN}{web.pk}/"
    for method in ("DELETE", "PATCH", "PUT"):
        said = f"{path}?_method={method}"
        assert client.post(said, {"_method": method}, headers={header: method}).status_code == 401
        assert client.get(said, headers={header: method}).status_code == 401
        body = {"_method": method}
        assert api_for(tara).post(said, body, format="json", headers={header: method}).status_code in (
            400,
            405,
        )
        assert api_for(tara).get(path, headers={header: method}).status_code == 200
    assert Container.objects.filter(pk=web.pk).exists()
    assert outcome.is_nothing()


def test_cve_2026_23520_a_label_is_no_hook(web: Container, bob: User, api_for: ApiFor) -> None:
    """Labels of a container were run as its update went on; here what a label says is in no plan and no wish."""
    hooks = {
        f"com.example.lifecycle.{when}": f"touch /{CANARY}"
        for when in ("pre-update", "post-update", "pre-check")
    }
    Container.objects.filter(pk=web.pk).update(labels=hooks, inspect={"Config": {"Labels": hooks}})
    plan = api_for(bob).post(f"{RUN}{web.pk}/recreate/?dry_run=1", {}, format="json")
    assert plan.json()["would_run"]
    assert CANARY not in plan.content.decode()
    assert api_for(bob).post(f"{RUN}{web.pk}/recreate/", {}, format="json").status_code == 202
    assert CANARY not in str(Operation.objects.get().params)


FIRST_ROOT = "/proc/1/root"
"""By this the kernel shows the first process's root."""
SHELL = ("shell=True", "os.system(", "os.popen(", "subprocess.getoutput(", "create_subprocess_shell(")
HOSTILE = "/a;reboot $(reboot) `reboot` && reboot"


def test_cve_2026_45626_a_path_that_is_looked_at_is_part_of_no_command(
    engine: Engine, team: Team, tara: User, api_for: ApiFor, outcome: Outcome
) -> None:
    """The path of a volume went into a line for a shell; here it goes to the engine's archive as it is."""
    data = rows.make_volume(engine, team)
    answer = api_for(tara).get(f"/api/v1/volumes/{data.pk}/files/", {"path": HOSTILE})
    assert answer.status_code >= 500, "nobody is there"
    assert len(outcome.asked) == 1
    assert clean(HOSTILE) == HOSTILE
    ours = [path for path in house.python(tests=False) if path.parts[0] in house.ROOMS]
    assert not [str(path) for path in ours if any(way in house.text(path) for way in SHELL)]
    reading = [path for path in ours if path.name.startswith("docker_file")]
    assert len(reading) > 1
    assert not [str(path) for path in reading if re.search(r"exec_(create|start)|/exec\b", house.text(path))]


@pytest.mark.parametrize(
    "wish",
    [
        {"url": "https://git.example/a;reboot"}, {"url": "https://git.example/$(reboot)"},
        {"url": "--upload-pack=reboot"},
        {"url": "ext::sh -c reboot"}, {"url": "https://git.example/a", "ref": "--output=/x"},
        {"url": "https://git.example/a", "ref": "a;reboot"}, {"url": "https://git.example/a", "dir": "$(reboot)"},
    ],
)  # fmt: skip
def test_cve_2026_24841_cve_2026_45629_cve_2026_72739_cve_2026_129433_words_stay_words(
    wish: dict[str, str],
) -> None:
    """What was typed became part of a line for a shell, or by a socket; here programs get words, and odd ones none."""
    try:
        found = git.source(wish)
    except SpecError:
        found = None
    assert found is None or found.url == wish["url"]
    assert found is None or not wish["url"].startswith(("-", "ext"))
    assert consoles.words_of("ls && reboot; id | sh") == ["ls", "&&", "reboot;", "id", "|", "sh"]
    with pytest.raises(SpecError):
        ContainerSpec.parse({"image": "nginx", "command": "ls; reboot"})
    for user in ("root;reboot", "$(id)", "-u0", "a b"):
        with pytest.raises(Invalid):
            Program.of(["sh"], str(uuid4()), user=user)


@pytest.mark.parametrize("style", DeployHook.Style.values)
def test_cve_2026_53988_a_webhook_without_a_secret_is_opened_by_no_signature(
    style: str, web: Container, bob: User, team: Team, client: Client, outcome: Outcome
) -> None:
    """A webhook whose secret was null took every call; here one without a secret takes none."""
    row = DeployHook.objects.create(
        engine=web.engine, team=team, name=web.name, style=style, sealed="", created_by=bob, actor_name="bob"
    )
    body = b'{"ref": "refs/heads/main"}'
    for key in (b"", b"null", b"None", b"undefined"):
        signature = hmac.new(key, body, hashlib.sha256).hexdigest()
        headers = {
            "X-Hub-Signature-256": f"sha256={signature}", "X-Gitlab-Token": key.decode(),
            "Slipway-Signature": messages.signature(key.decode(), int(time.time()), body),
        }  # fmt: skip
        for said in (headers, {}):
            answer = client.post(f"/api/v1/hooks/{row.pk}/", body, "application/json", headers=said)
            assert answer.status_code == 401
    assert outcome.is_nothing()


def test_cve_2026_58455_nothing_happens_on_the_way_to_the_sign_in(
    web: Container, client: Client, vic: User, outcome: Outcome
) -> None:
    """The answer led to the sign-in, and the rest of the page ran all the same; here the door comes first."""
    image = rows.make_image(web.engine, None, "app:1")
    for path in (
        f"/containers/{web.pk}/do/stop/", f"/containers/{web.pk}/kill/", f"/engines/{web.engine_id}/sync/",
        f"/images/{image.pk}/tag/", "/containers/bulk/", "/containers/run/", "/images/pull/", "/trash/empty/",
    ):  # fmt: skip
        answer = client.post(path, {"sure": "1", "confirm": "quiet", "image": "nginx", "reference": "nginx"})
        assert answer.status_code == 302, path
        assert answer["Location"].startswith("/login/"), path
    assert Engine.objects.exists()
    assert outcome.is_nothing()


# --- The engine, and what stands before it ------------------------------------------------------------


def test_issue_182_reading_alone_takes_no_file_and_no_container_along(
    web: Container, engine: Engine, team: Team, vic: User, bob: User, api_for: ApiFor, outcome: Outcome
) -> None:
    """Who was let in to read took any file by a GET; here files and exports are rights of their own."""
    data = rows.make_volume(engine, team)
    for who in (vic, bob):
        for path in (f"containers/{web.pk}", f"volumes/{data.pk}"):
            for search in ("path=/etc/shadow", "path=/etc/shadow&download=1", "path=/"):
                assert api_for(who).get(f"/api/v1/{path}/files/?{search}").status_code == 403
        for path in (f"containers/{web.pk}/filesystem/", f"volumes/{data.pk}/export/"):
            assert api_for(who).post(f"/api/v1/{path}", {}, format="json").status_code == 403
    assert outcome.is_nothing()


def test_cve_2024_41110_cve_2026_34040_neither_nothing_nor_too_much_of_a_body_goes_past_the_guard(
    web: Container, bob: User, api_for: ApiFor, outcome: Outcome
) -> None:
    """A plugin that judged requests was given empty bodies for some; here what is judged is what is carried out."""
    wish = {"image": "nginx", "privileged": True, "mounts": [BIND]}
    for pad in (1 << 10, 1 << 20, 3 << 20):
        answer = api_for(bob).post(RUN, json.dumps(wish) + " " * pad, content_type="application/json")
        assert (answer.status_code, answer.json()["code"]) in ((403, "policy_denied"), (413, "too_large")), (
            pad
        )
    for body, more in (
        (b"", {}),
        (b"", {"CONTENT_LENGTH": "0"}),
        (json.dumps(wish).encode(), {"CONTENT_LENGTH": "0"}),
    ):
        answer = api_for(bob).post(RUN, body, content_type="application/json", **more)
        assert answer.status_code == 400
    assert outcome.is_nothing()


def test_cve_2018_15664_cve_2026_41567_cve_2026_41568_cve_2026_42306_an_archive_of_ours_leads_nowhere(
    settings: Any, tmp_path: Path
) -> None:
    """Links and names in archives led the engine out of a container; here it gets a plain one that we wrote."""
    settings.HOME = tmp_path
    tree = Tree("0" * 64, "/", closed=("/data",), mounts=())
    for path in (f"{FIRST_ROOT}/etc/shadow", "/proc/self/fd/7", "/sys/x", "/dev/sda", "/data/x", "/data"):
        with pytest.raises(PolicyDenied):
            tree.require_open(path)
    volume = Tree("0" * 64, "/data", closed=(), mounts=())
    for target in ("/etc", "../etc", "a/../../etc"):
        with pytest.raises(PolicyDenied):
            volume._target("/data/link", target)
    for name in ("/../x", "x", "/a/../b", "/a\x00b"):
        with pytest.raises(Invalid):
            clean(name)
    sent = tarfile.TarInfo("x")
    sent.size = 3
    with tarfile.open(fileobj=io.BytesIO(b"".join(_tar_of(sent, io.BytesIO(b"abc"))))) as written:
        assert [(one.name, one.isreg()) for one in written] == [("x", True)]
    for link in ("/etc", "../../etc"):
        with pytest.raises(SpecError):
            keep(tar(entry("l", type=tarfile.SYMTYPE, linkname=link), entry("l/x", b"x")))


@pytest.mark.parametrize(
    "folder",
    ["/proc/self/fd/8", "/proc/self/fd/7/", "//proc/1/fd/7", "/app/../proc/self/fd/9", "/dev/fd/8", "/proc"],
)
def test_cve_2024_21626_no_program_begins_in_what_the_kernel_shows_of_open_files(
    folder: str, web: Container, alice: User, tara: User, api_for: ApiFor, outcome: Outcome
) -> None:
    """A program that began in an open file of its runtime was on the host; here no console and no container does."""
    with pytest.raises(Invalid):
        consoles.start(web, person(tara, source="ui"), command=["sh"], folder=folder)
    assert Program.of(["sh"], str(uuid4()), folder="/processes").folder == "/processes"
    for who in (alice, tara):
        for path, body in ((RUN, {"image": "nginx", "working_dir": folder}),
                           (f"{RUN}{web.pk}/recreate/", {"changes": {"working_dir": folder}})):  # fmt: skip
            assert api_for(who).post(path, body, format="json").status_code == 400
    assert outcome.is_nothing()


def test_cve_2024_23651_cve_2024_23652_cve_2024_23653_a_build_asks_for_no_more_than_a_build(
    bob: User, team: Team, engine: Engine, api_for: ApiFor, outcome: Outcome
) -> None:
    """Steps of builds got rights that nobody had given them; here none can be asked for, and none is sent along."""
    for more in (
        {"entitlements": ["security.insecure"]}, {"allow": ["network.host"]}, {"network": "host"}, {"privileged": True},
        {"networkmode": "host"}, {"extra_hosts": ["a:127.0.0.1"]}, {"cache_from": ["evil.example/x"]},
    ):  # fmt: skip
        answer = api_for(bob).post(
            "/api/v1/images/build/", {"tags": ["x:1"], "dockerfile": "FROM scratch", **more}, format="json"
        )
        assert (answer.status_code, answer.json()["code"]) == (400, "unknown_field"), more
    assert outcome.is_nothing()
    known = {
        "t",
        "dockerfile",
        "rm",
        "forcerm",
        "nocache",
        "pull",
        "buildargs",
        "labels",
        "target",
        "networkmode",
    }
    asked = query(BuildSpec.parse({"tags": ["x:1"], "target": "a"}))
    assert (set(asked), asked["networkmode"]) == (known, "default")
    ours = [path for path in house.python(tests=False) if path.parts[0] == "engine"]
    assert not [str(path) for path in ours if "entitle" in house.text(path).lower()]
