"""Pages of containers, volumes and networks: who sees what, what is answered, and what happens without JavaScript."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from django.test import Client

from containers_app.models import Container, Volume
from operations.models import Engine, Operation
from tests.rows import (
    in_the_trash,
    make_container,
    make_engine,
    make_image,
    make_network,
    make_operation,
    make_volume,
)

if TYPE_CHECKING:
    from accounts.models import Team, User

ClientFor = Callable[..., Client]
HTMX = {"HX-Request": "true"}


@pytest.fixture
def engine(db: None) -> Engine:
    return make_engine("quiet", version="24.0.7+dfsg1", cpus=4, memory=8 * 1024**3)


@pytest.fixture
def web(engine: Engine, team: Team) -> Container:
    """One that runs, with everything a page can show of it."""
    image = make_image(engine, team, "shop/web:1.4", config={"Env": ["PORT=8080"], "Cmd": ["serve"]})
    container = make_container(
        engine, team, "web", image=image, image_ref="shop/web:1.4", health="healthy", stack="shop", command=["serve"],
        ports=[{"container": 80, "protocol": "tcp", "host": 8080, "host_ip": ""}], log_driver="json-file",
        environment={"PORT": "8080", "API_KEY": "********", "MODE": "<b>loud</b>"}, labels={"env": "production"},
        networks=[{"name": "front", "ip": "172.20.0.5"}], memory_limit=512 * 1024**2, cpu_limit=0.5,
        healthcheck={"test": ["CMD-SHELL", "wget -q localhost"], "interval": 30},
        health_log=[{"start": "2026-01-01T10:00:00Z", "end": "2026-01-01T10:00:01Z", "exit_code": 0, "output": "fine"}],
        inspect={"Id": "6e86", "State": {"Status": "running", "ExitCode": 0}, "HostConfig": {"Memory": 536870912}},
    )  # fmt: skip
    make_network(engine, team, "front")
    make_volume(engine, team, "web-data", container, size=2_000_000)
    make_volume(engine, team, "f" * 64, container, anonymous=True)
    return container


def _rows(html: str) -> list[str]:
    return re.findall(r'data-name="([^"]+)"', html)


def _toast(response: Any) -> dict[str, Any]:
    assert response.status_code == 204
    return dict(json.loads(response.headers["HX-Trigger"])["slipway:toast"])


# --- The list ----------------------------------------------------------------------------------------


def test_one_sees_the_containers_of_ones_teams_alone(
    client_for: ClientFor, bob: User, charlie: User, alice: User, web: Container, engine: Engine
) -> None:
    make_container(engine, None, "nobodys")
    assert _rows(client_for(bob).get("/containers/").content.decode()) == ["web"]
    assert _rows(client_for(charlie).get("/containers/").content.decode()) == []
    assert _rows(client_for(alice).get("/containers/").content.decode()) == ["web", "nobodys"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("view=running", ["api", "web"]),
        ("view=stopped", ["batch", "done"]),
        ("view=attention", ["batch"]),
        ("q=shop/web", ["web"]),
        ("q=8080", ["web"]),
        ("q=808", []),
        ("q=env=production", ["web"]),
        ("q=WEB", ["web"]),
        ("state=exited", ["batch", "done"]),
        ("stack=shop", ["web"]),
        ("label=env", ["web"]),
        ("label=env=staging", []),
        ("team=red", []),
        ("ordering=-name&group=none", ["web", "done", "batch", "api"]),
        ("ordering=nonsense&view=nonsense&page=nonsense&state=nonsense", ["web", "api", "batch", "done"]),
    ],
)
def test_the_address_says_what_is_shown(
    client_for: ClientFor, bob: User, web: Container, engine: Engine, team: Team, query: str, found: list[str]
) -> None:
    make_container(engine, team, "api")
    make_container(engine, team, "batch", state="exited", exit_code=3)
    make_container(engine, team, "done", state="exited", exit_code=0)
    shown = _rows(client_for(bob).get(f"/containers/?{query}").content.decode())
    assert sorted(shown) == sorted(found)
    if "ordering" in query:
        assert shown == found


def test_an_empty_list_says_what_to_do_and_a_filter_what_it_hides(
    client_for: ClientFor, bob: User, team: Team
) -> None:
    browser = client_for(bob)
    assert "No container engine is connected" in browser.get("/containers/").content.decode()
    engine = make_engine()
    assert "Run an image" in browser.get("/containers/").content.decode()
    make_container(engine, team, "web")
    assert "No container matches" in browser.get("/containers/?q=zzz").content.decode()


def test_htmx_gets_the_rows_and_the_views_without_the_page(
    client_for: ClientFor, bob: User, web: Container
) -> None:
    html = client_for(bob).get("/containers/", headers=HTMX).content.decode()
    assert _rows(html) == ["web"]
    assert "<html" not in html
    assert 'hx-swap-oob="morph"' in html


def test_a_hundred_rows_a_page(client_for: ClientFor, bob: User, engine: Engine, team: Team) -> None:
    for number in range(103):
        make_container(engine, team, f"c-{number:03}")
    assert len(_rows(client_for(bob).get("/containers/").content.decode())) == 100
    assert len(_rows(client_for(bob).get("/containers/?page=2").content.decode())) == 3


def test_a_row_offers_what_its_state_and_the_readers_role_allow(
    client_for: ClientFor, bob: User, vic: User, web: Container, engine: Engine, team: Team
) -> None:
    make_container(engine, team, "off", state="exited", exit_code=0)
    offers = dict(
        re.findall(
            r'data-name="(\w+)" data-can="([^"]*)"', client_for(bob).get("/containers/").content.decode()
        )
    )
    assert offers["web"].split() == [
        "stop",
        "restart",
        "pause",
        "kill",
        "rename",
        "update",
        "recreate",
        "duplicate",
        "remove",
    ]
    assert offers["off"].split() == ["start", "rename", "update", "recreate", "duplicate", "remove"]
    assert 'data-can=""' in client_for(vic).get("/containers/").content.decode()


def test_a_row_says_what_is_being_done_to_it(
    client_for: ClientFor, bob: User, web: Container, team: Team
) -> None:
    make_operation(
        web.engine, team, state="running", target_id=str(web.pk), actor_name="bob", finished_at=None
    )
    html = client_for(bob).get("/containers/").content.decode()
    assert "Stopping" in html
    assert 'data-can=""' in html


def test_what_an_engine_says_is_never_markup(
    client_for: ClientFor, bob: User, engine: Engine, team: Team
) -> None:
    evil = '"><script>alert(1)</script>'
    container = make_container(engine, team, evil, image_ref=evil, stack=evil, labels={evil: evil}, error=evil,
                               environment={evil: evil}, inspect={evil: evil}, command=[evil])  # fmt: skip
    browser = client_for(bob)
    for path in (
        "/containers/",
        *(f"/containers/{container.pk}/{tab}" for tab in ("", "history/", "inspect/", "remove/")),
    ):
        assert "<script>alert" not in browser.get(path).content.decode(), path


# --- One container -----------------------------------------------------------------------------------


def test_the_overview_tells_what_a_person_would_look_up(
    client_for: ClientFor, bob: User, web: Container
) -> None:
    html = client_for(bob).get(f"/containers/{web.pk}/").content.decode()
    for fact in (
        "shop/",
        "8080:80",
        "172.20.0.5",
        "512 MB",
        "0.5 cores",
        "hidden",
        "web-data",
        "anonymous",
        "wget -q",
    ):
        assert fact in html, fact
    assert "********" not in html
    assert "&lt;b&gt;loud&lt;/b&gt;" in html


@pytest.mark.parametrize("tab", ["", "logs/", "history/", "inspect/", "remove/", "kill/", "rename/"])
def test_a_strangers_container_does_not_exist(
    client_for: ClientFor, charlie: User, web: Container, tab: str
) -> None:
    assert client_for(charlie).get(f"/containers/{web.pk}/{tab}").status_code == 404
    assert client_for(charlie).get(f"/containers/{uuid4()}/{tab}").status_code == 404


def test_a_page_of_what_is_gone_is_told_to_leave(client_for: ClientFor, bob: User) -> None:
    for path in (f"/containers/{uuid4()}/", f"/containers/{uuid4()}/logs/", f"/volumes/{uuid4()}/"):
        answer = client_for(bob).get(path, headers=HTMX)
        assert answer.status_code == 204
        assert json.loads(answer.headers["HX-Trigger"]) == {"slipway:gone": {"undo": None}}


def test_a_page_of_what_is_in_the_trash_says_how_to_take_it_back(
    client_for: ClientFor, bob: User, vic: User, engine: Engine, team: Team
) -> None:
    item = in_the_trash("container", engine, team)
    for reader, undo in ((bob, str(item.operation_id)), (vic, None)):
        answer = client_for(reader).get(f"/containers/{item.target_id}/", headers=HTMX)
        assert json.loads(answer.headers["HX-Trigger"]) == {"slipway:gone": {"undo": undo}}


@pytest.mark.parametrize("page", ["remove/", "kill/", "rename/"])
def test_a_viewer_is_told_which_role_is_missing(
    client_for: ClientFor, vic: User, web: Container, page: str
) -> None:
    response = client_for(vic).get(f"/containers/{web.pk}/{page}")
    assert response.status_code == 403
    assert "operator" in response.content.decode()


def test_the_head_follows_by_itself(client_for: ClientFor, bob: User, web: Container) -> None:
    head = {**HTMX, "HX-Target": "head"}
    for tab in ("", "history/", "inspect/", "logs/"):
        html = client_for(bob).get(f"/containers/{web.pk}/{tab}", headers=head).content.decode()
        assert "<h1>" in html
        assert "<html" not in html


def test_inspect_explains_and_finds_and_comes_as_a_file(
    client_for: ClientFor, bob: User, web: Container
) -> None:
    browser = client_for(bob)
    html = browser.get(f"/containers/{web.pk}/inspect/?find=memory").content.decode()
    assert "1 found" in html
    assert "512 MB" in html
    one = browser.get(f"/containers/{web.pk}/inspect/?section=State").content.decode()
    assert "ExitCode" in one
    assert "536870912" not in one
    raw = browser.get(f"/containers/{web.pk}/inspect/?raw=1")
    assert raw.json() == web.inspect
    assert "attachment" in raw.headers["Content-Disposition"]


def test_history_lists_what_was_asked_of_it(
    client_for: ClientFor, bob: User, web: Container, team: Team
) -> None:
    operation = make_operation(web.engine, team, target_id=str(web.pk), actor=bob)
    make_operation(web.engine, team, target_id=str(uuid4()), target_name="other")
    html = client_for(bob).get(f"/containers/{web.pk}/history/").content.decode()
    assert f"/operations/{operation.pk}/" in html
    assert html.count('class="ev"') == 1


# --- Changes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "doing", "done"),
    [("stop", "Stopping", "Stopped"), ("restart", "Restarting", "Restarted"), ("pause", "Pausing", "Paused")],
)
def test_an_action_is_one_operation_and_answers_with_a_toast(
    client_for: ClientFor, bob: User, web: Container, action: str, doing: str, done: str
) -> None:
    toast = _toast(client_for(bob).post(f"/containers/{web.pk}/do/{action}/", headers=HTMX))
    operation = Operation.objects.get()
    assert (operation.kind, operation.target_id, operation.actor) == (f"container.{action}", str(web.pk), bob)
    assert toast == {
        "text": f"{doing} web",
        "tone": "busy",
        "operation": str(operation.pk),
        "done": f"{done} web",
        "failed": f"{doing} web failed",
    }


def test_without_javascript_one_goes_back_with_a_message(
    client_for: ClientFor, bob: User, web: Container
) -> None:
    page = f"/containers/{web.pk}/"
    response = client_for(bob).post(
        f"{page}do/stop/", headers={"Referer": f"http://testserver{page}"}, follow=True
    )
    assert [to.removeprefix("http://testserver") for to, _ in response.redirect_chain] == [page]
    assert "Stopping web" in response.content.decode()


def test_what_may_not_be_done_is_said_and_changes_nothing(
    client_for: ClientFor, vic: User, charlie: User, bob: User, web: Container
) -> None:
    assert "operator" in _toast(client_for(vic).post(f"/containers/{web.pk}/do/stop/", headers=HTMX))["text"]
    assert client_for(charlie).post(f"/containers/{web.pk}/do/stop/", headers=HTMX).status_code == 404
    assert _toast(client_for(bob).post(f"/containers/{web.pk}/do/explode/", headers=HTMX))["tone"] == "bad"
    assert client_for(bob).get(f"/containers/{web.pk}/do/stop/").status_code == 405
    assert not Operation.objects.exists()


def test_a_removal_says_first_what_is_lost_and_kept(client_for: ClientFor, bob: User, web: Container) -> None:
    browser = client_for(bob)
    html = browser.get(f"/containers/{web.pk}/remove/").content.decode()
    for word in (
        "Lost in 24 h",
        "Its logs",
        "port 8080",
        "can be taken back for 24 h",
        "Remove for good now",
        "stops answering",
        "web-data",
        "1 anonymous volume",
        "Kept",
    ):
        assert word in html, word
    assert "<html" not in browser.get(f"/containers/{web.pk}/remove/", headers=HTMX).content.decode()
    browser.post(f"/containers/{web.pk}/do/remove/", {"force": "1", "volumes": "1"})
    assert Operation.objects.get().params | {"force": True, "volumes": True} == Operation.objects.get().params


def test_a_new_name_is_looked_at_before_the_engine_is_asked(
    client_for: ClientFor, bob: User, web: Container, engine: Engine, team: Team
) -> None:
    make_container(engine, team, "api")
    browser, page = client_for(bob), f"/containers/{web.pk}/rename/"
    for name, complaint in (
        ("api", "Another container"),
        ("we b", "letters"),
        ("web", "already"),
        ("", "Give it"),
    ):
        assert complaint in browser.post(page, {"name": name}, headers=HTMX).content.decode(), name
    assert not Operation.objects.exists()
    assert _toast(browser.post(page, {"name": "shop-web"}, headers=HTMX))["tone"] == "busy"
    assert Operation.objects.get().params["name"] == "shop-web"


def test_a_signal_is_one_of_those_offered(client_for: ClientFor, bob: User, web: Container) -> None:
    page = f"/containers/{web.pk}/kill/"
    client_for(bob).post(page, {"signal": "STOP"})
    assert not Operation.objects.exists()
    client_for(bob).post(page, {"signal": "HUP"})
    assert Operation.objects.get().params["signal"].endswith("HUP")


def test_several_at_once_are_one_operation_each(
    client_for: ClientFor, bob: User, web: Container, engine: Engine, team: Team, other_team: Team
) -> None:
    api, foreign = make_container(engine, team, "api"), make_container(engine, other_team, "foreign")
    ids = [str(web.pk), str(api.pk), str(foreign.pk), "nonsense"]
    toast = _toast(client_for(bob).post("/containers/bulk/", {"action": "stop", "ids": ids}, headers=HTMX))
    assert toast["text"] == "Stopping 2 containers"
    assert {operation.target_name for operation in Operation.objects.all()} == {"web", "api"}


def test_several_are_removed_only_after_a_question(client_for: ClientFor, bob: User, web: Container) -> None:
    browser, wish = client_for(bob), {"action": "remove", "ids": [str(web.pk)]}
    question = browser.post("/containers/bulk/", wish, follow=True)
    assert "Remove 1 container?" in question.content.decode()
    assert not Operation.objects.exists()
    browser.post("/containers/bulk/", {**wish, "sure": "1"})
    assert Operation.objects.get().kind == "container.remove"


def test_nothing_selected_is_said(client_for: ClientFor, bob: User, web: Container) -> None:
    assert (
        "Select"
        in _toast(client_for(bob).post("/containers/bulk/", {"action": "stop"}, headers=HTMX))["text"]
    )
    assert not Operation.objects.exists()


# --- Running one -------------------------------------------------------------------------------------

WISH = {
    "image": "shop/web:1.4", "name": "shop-web-2", "command": "serve --port 80", "restart": "on-failure",
    "retries": "3", "cpus": "0.5", "memory": "1.5g", "pull": "missing", "start": "1",
    "port_host": ["127.0.0.1:8081", "", ""], "port_container": ["80", "53", ""],
    "port_protocol": ["tcp", "udp", "tcp"], "env_name": ["MODE", "KEY", ""], "env_value": ["quiet", "hush", ""],
    "env_secret": ["1"], "mount_type": ["volume", "tmpfs"], "mount_source": ["web-data", ""],
    "mount_target": ["/data", "/tmp"], "mount_read_only": ["0"], "label_name": ["env"], "label_value": ["test"],
    "cap_drop": "ALL",
}  # fmt: skip


def test_the_form_says_the_run_body(client_for: ClientFor, bob: User, web: Container) -> None:
    response = client_for(bob).post("/containers/run/", WISH)
    operation = Operation.objects.get()
    assert response.headers["Location"] == f"/operations/{operation.pk}/"
    params = operation.params
    assert params["ports"] == [
        {"container": 80, "protocol": "tcp", "host": 8081, "host_ip": "127.0.0.1"},
        {"container": 53, "protocol": "udp", "host": None, "host_ip": ""},
    ]
    assert params["environment"] == {"MODE": "quiet"}
    assert "hush" not in json.dumps(params)
    assert params["command"] == ["serve", "--port", "80"]
    assert params["resources"] == {"memory": 1610612736, "cpus": 0.5, "pids": 0}
    assert params["restart_policy"] == {"name": "on-failure", "max_retries": 3}
    assert [mount["read_only"] for mount in params["mounts"]] == [True, False]
    assert (params["labels"], params["cap_drop"], params["start"]) == ({"env": "test"}, ["ALL"], True)


def test_everything_that_is_wrong_is_told_at_once_in_its_place(
    client_for: ClientFor, bob: User, web: Container
) -> None:
    wish = {
        **WISH, "image": "Bad Image", "name": "a b", "memory": "lots", "command": "'open",
        "port_container": ["99999", "53", ""],
        "mount_target": ["data", "/tmp"], "env_name": ["1X", "KEY", ""],
    }  # fmt: skip
    html = client_for(bob).post("/containers/run/", wish, headers=HTMX).content.decode()
    html = re.sub(r"<template.*?</template>", "", html, flags=re.DOTALL)
    assert "7 things to fix" in html
    assert html.count('class="err-t"') - html.count("data-row-error hidden") == 7
    assert "hush" in html  # what was typed is not typed twice
    assert not Operation.objects.exists()


def test_a_port_that_is_taken_names_who_holds_it_and_offers_another(
    client_for: ClientFor, bob: User, web: Container
) -> None:
    html = client_for(bob).post("/containers/run/", {**WISH, "port_host": ["8080", "", ""]}).content.decode()
    assert "8080 is taken by web." in html
    assert 'data-use-port="8081"' in html
    assert not Operation.objects.exists()


def test_a_name_that_is_taken_is_said_at_the_name(client_for: ClientFor, bob: User, web: Container) -> None:
    html = client_for(bob).post("/containers/run/", {**WISH, "name": "web"}).content.decode()
    assert re.search(r'id="id_name_error">.*?There is a container', html, re.DOTALL)


def test_a_guard_rail_speaks_at_its_field(client_for: ClientFor, bob: User, web: Container) -> None:
    html = client_for(bob).post("/containers/run/", {**WISH, "privileged": "1"}).content.decode()
    assert "1 thing to fix" in html
    assert not Operation.objects.exists()


def _said(html: str) -> list[tuple[str, str]]:
    """What the judged fragment says: where, and what."""
    found = re.findall(r"<li ([^>]*)>([^<]*)</li>", html)
    return [(" ".join(re.findall(r'"([^"]*)"', where)).strip(), unescape(said)) for where, said in found]


def test_what_is_typed_is_judged_by_the_way_of_the_wish(
    client_for: ClientFor, bob: User, web: Container
) -> None:
    browser = client_for(bob)
    wish = {**WISH, "name": "web", "port_host": ["8080", "", ""]}
    said = _said(browser.post("/containers/run/check/", wish, headers=HTMX).content.decode())
    assert said == [
        ("name", 'There is a container "web" already: choose another name.'),
        ("ports 0 host 8081", "8080 is taken by web."),
    ]
    wish = {
        **WISH,
        "network_name": ["no/net"],
        "privileged": "1",
        "health_command": "true",
        "health_interval": "1",
    }
    said = _said(browser.post("/containers/run/check/", wish, headers=HTMX).content.decode())
    assert [where for where, _ in said] == ["health_interval", "networks 0 name"]
    said = _said(
        browser.post("/containers/run/check/", {**WISH, "privileged": "1"}, headers=HTMX).content.decode()
    )
    assert [where for where, _ in said] == ["privileged"]
    assert _said(browser.post("/containers/run/check/", WISH, headers=HTMX).content.decode()) == []
    assert not Operation.objects.exists()


def test_a_port_of_another_protocol_is_free(client_for: ClientFor, bob: User, web: Container) -> None:
    wish = {**WISH, "port_host": ["8080", "", ""], "port_protocol": ["udp", "tcp", "tcp"]}
    assert _said(client_for(bob).post("/containers/run/check/", wish).content.decode()) == []


def test_a_port_of_another_team_is_taken_and_nobody_is_named(
    client_for: ClientFor, charlie: User, web: Container
) -> None:
    wish = {**WISH, "port_host": ["8080", "", ""], "mount_source": ["own", ""]}
    said = _said(client_for(charlie).post("/containers/run/check/", wish).content.decode())
    assert said == [("ports 0 host 8081", "8080 is taken by a container of another team.")]


def test_the_form_says_all_of_networks_and_health_check(
    client_for: ClientFor, bob: User, web: Container
) -> None:
    browser = client_for(bob)
    wish = {
        **WISH, "network_name": ["bridge", "", "none"], "port_host": [], "health_command": "wget -q -O- localhost",
        "health_timeout": "7", "health_retries": "2", "health_start": "1.5",
    }  # fmt: skip
    assert "cannot be combined" in browser.post("/containers/run/", wish).content.decode()
    browser.post("/containers/run/", {**wish, "network_name": ["bridge"]})
    params = Operation.objects.get().params
    assert params["networks"] == ["bridge"]
    assert params["healthcheck"] == {
        "test": ["CMD-SHELL", "wget -q -O- localhost"], "interval": 30, "timeout": 7, "retries": 2,
        "start_period": 1.5,
    }  # fmt: skip
    browser.post("/containers/run/", {**WISH, "name": "silent", "health_none": "1"})
    assert Operation.objects.get(target_name="silent").params["healthcheck"]["test"] == ["NONE"]


def test_a_pasted_line_fills_in_the_form_and_says_what_it_left_out(
    client_for: ClientFor, bob: User, web: Container
) -> None:
    line = (
        "docker run -d --name shop -p 127.0.0.1:81:80/udp -e API_KEY=k3 -v data:/d:ro --network front --network back "
        "--health-cmd 'true' --gpus all --memory 64m <img>:1 sh -c 'echo \"hi\"'"
    )
    html = client_for(bob).post("/containers/run/paste/", {"line": line}).content.decode()
    for value in ("shop", "127.0.0.1:81", "80", "API_KEY", "k3", "data", "/d", "front", "back", "true", "64"):
        assert f'value="{value}"' in html, value
    assert 'value="sh -c &#x27;echo &quot;hi&quot;&#x27;"' in html
    assert 'value="&lt;img&gt;:1"' in html
    assert "<code>--gpus all</code>" in html
    assert not Operation.objects.exists()
    html = client_for(bob).post("/containers/run/paste/", {"line": "docker <ps>"}).content.decode()
    assert "A line that begins with" in html
    assert "docker &lt;ps&gt;" in html, "what was typed is still there"


# --- Volumes and networks ----------------------------------------------------------------------------


def test_volumes_are_listed_with_their_users(
    client_for: ClientFor, bob: User, charlie: User, web: Container
) -> None:
    make_volume(web.engine, web.team, "idle")
    browser = client_for(bob)
    html = browser.get("/volumes/").content.decode()
    assert "web-data" in html
    assert "2 MB" in html
    assert "web-data" not in browser.get("/volumes/?view=unused").content.decode()
    assert "idle" not in browser.get("/volumes/?view=anonymous").content.decode()
    assert "web-data" not in client_for(charlie).get("/volumes/").content.decode()


def test_a_volume_says_who_mounts_it_and_may_not_go_before(
    client_for: ClientFor, tara: User, web: Container
) -> None:
    volume, browser = Volume.objects.get(native_id="web-data"), client_for(tara)
    assert "/web-data" in browser.get(f"/volumes/{volume.pk}/").content.decode()
    question = browser.get(f"/volumes/{volume.pk}/remove/").content.decode()
    assert "web mounts it" in question
    assert re.search(r'<button class="btn danger solid"[^>]* disabled', question)


def test_a_volume_is_made_by_those_who_may(
    client_for: ClientFor, tara: User, bob: User, engine: Engine
) -> None:
    assert client_for(bob).get("/volumes/create/").status_code == 403
    browser = client_for(tara)
    assert "letters" in browser.post("/volumes/create/", {"name": "../etc"}).content.decode()
    assert browser.post("/volumes/create/", {"name": "fresh"}).status_code == 302
    assert Operation.objects.get().params["name"] == "fresh"


def test_networks_say_how_many_they_connect(client_for: ClientFor, bob: User, web: Container) -> None:
    html = client_for(bob).get("/networks/").content.decode()
    assert "front" in html
    assert "1 container" in html
    assert "No network matches" in client_for(bob).get("/networks/?q=zzz").content.decode()


def test_a_row_of_a_container_carries_its_id(client_for: ClientFor, bob: User, web: Container) -> None:
    found = re.search(r'data-row="([^"]+)"', client_for(bob).get("/containers/").content.decode())
    assert found
    assert UUID(found[1]) == web.pk


def test_a_stop_that_cuts_off_others_is_asked_first(
    client_for: ClientFor, bob: User, web: Container, engine: Engine, team: Team
) -> None:
    browser, stop = client_for(bob), f"/containers/{web.pk}/do/stop/"
    browser.post(stop)
    assert Operation.objects.count() == 1
    Operation.objects.all().delete()
    shares = {"HostConfig": {"NetworkMode": f"container:{web.native_id}"}}
    make_container(engine, team, "sidecar", inspect=shares)
    make_container(engine, None, "stranger", inspect=shares)

    answer = browser.post(stop, headers=HTMX)
    assert json.loads(answer.headers["HX-Trigger"]) == {
        "slipway:ask": {"url": f"/containers/{web.pk}/ask/stop/"}
    }
    assert browser.post(stop)["Location"] == f"/containers/{web.pk}/ask/stop/"
    question = browser.get(f"/containers/{web.pk}/ask/stop/").content.decode()
    for words in ("sidecar", "1 container of another team", "shares its network", "Stop container"):
        assert words in question, words
    assert "stranger" not in question
    assert not Operation.objects.exists()
    browser.post(stop, {"sure": "1"})
    assert Operation.objects.get().kind == "container.stop"
    assert browser.get(f"/containers/{web.pk}/ask/remove/").status_code == 404


def test_a_stop_has_the_grace_that_one_gives_it(
    client_for: ClientFor, bob: User, vic: User, web: Container
) -> None:
    browser, place = client_for(bob), f"/containers/{web.pk}/stop/"
    assert f'data-dialog-from="{place}"' in browser.get(f"/containers/{web.pk}/").content.decode()
    assert 'value="10"' in browser.get(place).content.decode()
    Container.objects.filter(pk=web.pk).update(stop_timeout=45)
    question = browser.get(place, headers=HTMX).content.decode()
    for words in ('value="45"', "port 8080", "it is killed"):
        assert words in question, words
    assert "less than or equal to 300" in browser.post(place, {"timeout": "301"}).content.decode()
    assert not Operation.objects.exists()
    browser.post(place, {"timeout": "120"})
    assert Operation.objects.get().params["timeout"] == 120
    assert client_for(vic).get(place).status_code == 403
