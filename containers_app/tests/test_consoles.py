"""Who may have a console, what is written down of it, and what may be read of it afterwards. Without any engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.access import Actor, Denied, can, person, why_not
from accounts.models import AuditEntry, Membership
from containers_app import consoles, recording
from containers_app.models import ConsoleSession, Container
from engine.errors import Conflict, Invalid, Unreachable
from operations.models import Engine

pytestmark = pytest.mark.django_db


@pytest.fixture
def container(team: Any) -> Container:
    engine = Engine.objects.create(name="quiet", endpoint="unix:///nowhere.sock", status="online")
    return Container.objects.create(
        engine=engine, native_id="b" * 64, name="blue-web", team=team, state="running", command=["serve"]
    )


def of(user: Any) -> Actor:
    user.refresh_from_db()
    user._prefetched_objects_cache = {}
    return person(user, source="ui", ip="10.0.0.9")


@pytest.fixture
def recorded(container: Container, tara: Any) -> Iterator[ConsoleSession]:
    session = consoles.start(container, of(tara), command=["sh"], record=True)
    recording.recording_of(session.pk).write_text('{"version": 2}\n[0.1, "o", "hello"]\n')
    assert consoles.finish(session.pk, outcome="succeeded", reason="The program ended.", exit_code=0, left=0)
    session.refresh_from_db()
    yield session
    recording.recording_of(session.pk).unlink(missing_ok=True)


# --- Rights ----------------------------------------------------------------------------------------------


def test_operators_need_the_grant_and_viewers_cannot_be_given_it(
    team: Any, other_team: Any, container: Container, alice: Any, tara: Any, bob: Any, vic: Any, charlie: Any
) -> None:
    people = {"alice": alice, "tara": tara, "bob": bob, "vic": vic, "charlie": charlie}

    def may() -> set[str]:
        return {name for name, user in people.items() if can(of(user), "container.console", container)}

    assert may() == {"alice", "tara"}
    Membership.objects.update(console=True)
    assert may() == {"alice", "tara", "bob"}
    assert not can(of(bob), "container.remove", other_team)
    assert "the grant" in (why_not(of(vic), "container.console", container) or "")
    Membership.objects.filter(user=bob).update(console=False)
    assert may() == {"alice", "tara"}


def test_a_token_opens_a_console_only_with_the_scope_for_it(
    container: Container, tara: Any, other_team: Any, team: Any
) -> None:
    tara_ = of(tara)
    for scopes, team_id, allowed in (
        ({"read"}, None, False), ({"operate"}, None, True), ({"operate"}, other_team.pk, False),
        ({"operate"}, team.pk, True),
    ):  # fmt: skip
        actor = Actor(
            user=tara_.user, source="api", scopes=frozenset(scopes), token_key="k", token_team_id=team_id
        )
        assert can(actor, "container.console", container) is allowed


def test_who_may_not_starts_nothing(container: Container, bob: Any) -> None:
    with pytest.raises(Denied):
        consoles.start(container, of(bob), command=["sh"])
    assert not ConsoleSession.objects.exists()


def test_nothing_is_opened_where_it_cannot_be(container: Container, tara: Any) -> None:
    actor = of(tara)
    for state in ("exited", "paused", "created"):
        container.state = state
        with pytest.raises(Conflict):
            consoles.start(container, actor, command=["sh"])
    container.state = "running"
    container.engine.status = "unreachable"
    with pytest.raises(Unreachable):
        consoles.start(container, actor, command=["sh"])
    container.engine.status = "online"
    for _ in range(consoles.MOST_OF_ONE):
        consoles.start(container, actor, command=["sh"])
    with pytest.raises(Conflict):
        consoles.start(container, actor, command=["sh"])
    assert AuditEntry.objects.filter(verb="container.console").count() == consoles.MOST_OF_ONE


# --- What is written down --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "hidden"),
    [
        (["mysql", "-uroot", "-pS3CRET"], "S3CRET"),
        (["mysql", "--password", "S3CRET"], "S3CRET"),
        (["mysql", "--password=S3CRET"], "S3CRET"),
        (
            ["sh", "-c", "DB_PASSWORD=S3CRET ./run --api-key  S3CRET && curl https://me:S3CRET@host/"],
            "S3CRET",
        ),
        (["psql", "postgres://me:S3CRET@host/db"], "S3CRET"),
    ],
)
def test_secrets_of_a_command_are_masked(command: list[str], hidden: str) -> None:
    found = consoles.shown(command)
    assert hidden not in json.dumps(found)
    assert "********" in json.dumps(found)
    assert found[0] == command[0]


def test_commands_without_secrets_are_kept_as_they_are() -> None:
    for command in (
        ["ssh", "-p2222", "host"],
        ["sh", "-c", "ls  -la | grep x"],
        ["kill", "-9", "12"],
        ["top", "-p", "1"],
    ):
        assert consoles.shown(command) == command


def test_the_real_command_is_sealed_until_one_gateway_has_it(container: Container, tara: Any) -> None:
    session = consoles.start(container, of(tara), command=["mysql", "-pS3CRET"])
    assert "S3CRET" not in json.dumps([session.command, session.sealed])
    found = consoles.claim(session.pk, container.engine_id)
    assert found
    assert found[1] == ["mysql", "-pS3CRET"]
    assert consoles.claim(session.pk, container.engine_id) is None, "only one"
    assert ConsoleSession.objects.get(pk=session.pk).sealed == ""


def test_a_session_that_waited_too_long_is_opened_by_nobody(container: Container, tara: Any) -> None:
    session = consoles.start(container, of(tara), command=["sh"])
    old = timezone.now() - timedelta(seconds=consoles.ANSWER_WITHIN + 10)
    ConsoleSession.objects.update(created_at=old)
    assert consoles.claim(session.pk, container.engine_id) is None
    assert [one.pk for one in consoles.orphans(container.engine_id, [])] == [session.pk]


def test_an_end_is_written_once_and_names_who_opened_it(container: Container, tara: Any) -> None:
    session = consoles.start(container, of(tara), command=["sh"], user="app", folder="/srv")
    end = {
        "outcome": "succeeded",
        "reason": "It ended.",
        "exit_code": 3,
        "left": 0,
        "bytes_in": 5,
        "bytes_out": 9,
    }
    assert consoles.finish(session.pk, **end)
    assert not consoles.finish(session.pk, **end)
    begun, ended = AuditEntry.objects.filter(verb="container.console").order_by("seq")
    assert (begun.outcome, ended.outcome, ended.actor_name, ended.ip) == (
        "accepted",
        "succeeded",
        "tara",
        "10.0.0.9",
    )
    assert begun.detail == {
        "session": str(session.pk), "kind": "exec", "command": ["sh"], "user": "app", "folder": "/srv"
    }  # fmt: skip
    assert ended.detail["exit_code"] == 3
    assert (ended.detail["bytes_in"], ended.detail["bytes_out"], ended.detail["processes_left"]) == (5, 9, 0)


def test_processes_that_were_not_seen_to_be_gone_are_looked_for_again(
    container: Container, tara: Any
) -> None:
    for left in (0, 2, None):
        session = consoles.start(container, of(tara), command=[f"left-{left}"])
        consoles.claim(session.pk, container.engine_id)
        consoles.finish(session.pk, outcome="failed", reason="The engine went away.", left=left)
    names = {one.command[0] for one in consoles.orphans(container.engine_id, [])}
    assert names == {"left-2", "left-None"}


@pytest.mark.parametrize(("setting", "ticked", "kept"), [
    ("never", True, False), ("ask", False, False), ("ask", True, True), ("always", False, True),
])  # fmt: skip
def test_recording_is_as_the_setting_says(
    container: Container, tara: Any, settings: Any, setting: str, ticked: bool, kept: bool
) -> None:
    settings.CONSOLE_RECORD = setting
    assert consoles.start(container, of(tara), command=["sh"], record=ticked).recorded is kept


def test_lines_are_split_as_a_shell_would() -> None:
    assert consoles.words_of("sh -c 'echo \"a b\"'") == ["sh", "-c", 'echo "a b"']
    with pytest.raises(Invalid):
        consoles.words_of("sh -c 'open")


# --- The page --------------------------------------------------------------------------------------------


def page(container: Container, more: str = "") -> str:
    return f"/containers/{container.pk}/console/{more}"


def test_the_page_is_for_those_who_may_and_only_it_has_a_nonce(
    container: Container, client_for: Any, tara: Any, bob: Any, charlie: Any
) -> None:
    answer = client_for(tara).get(page(container))
    assert answer.status_code == 200
    nonce = answer.context["request"].csp_nonce
    assert f"style-src 'self' 'nonce-{nonce}'" in answer.headers["Content-Security-Policy"]
    assert "'unsafe" not in answer.headers["Content-Security-Policy"]
    overview = client_for(tara).get(f"/containers/{container.pk}/")
    assert "nonce" not in overview.headers["Content-Security-Policy"]
    assert page(container) in overview.content.decode()
    assert client_for(bob).get(page(container)).status_code == 403
    assert page(container) not in client_for(bob).get(f"/containers/{container.pk}/").content.decode()
    assert client_for(charlie).get(page(container)).status_code in (403, 404)


def test_a_container_that_does_not_run_offers_to_start_it(
    container: Container, client_for: Any, tara: Any
) -> None:
    Container.objects.update(state="exited")
    found = client_for(tara).get(page(container)).content.decode()
    assert "is not running" in found
    assert 'type="submit" disabled' in found


def test_a_recording_is_read_by_who_may_have_a_console_and_that_is_written_down(
    recorded: ConsoleSession, container: Container, client_for: Any, alice: Any, bob: Any, charlie: Any
) -> None:
    path = page(container, f"{recorded.pk}/recording/")
    assert client_for(bob).get(path).status_code == 403
    assert client_for(charlie).get(path).status_code in (403, 404)
    answer = client_for(alice).get(path + "?download=1")
    assert answer.content.endswith(b'"hello"]\n')
    assert "attachment" in answer.headers["Content-Disposition"]
    line = AuditEntry.objects.get(verb="console.replay")
    assert (line.actor_name, line.detail["of"], line.target_name) == ("alice", "tara", "blue-web")
    recording.recording_of(recorded.pk).unlink()
    assert client_for(alice).get(path).status_code == 404


def test_recordings_outlive_their_container_where_another_has_its_name(
    recorded: ConsoleSession, container: Container, client_for: Any, tara: Any, other_team: Any
) -> None:
    engine, team = container.engine, container.team
    container.delete()
    found = {
        owner: Container.objects.create(
            engine=engine, native_id=digit * 64, name="blue-web", team=owner, state="running"
        )
        for owner, digit in ((team, "c"), (other_team, "d"))
    }
    answer = client_for(tara).get(page(found[team]))
    assert f"?replay={recorded.pk}" in answer.content.decode()
    assert client_for(tara).get(page(found[team], f"{recorded.pk}/recording/")).status_code == 200
    Membership.objects.create(user=tara, team=other_team, role="admin")
    assert str(recorded.pk) not in client_for(tara).get(page(found[other_team])).content.decode()
    assert client_for(tara).get(page(found[other_team], f"{recorded.pk}/recording/")).status_code == 404


def test_only_its_opener_and_team_admins_end_a_session(
    container: Container, client_for: Any, tara: Any, bob: Any, person: Any, team: Any
) -> None:
    Membership.objects.update(console=True)
    other = person("olga", team, "operator")
    Membership.objects.filter(user=other).update(console=True)
    session = consoles.start(container, of(bob), command=["sh"])
    path = page(container, f"{session.pk}/end/")
    assert client_for(other).post(path, HTTP_HX_REQUEST="true").headers["HX-Trigger"].count("bad") == 1
    assert ConsoleSession.objects.get().state == "asked"
    client_for(tara).post(path)
    ended = ConsoleSession.objects.get()
    assert (ended.state, ended.reason) == ("ended", "tara ended it.")
    assert AuditEntry.objects.get(verb="console.end").actor_name == "tara"


# --- Recordings ------------------------------------------------------------------------------------------


def test_a_recording_has_a_largest_size_and_says_so() -> None:
    recorder = recording.Recorder("large", 80, 24)
    for _ in range(40):
        recorder.output(b"x" * 1024 * 512)
    recorder.flush()
    path = recording.recording_of("large")
    assert recording.MOST_BYTES * 0.9 < path.stat().st_size < recording.MOST_BYTES * 1.1
    assert "largest size" in path.read_text()[-200:]
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    path.unlink()


def test_characters_cut_in_two_are_put_together() -> None:
    recorder = recording.Recorder("cut", 80, 24)
    data = "häß €".encode()
    for byte in data:
        recorder.output(bytes([byte]))
    recorder.flush()
    events = [json.loads(line) for line in recording.recording_of("cut").read_text().splitlines()[1:]]
    assert "".join(event[2] for event in events) == "häß €"
    recording.recording_of("cut").unlink()


def test_old_recordings_go(recorded: ConsoleSession) -> None:
    path = recording.recording_of(recorded.pk)
    recording.forget_old(1)
    assert path.exists()
    assert recording.forget_old(0) >= 1
    assert not recording.recording_of(recorded.pk).exists()
