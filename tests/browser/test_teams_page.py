"""A team is made, somebody comes into it, gets another role and goes; an account is disabled and enabled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest

from tests.browser.test_networks_page import pictures
from tests.browser.visitor import Visitor
from tests.machine import LiveApp, wait_for

MAKE = """
from accounts.models import User
for name, first in (("omar", "Omar"), ("ivy", "Ivy")):
    User.objects.create(username=name, first_name=first)
"""
JOIN = """
from accounts import group_mappings
from accounts.models import User
group_mappings.judge(User.objects.get(username="omar"), {"id_token": {"groups": ["shipyard/crew"]}}, ip=None)
"""
FORGET = """
from accounts.models import Team, User
Team.objects.filter(slug="web-shop").delete()
User.objects.filter(username__in=["omar", "ivy"]).delete()
"""


@pytest.fixture
def two_people(live_app: LiveApp) -> Iterator[None]:
    live_app.manage("shell", "-v", "0", "-c", MAKE)
    yield
    live_app.manage("shell", "-v", "0", "-c", FORGET)


def test_a_team_from_its_making_to_an_account_that_is_disabled(
    two_people: None, live_app: LiveApp, visit: Callable[..., Visitor], signed_in: Any
) -> None:
    admin = visit(live_app, storage_state=signed_in)
    page, dialog = admin.go("/teams/"), admin.page.locator("dialog[open]")
    page.get_by_role("link", name="New team").first.click()
    dialog.get_by_label("Name", exact=True).fill("Web shop")
    dialog.get_by_label("Short name").fill("web-shop")
    dialog.get_by_role("button", name="Create").click()
    page.get_by_text("Nobody yet. Add somebody").wait_for()

    page.get_by_role("link", name="Add…").click()
    dialog.get_by_label("User name").fill("omar")
    dialog.get_by_label("Role").select_option("operator")
    dialog.get_by_label("May open consoles").check()
    pictures(admin, "teams-add")
    dialog.get_by_role("button", name="Add").click()
    member = page.get_by_role("listitem").filter(has_text="omar · since")
    member.get_by_text("consoles").wait_for()
    page.get_by_text("member.add").wait_for()
    pictures(admin, "teams-one")

    member.get_by_role("link", name="Change Omar").click()
    dialog.get_by_label("Role").select_option("viewer")
    dialog.get_by_role("button", name="Save").click()
    member.get_by_text("Viewer").wait_for()
    look_list = admin.go("/teams/").get_by_role("row", name="Web shop")
    look_list.get_by_text("no quota").wait_for()
    pictures(admin, "teams-list")
    look_list.get_by_role("link", name="Web shop").click()
    a_set_is_made_given_and_deleted(admin)
    member.get_by_role("link", name="Change Omar").click()
    dialog.get_by_role("button", name="Take out").click()
    page.get_by_text("Nobody yet. Add somebody").wait_for()

    ivy = admin.go("/teams/people/").get_by_role("row").filter(has_text="Ivy")
    ivy.get_by_role("link", name="Disable Ivy").click()
    dialog.get_by_text("0 sessions, with their open pages").wait_for()
    pictures(admin, "teams-disable")
    dialog.get_by_role("button", name="Disable").click()
    ivy.get_by_text("disabled").wait_for()
    pictures(admin, "teams-people")
    ivy.get_by_role("link", name="Enable Ivy").click()
    dialog.get_by_role("button", name="Enable").click()
    ivy.get_by_role("link", name="Disable Ivy").wait_for()


def a_set_is_made_given_and_deleted(admin: Visitor) -> None:
    """From the team's page and back to it; Omar is a viewer before and after."""
    page, dialog = admin.page, admin.page.locator("dialog[open]")
    page.get_by_role("link", name="All, and new ones").click()
    page.get_by_role("link", name="New set").click()
    page.get_by_label("Name", exact=True).fill("Restart only")
    page.get_by_label("Restart containers").check()
    pictures(admin, "sets-new")
    page.get_by_role("button", name="Create", exact=True).click()
    page.get_by_text("Nobody yet. It is given").wait_for()
    page.get_by_role("link", name="Web shop").click()
    omar = page.get_by_role("listitem").filter(has_text="omar · since")
    omar.get_by_role("link", name="Change Omar").click()
    dialog.get_by_label("Role").select_option("Restart only")
    dialog.get_by_role("button", name="Save").click()
    omar.get_by_text("permission set").wait_for()
    omar.get_by_role("link", name="Restart only").click()
    page.get_by_role("heading", name="What Omar may in Web shop").wait_for()
    pictures(admin, "sets-may")
    page.get_by_role("link", name="Restart only").click()
    page.get_by_role("link", name="Permission sets").click()
    page.get_by_role("link", name="Restart only").click()
    page.get_by_role("link", name="Delete…").click()
    dialog.get_by_text("It is in use").wait_for()
    dialog.get_by_label("What they get instead").select_option("Viewer")
    dialog.get_by_role("button", name="Delete").click()
    page.get_by_role("heading", name="No permission set yet").wait_for()
    page.get_by_role("link", name="Web shop").click()


