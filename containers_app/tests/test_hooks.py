"""Webhooks that come in: who may have a container made anew, and who learns nothing."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts import limits
from accounts.models import AuditEntry, Membership, Role, Team, User
from containers_app import hook_retries, hooks
from containers_app.models import Container, DeployHook, HookCall
from operations import messages, registry
from operations.models import Operation
from operations.services import lock
from tests import rows

BODY = b'{"ref": "refs/heads/main"}'


@pytest.fixture
def web(team: Team) -> Container:
    """A container of team blue."""
    return rows.make_container(
        rows.make_engine(), team, "web", image_ref="blue/app:1", inspect={"Config": {}}
    )


@pytest.fixture
def made(web: Container, bob: User, api_for: Callable[..., APIClient]) -> Callable[..., tuple[str, str]]:
    """``made(style)``: Bob makes one by REST; its path and its secret."""

    def make(style: str = "slipway") -> tuple[str, str]:
        answer = api_for(bob).post(f"/api/v1/containers/{web.pk}/hooks/", {"style": style})
        assert answer.status_code == 201, answer.data
        return "/api/v1/hooks/" + answer.data["address"].rstrip("/").rpartition("/")[2] + "/", answer.data[
            "secret"
        ]

    return make


def call(path: str, body: bytes = BODY, **headers: str) -> Any:
    """As another system does it; the answer with its JSON."""
    answer = Client().post(path, body, content_type="application/json", headers=dict(headers))
    answer.data = json.loads(answer.content)
    return answer


def signed(secret: str, body: bytes = BODY, *, style: str = "slipway", at: float = 0) -> dict[str, str]:
    """The headers of a good message."""
    if style == "gitlab":
        return {"X-Gitlab-Token": secret, "X-Gitlab-Event": "Push Hook", "X-Gitlab-Event-UUID": "one"}
    if style == "github":
        digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        return {"X-Hub-Signature-256": f"sha256={digest}", "X-GitHub-Event": "push"}
    return {"Slipway-Signature": messages.signature(secret, int(time.time() + at), body)}


@pytest.mark.parametrize("style", ["slipway", "github", "gitlab"])
def test_a_good_signature_has_the_container_made_anew_by_whoever_made_the_hook(
    style: str, made: Callable[..., tuple[str, str]], web: Container
) -> None:
    path, secret = made(style)
    answer = call(path, **signed(secret, style=style))
    assert answer.status_code == 202, answer.data
    operation = Operation.objects.get()
    assert (operation.kind, operation.target_id, operation.actor_name) == (
        "container.recreate",
        str(web.pk),
        "bob",
    )
    assert answer.data == {
        "operation": str(operation.pk), "batch": None, "refused": [], "outcome": "Redeploying",
    }  # fmt: skip
    again = call(path, **signed(secret, style=style))
    assert again.data["operation"] == str(operation.pk)  # joined, or known already
    assert Operation.objects.count() == 1


@pytest.mark.parametrize("style", ["slipway", "github", "gitlab"])
def test_whose_signature_is_not_right_learns_nothing(
    style: str, made: Callable[..., tuple[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    path, secret = made(style)
    good = signed(secret, style=style)
    wrong: list[tuple[str, bytes, dict[str, str]]] = [
        (path, BODY, {}), (path, BODY, signed("", style=style)), (path, BODY, signed("nobody's", style=style)),
        (path, BODY, dict.fromkeys(good, "ü")), (f"{path[:-13]}{'0' * 12}/", BODY, good),
    ]  # fmt: skip
    if style != "gitlab":
        wrong.append((path, BODY + b" ", good))
    if style == "slipway":
        wrong += [(path, BODY, signed(secret, at=-310)), (path, BODY, signed(secret, at=310))]
    with caplog.at_level(logging.DEBUG):
        answers = [call(where, body, **headers) for where, body, headers in wrong]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.data["detail"] for answer in answers}) == 1
    assert not Operation.objects.exists()
    assert not HookCall.objects.exists()
    assert secret not in caplog.text + str(list(AuditEntry.objects.values())) + str(
        DeployHook.objects.values()
    )


def test_a_hook_without_a_secret_opens_to_nobody(made: Callable[..., tuple[str, str]]) -> None:
    """CVE-2026-53988: a null secret."""
    for style in ("slipway", "github", "gitlab"):
        path, _ = made(style)
        DeployHook.objects.update(sealed="")
        for secret in ("", "nobody's", "None", "null"):
            assert call(path, **signed(secret, style=style)).status_code == 401


def test_a_hook_whose_secret_no_key_opens_is_closed(made: Callable[..., tuple[str, str]]) -> None:
    path, secret = made()
    DeployHook.objects.update(sealed="sealed-with-a-key-that-is-gone")
    assert call(path, **signed(secret)).status_code == 401
    assert not Operation.objects.exists()


def test_a_message_that_was_taken_has_no_effect_again(made: Callable[..., tuple[str, str]]) -> None:
    path, secret = made("github")
    first = call(path, **signed(secret, style="github"))
    Operation.objects.update(state="succeeded", idempotency_key="")
    assert call(path, **signed(secret, style="github")).data == first.data
    other = call(path, b"{}", **signed(secret, b"{}", style="github"))
    assert other.data["operation"] not in (None, first.data["operation"])
    assert Operation.objects.count() == 2


def test_what_is_pushed_while_an_older_redeploy_runs_is_not_lost(
    made: Callable[..., tuple[str, str]],
) -> None:
    """That one may have taken its image before: one more follows it, for all pushes of that time together."""
    path, secret = made("github")
    call(path, **signed(secret, style="github"))
    waiting = call(path, b"{}", **signed(secret, b"{}", style="github"))
    assert waiting.data["outcome"] == "Redeploying", "it had not begun, and will take the newest"
    first = Operation.objects.get()
    Operation.objects.update(state="running")
    for body in (b"[1]", b"[2]"):
        answer = call(path, body, **signed(secret, body, style="github"))
        assert (answer.status_code, answer.data["operation"]) == (202, str(first.pk))
        assert answer.data["outcome"] == "Redeploying; once more when what was under way has ended"
    hook_retries.go_on()
    assert Operation.objects.count() == 1, "it still runs"
    Operation.objects.update(state="succeeded")
    hook_retries.go_on()
    hook_retries.go_on()
    (again,) = Operation.objects.exclude(pk=first.pk)
    assert (again.kind, again.actor_name, again.state) == ("container.recreate", "bob", "queued")
    newest = HookCall.objects.first()
    assert newest is not None
    assert (newest.operation, newest.outcome, HookCall.objects.filter(again=True).count()) == (
        again,
        "Redeploying",
        0,
    )


def stop(web: Container) -> Operation:
    """Tara is at it."""
    return rows.make_operation(
        web.engine, web.team, kind="container.stop", state="running", lock_key=lock("container", web.pk),
        target_name="web", actor_name="tara",
    )  # fmt: skip


def test_what_follows_is_not_lost_where_something_else_is_at_the_container(
    made: Callable[..., tuple[str, str]], web: Container
) -> None:
    path, secret = made("github")
    call(path, **signed(secret, style="github"))
    Operation.objects.update(state="running")
    call(path, b"{}", **signed(secret, b"{}", style="github"))
    Operation.objects.update(state="succeeded")
    busy = stop(web)
    for _ in range(3):
        hook_retries.go_on()
    assert HookCall.objects.count() == 2
    assert HookCall.objects.get(again=True).attempts == 1, "it waits for the end of what is at work"
    Operation.objects.update(state="succeeded")
    hook_retries.go_on()
    assert Operation.objects.exclude(pk=busy.pk).filter(state="queued").count() == 1
    assert (HookCall.objects.count(), HookCall.objects.filter(again=True).count()) == (3, 0)


def test_what_is_held_up_for_too_long_is_given_up_and_says_why(
    made: Callable[..., tuple[str, str]], web: Container
) -> None:
    path, secret = made("github")
    call(path, **signed(secret, style="github"))
    Operation.objects.update(state="running")
    call(path, b"{}", **signed(secret, b"{}", style="github"))
    Operation.objects.update(state="succeeded")
    HookCall.objects.filter(again=True).update(attempts=hook_retries.TRIES - 1)
    stop(web)
    hook_retries.go_on()
    newest = HookCall.objects.first()
    assert newest is not None
    assert newest.outcome == "tara asked to stop web, and that is not finished yet."
    assert not HookCall.objects.filter(again=True).exists()


def test_two_workers_redeploy_once(
    made: Callable[..., tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, secret = made("github")
    call(path, **signed(secret, style="github"))
    Operation.objects.update(state="running")
    call(path, b"{}", **signed(secret, b"{}", style="github"))
    Operation.objects.update(state="succeeded")
    ask = hooks.ask

    def slowly(*words: Any, **more: Any) -> None:
        monkeypatch.setattr(hooks, "ask", ask)
        hook_retries.go_on()  # the other worker, meanwhile
        Operation.objects.filter(state="queued").update(state="running")
        ask(*words, **more)

    monkeypatch.setattr(hooks, "ask", slowly)
    hook_retries.go_on()
    Operation.objects.update(state="succeeded")
    hook_retries.go_on()
    assert Operation.objects.count() == 2
    assert not HookCall.objects.filter(again=True).exists()


@pytest.mark.django_db(transaction=True)
def test_the_worker_has_a_thread_go_on_beside_its_heartbeat(made: Callable[..., tuple[str, str]]) -> None:
    assert hook_retries.wake in [chore for _, chore in registry.chores()]
    assert not hook_retries.wake()
    path, secret = made("github")
    call(path, **signed(secret, style="github"))
    Operation.objects.update(state="running")
    call(path, b"{}", **signed(secret, b"{}", style="github"))
    Operation.objects.update(state="succeeded")
    assert hook_retries.wake()
    until = time.monotonic() + 10
    while HookCall.objects.filter(again=True).exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert Operation.objects.count() == 2


def test_what_cannot_follow_any_more_says_why(made: Callable[..., tuple[str, str]], bob: User) -> None:
    path, secret = made("github")
    call(path, **signed(secret, style="github"))
    Operation.objects.update(state="running")
    call(path, b"{}", **signed(secret, b"{}", style="github"))
    Operation.objects.update(state="failed")
    bob.memberships.all().delete()
    hook_retries.go_on()
    newest = HookCall.objects.first()
    assert newest is not None
    assert newest.outcome == "Whoever made this hook may not do this any more."
    assert Operation.objects.count() == 1


def test_rights_are_those_of_today(made: Callable[..., tuple[str, str]], bob: User, web: Container) -> None:
    """S-23."""
    path, secret = made()
    Membership.objects.filter(user=bob).update(role=Role.VIEWER)
    assert call(path, **signed(secret, at=1)).status_code == 403
    Membership.objects.filter(user=bob).delete()
    assert call(path, **signed(secret, at=2)).status_code == 403
    User.objects.filter(pk=bob.pk).update(is_active=False)
    assert call(path, **signed(secret, at=3)).status_code == 403
    bob.delete()
    assert call(path, **signed(secret, at=4)).status_code == 403
    Container.objects.all().delete()
    assert call(path, **signed(secret, at=5)).status_code == 404
    assert not Operation.objects.exists()


def test_what_is_no_push_does_nothing_and_too_much_is_refused(
    made: Callable[..., tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, secret = made("github")
    monkeypatch.setattr(hooks, "MOST_A_MINUTE", 1)
    for _ in range(2):
        ping = call(path, **{**signed(secret, style="github"), "X-GitHub-Event": "ping"})
        assert (ping.status_code, ping.data["operation"]) == (200, None)
    large = b"x" * (hooks.LARGEST + 1)
    assert call(path, large, **signed(secret, large, style="github")).status_code == 413
    assert not Operation.objects.exists()
    assert call(path, **signed(secret, style="github")).status_code == 202
    busy = call(path, b"{}", **signed(secret, b"{}", style="github"))
    assert (busy.status_code, busy["Retry-After"]) == (429, "60")
    monkeypatch.setattr(hooks, "MOST_IDLE", 2)
    gone = b'{"deleted": true}'
    assert call(path, gone, **signed(secret, gone, style="github")).status_code == 429


def test_who_signs_wrongly_shuts_out_nobody_of_the_same_address(
    made: Callable[..., tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, secret = made("github")
    monkeypatch.setattr(limits, "PER_ADDRESS", 2)
    assert [call(path).status_code for _ in range(3)] == [401, 401, 429]
    assert call(path, **signed(secret, style="github")).status_code == 202


def test_the_page_shows_the_secret_once_and_closes_the_address(
    client_for: Callable[..., Client], bob: User, vic: User, web: Container
) -> None:
    client, place = client_for(bob), f"/containers/{web.pk}/hooks/"
    shown = client.post(place, {"style": "github"}).content.decode()
    row = DeployHook.objects.get()
    secret = hooks.secrets.unseal(row.pk, row.sealed)["secret"]
    assert secret in shown
    later = client.get(place).content.decode()
    assert f"/api/v1/hooks/{row.pk}/" in later
    assert secret not in later
    assert client_for(vic).get(place).status_code == 403
    assert client_for(vic).post(f"{place}{row.pk}/forget/").status_code == 403
    assert "its secret is forgotten" in client.get(f"{place}{row.pk}/forget/").content.decode()
    assert DeployHook.objects.exists()
    assert client.post(f"{place}{row.pk}/forget/").status_code == 302
    assert not DeployHook.objects.exists()


def test_what_came_of_a_call_is_kept_in_english_and_told_in_the_reader_s_language(
    made: Callable[..., tuple[str, str]], web: Container, bob: User, client_for: Callable[..., Client]
) -> None:
    path, secret = made()
    rows.make_operation(
        web.engine, web.team, kind="container.stop", state="running", lock_key=lock("container", web.pk),
        target_name="web", actor_name="bob",
    )  # fmt: skip
    answer = Client().post(
        path, BODY, content_type="application/json", headers={**signed(secret), "Accept-Language": "de"}
    )
    assert answer.status_code == 409
    said = "bob asked to stop web, and that is not finished yet."
    assert HookCall.objects.get().outcome == said
    path, secret = made("github")
    call(path, **{**signed(secret, style="github"), "X-GitHub-Event": "ping"})
    assert HookCall.objects.first().outcome == "Nothing to do: this event is no push."  # type: ignore[union-attr]
    page = f"/containers/{web.pk}/hooks/"
    assert said in client_for(bob).get(page).content.decode()
    german = client_for(bob).get(page, headers={"Accept-Language": "de"}).content.decode()
    assert "Nothing to do" not in german
    assert "Nichts zu tun: Dieses Ereignis ist kein Push." in german


ZEROS = "0" * 40
SAID: dict[str, tuple[Any, str, bool]] = {
    "a branch of these": ({"ref": "refs/heads/main", "after": "1" + ZEROS[1:]}, "push", True),
    "one that fits a pattern": ({"ref": "refs/heads/release/1.2"}, "push", True),
    "another branch": ({"ref": "refs/heads/mainly"}, "push", False),
    "a branch in another case": ({"ref": "refs/heads/Main"}, "push", False),
    "a tag of that name": ({"ref": "refs/tags/main"}, "push", False),
    "a bare name": ({"ref": "main"}, "push", False),
    "a branch that was deleted": ({"ref": "refs/heads/main", "deleted": True}, "push", False),
    "one that points to nothing": ({"ref": "refs/heads/main", "after": ZEROS}, "push", False),
    "a package": ({"action": "published"}, "package", False),
    "no object": (["refs/heads/main"], "push", False),
    "an odd ref": ({"ref": {"refs/heads/main": 1}, "after": 0}, "push", False),
}


@pytest.mark.parametrize("what", SAID)
@pytest.mark.parametrize("form", [False, True])
def test_a_hook_for_some_branches_leaves_other_pushes_alone(
    what: str, form: bool, web: Container, bob: User, api_for: Callable[..., APIClient]
) -> None:
    said, event, counts = SAID[what]
    wish = {"style": "github", "branch": "main,release/*"}
    row = api_for(bob).post(f"/api/v1/containers/{web.pk}/hooks/", wish).data
    assert row["branch"] == "main, release/*"
    body = json.dumps(said).encode()
    kind = "application/json"
    if form:  # as GitHub sends it unless told otherwise
        body, kind = urlencode({"payload": body.decode()}).encode(), "application/x-www-form-urlencoded"
    headers = signed(row["secret"], body, style="github") | {"X-GitHub-Event": event}
    answer = Client().post(f"/api/v1/hooks/{row['id']}/", body, content_type=kind, headers=headers)
    assert answer.status_code == (202 if counts else 200), answer.content
    assert Operation.objects.exists() is counts
    assert HookCall.objects.get().outcome.startswith("Redeploying" if counts else "Nothing to do")


def test_without_branches_whatever_is_new_counts_and_what_was_deleted_does_not(
    made: Callable[..., tuple[str, str]],
) -> None:
    path, secret = made("github")
    gone = json.dumps({"ref": "refs/heads/old", "after": ZEROS}).encode()
    assert call(path, gone, **signed(secret, gone, style="github")).status_code == 200
    assert not Operation.objects.exists()
    odd = b"[" * 200_000  # JSON that goes too deep
    assert call(path, odd, **signed(secret, odd, style="github")).status_code == 202
    odd = b'{"a": "' + b"&x=1" * 30 + b'"}'  # as `curl -d` sends JSON
    kind = "application/x-www-form-urlencoded"
    answer = Client().post(path, odd, content_type=kind, headers=signed(secret, odd, style="github"))
    assert answer.status_code == 202


def test_odd_branches_are_refused(web: Container, bob: User, api_for: Callable[..., APIClient]) -> None:
    for odd in ("x" * 201, "main\r\nX: 1", 7):
        answer = api_for(bob).post(f"/api/v1/containers/{web.pk}/hooks/", {"branch": odd}, format="json")
        assert answer.status_code == 400, odd
    assert not DeployHook.objects.exists()
