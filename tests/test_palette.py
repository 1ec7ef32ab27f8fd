"""What the command palette finds, and what it lets one do."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils.html import escape

from accounts.models import Membership, Role, Team, User
from images_app.models import Registry
from operations.models import Engine
from tests.rows import make_build, make_container, make_image, make_network, make_operation, make_volume

pytestmark = pytest.mark.django_db


@pytest.fixture
def engine(db: None) -> Engine:
    """An engine that nobody asks."""
    return Engine.objects.create(
        name="quiet", endpoint="unix:///nowhere/docker.sock", status=Engine.Status.ONLINE
    )


@pytest.fixture
def shop(engine: Engine, team: Team) -> Any:
    """One of everything, of one team."""
    web = make_container(engine, team, "shop-web")
    make_image(engine, team, "shop/app:1")
    make_volume(engine, team, "shop-data")
    make_network(engine, team, "shop-net")
    make_operation(engine, team, target_name="shop-web")
    return web


@pytest.fixture
def ask(client: Client) -> Callable[..., str]:
    """``ask(user, text)``: what the palette shows."""

    def make(user: User, text: str) -> str:
        client.force_login(user)
        return str(client.get("/search/", {"q": text}).content.decode())

    return make


def test_everything_is_found_by_its_name(ask: Callable[..., str], vic: User, shop: Any) -> None:
    found = ask(vic, "SHOP")
    for group in ("Containers", "Images", "Volumes", "Networks", "Operations"):
        assert f'aria-label="{group}"' in found
    assert f'href="/containers/{shop.pk}/"' in found


def test_what_is_few_is_found_too(
    ask: Callable[..., str], vic: User, charlie: User, shop: Any, team: Team
) -> None:
    make_build(shop.engine, team)
    Registry.objects.create(name="shop-registry", host="registry.test", owner=team)
    for group, word in (
        ("Builds", "app:1"), ("Registries", "shop-reg"), ("Engines", "QUIET"), ("Teams", team.name),
    ):  # fmt: skip
        assert f'aria-label="{group}"' in ask(vic, word), group
    assert ask(charlie, "shop").strip() == ""
    assert 'aria-label="Teams"' not in ask(charlie, team.name)


LINK = re.compile(r'<a [^>]*?href="(/[^"?#]*)')
PARTS = (  # what leads from page to page: page → the element that holds its links
    ("/containers/", r'<header class="side".*?</header>'), ("/containers/", r'<div class="menu" id="me".*?</div>'),
    ("/containers/", r'<div class="menu sheet" id="more-sections".*?</div>\s*</div>'),
    *((path, r'<nav class="(?:views|tabs)".*?</nav>') for path in (
        "/teams/", "/guard-rails/", "/log-history/", "/prune/", "/account/", "/operations/")),
    ("/volumes/", r'<div class="bar-top">.*?</div>'), ("/volumes/backups/", r'<div class="bar-top">.*?</div>'),
)  # fmt: skip


@pytest.mark.parametrize("who", ["vic", "bob", "tara", "alice"])
def test_it_has_every_page_that_the_navigation_reaches(
    client: Client, request: pytest.FixtureRequest, who: str, shop: Any
) -> None:
    client.force_login(request.getfixturevalue(who))
    page = client.get("/containers/").content.decode()
    known = set(LINK.findall(page.partition('id="palette"')[2].partition("</dialog>")[0]))
    missing: set[str] = set()
    for path, part in PARTS:
        answer = client.get(path)
        if answer.status_code == 200:
            found = re.search(part, answer.content.decode(), re.DOTALL)
            missing |= {url for url in LINK.findall(found[0] if found else "") if url not in known}
    # The mark leads home; a stack and an engine are found by name.
    assert {url for url in missing if not re.fullmatch(r"/|/(?:stacks|engines)/.+", url)} == set()
    refused = {url: status for url in known if (status := client.get(url).status_code) != 200}
    assert refused == {}


def test_each_word_has_to_be_there(ask: Callable[..., str], vic: User, shop: Any) -> None:
    assert "shop-web" in ask(vic, "web sho")
    assert "shop-web" not in ask(vic, "web nothing")


def test_what_others_own_is_not_found(ask: Callable[..., str], charlie: User, shop: Any) -> None:
    assert ask(charlie, "shop").strip() == ""
    assert ask(charlie, "restart shop").strip() == ""


def test_a_verb_offers_what_one_may_do(
    ask: Callable[..., str], vic: User, bob: User, team: Team, shop: Any
) -> None:
    Membership.objects.update_or_create(user=bob, team=team, defaults={"role": Role.OPERATOR})
    restart = f'data-do="/containers/{shop.pk}/do/restart/"'
    assert restart in ask(bob, "restart web")
    assert restart in ask(bob, "REST web"), "a beginning is enough"
    assert restart not in ask(vic, "restart web"), "a viewer may not"
    assert f'href="/containers/{shop.pk}/logs/"' in ask(vic, "logs web")
    removal = f'data-dialog-from="/containers/{shop.pk}/remove/"'
    assert removal in ask(bob, "remove web"), "what is lost is asked about before"
    assert f"/containers/{shop.pk}/do/start/" not in ask(bob, "start web"), "it runs already"


def test_a_hostile_name_stays_text(ask: Callable[..., str], vic: User, engine: Engine, team: Team) -> None:
    """S-60."""
    name = '"><script>alert(1)</script>'
    make_container(engine, team, "plain", stack=name)
    found = ask(vic, "script")
    assert "<script>" not in found
    assert escape(name) in found