@pytest.fixture
def stray(docker_client: docker.DockerClient, busybox: str, live_app: LiveApp) -> Iterator[None]:
    """What somebody made at a terminal; and a team that could have it."""
    live_app.manage("shell", "-v", "0", "-c", MADE_TEAM)
    made = docker_client.containers.run(
        busybox, ["sleep", "1000"], name="stray", detach=True, network_mode="none", init=True,
        volumes={"stray-data": {"bind": "/data", "mode": "rw"}},
    )  # fmt: skip
    yield
    made.remove(force=True)
    docker_client.volumes.get("stray-data").remove()
    live_app.manage("shell", "-v", "0", "-c", FORGET)


MADE_TEAM = """
from accounts.models import Team
Team.objects.create(slug="web-shop", name="Web shop")
"""


def test_what_nobody_owns_goes_to_a_team_and_on_to_another(
    stray: None, live_app: LiveApp, visit: Callable[..., Visitor], signed_in: Any
) -> None:
    token = live_app.token("admin", "admin")

    def there() -> Any:
        found = live_app.api(token, "GET", "/api/v1/volumes/?team=none&q=stray-data")[1]["results"]
        rows = live_app.api(token, "GET", "/api/v1/containers/?team=none&q=stray")[1]["results"]
        return rows[0]["id"] if found and rows else ""

    wait_for(there, 20, "the stray did not appear")
    pk, admin = there(), visit(live_app, storage_state=signed_in)
    page, dialog = admin.go("/teams/unowned/"), admin.page.locator("dialog[open]")
    page.get_by_label("stray", exact=True).check()
    page.locator(".t-give select").select_option("web-shop")
    pictures(admin, "teams-unowned")
    page.get_by_role("button", name="Give to the team").click()
    page.get_by_role("heading", name="belong to Web shop now").wait_for()
    pictures(admin, "teams-given")
    admin.go("/teams/").get_by_role("link", name="Web shop").click()
    page.get_by_role("link", name="Delete…").click()
    dialog.get_by_text("Containers: 1").wait_for()
    pictures(admin, "teams-delete")
    dialog.get_by_role("link", name="Cancel").click()
    admin.go(f"/containers/{pk}/")
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("link", name="Move to another team…").click()
    dialog.get_by_label("volume stray-data").wait_for()
    dialog.get_by_label("Team").select_option("default")
    pictures(admin, "teams-move")
    dialog.get_by_role("button", name="Move").click()
    page.get_by_text("stray belongs to Default now").wait_for()
    owner = live_app.api(token, "GET", f"/api/v1/containers/{pk}/")[1]["team"]
    assert owner == "default"
    admin.go("/teams/").get_by_role("link", name="Web shop").click()
    page.get_by_role("link", name="Delete…").click()
    dialog.get_by_role("button", name="Delete the team").click()
    page.get_by_text("Web shop is deleted").wait_for()


def test_a_group_of_single_sign_on_gives_a_role(
    two_people: None, live_app: LiveApp, visit: Callable[..., Visitor], signed_in: Any
) -> None:
    admin = visit(live_app, storage_state=signed_in)
    live_app.manage(
        "shell",
        "-v",
        "0",
        "-c",
        "from accounts.models import Team; Team(slug='web-shop', name='Web shop').save()",
    )
    page, dialog = admin.go("/teams/group-mappings/"), admin.page.locator("dialog[open]")
    page.get_by_role("heading", name="No group gives anything yet").wait_for()
    pictures(admin, "groups-none")
    page.get_by_role("link", name="New mapping").click()
    dialog.get_by_label("Group", exact=True).fill("shipyard/crew")
    dialog.get_by_label("Gives").select_option("operator")
    dialog.get_by_label("In the team").select_option(label="Web shop")
    dialog.get_by_label("May open consoles").check()
    pictures(admin, "groups-new")
    dialog.get_by_role("button", name="Create").click()
    row = page.get_by_role("row", name="shipyard/crew")
    row.get_by_text("Operator, consoles").wait_for()
    live_app.manage("shell", "-v", "0", "-c", JOIN)
    admin.go("/teams/group-mappings/")
    row.get_by_text("Omar").wait_for()
    pictures(admin, "groups")
    row.get_by_role("link", name="Delete shipyard/crew").click()
    dialog.get_by_text("These are no longer in Web shop").wait_for()
    pictures(admin, "groups-remove")
    dialog.get_by_role("link", name="Cancel").click()
    row.get_by_role("link", name="Web shop").click()
    page.get_by_text("by group shipyard/crew").wait_for()
    pictures(admin, "groups-team")
