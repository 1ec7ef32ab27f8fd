"""The first start: one link, one winner, and then never again."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from accounts import setup
from accounts.models import AuditEntry, Membership, Role, SetUp, Team, User

PASSWORD = "correct horse battery staple"


@pytest.fixture(autouse=True)
def _nobody_yet(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.HOME = tmp_path
    monkeypatch.setattr(setup, "_done", False)


def token(base: str = "http://127.0.0.1:8000") -> str:
    """The secret of a new link."""
    link = setup.setup_link(base)
    assert link
    assert link.startswith(f"{base}/setup/?token=")
    return link.partition("=")[2]


def submit(client: Client, secret: str, **changes: str) -> Any:
    """Fills in the form."""
    form = {"token": secret, "username": "alice", "password": PASSWORD, "password_again": PASSWORD}
    return client.post("/setup/", form | changes)


@pytest.mark.parametrize("path", ["/", "/login/", "/containers/", "/account/", "/admin/"])
def test_every_page_leads_to_the_set_up(client: Client, db: None, path: str) -> None:
    assert client.get(path)["Location"] == "/setup/"


def test_the_set_up_needs_the_link(client: Client, db: None) -> None:
    """S-01."""
    assert client.get("/setup/").status_code == 403
    secret = token()
    assert client.get("/setup/?token=" + "x" * 40).status_code == 403
    assert submit(client, "x" * 40).status_code == 403
    page = client.get(f"/setup/?token={secret}")
    assert page.status_code == 200
    assert page["Referrer-Policy"] == "strict-origin"
    assert not User.objects.exists()


def test_the_secret_is_kept_as_a_hash_that_only_we_can_read(db: None, tmp_path: Path) -> None:
    secret = token()
    file = tmp_path / "setup_token"
    assert secret not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["setup_token"]


def test_a_new_link_ends_the_older_one(client: Client, db: None) -> None:
    older, newer = token(), token()
    assert client.get(f"/setup/?token={older}").status_code == 403
    assert client.get(f"/setup/?token={newer}").status_code == 200


def test_the_first_person_administers_the_site_and_a_team(client: Client, db: None, tmp_path: Path) -> None:
    answer = submit(client, token())
    assert (answer.status_code, answer["Location"]) == (302, "/")
    alice = User.objects.get()
    assert (alice.is_superuser, alice.is_staff, alice.username) == (True, True, "alice")
    assert alice.password.startswith("argon2$")
    assert Membership.objects.get().team == Team.objects.get(slug="default")
    assert Membership.objects.get().role == Role.ADMIN
    assert client.get("/account/").status_code == 200
    assert AuditEntry.objects.get(verb="auth.setup").actor == alice
    assert not (tmp_path / "setup_token").exists()


def test_afterwards_the_page_is_gone_also_when_all_users_are(client: Client, db: None) -> None:
    """S-01."""
    secret = token()
    submit(client, secret)
    for user in (True, False):
        if not user:
            User.objects.all().delete()
        setup._done = False
        assert not setup.setup_needed()
        assert setup.setup_link("http://x") is None
        for path in ("/setup/", f"/setup/?token={secret}"):
            assert Client().get(path).status_code == 404
        assert submit(Client(), secret).status_code == 404


def test_users_from_the_command_line_close_it_too(client: Client, db: None) -> None:
    User.objects.create_superuser("root", password=PASSWORD)
    assert client.get("/setup/").status_code == 404
    assert SetUp.objects.exists()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"password": "fourteen chars", "password_again": "fourteen chars"}, "password"),
        ({"password": "aaaaaaaaaaaaaaaaaaaaaaa alice", "password_again": "x"}, "password_again"),
        ({"username": ""}, "username"),
        ({"username": "a b<script>"}, "username"),
        ({"password_again": "another"}, "password_again"),
    ],
)
def test_a_form_that_is_not_valid_makes_nobody(
    client: Client, db: None, changes: dict[str, str], field: str
) -> None:
    answer = submit(client, token(), **changes)
    assert answer.status_code == 200
    assert field in answer.context["form"].errors
    assert not User.objects.exists()
    assert not SetUp.objects.exists()


def test_fifteen_characters_and_a_hundred_and_twenty_eight_are_passwords(client: Client, db: None) -> None:
    """S-03."""
    for password in ("quiet otter sun", "tall ship " * 12 + "mornings"):
        assert len(password) in (15, 128)
        form = {"username": "alice", "password": password, "password_again": password}
        from accounts.forms import SetUpForm

        assert SetUpForm(form).is_valid()


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_exactly_one_wins() -> None:
    """S-01."""
    secret, answers = token(), []
    together = threading.Barrier(2)

    def one(name: str) -> None:
        together.wait()
        answers.append(submit(Client(), secret, username=name).status_code)
        connections.close_all()

    threads = [threading.Thread(target=one, args=(name,)) for name in ("alice", "mallory")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Who comes late enough to see that it is over gets 404, or 403 for a link that is gone.
    winner, loser = sorted(answers)
    assert winner == 302
    assert loser in (403, 404, 409)
    assert User.objects.count() == 1


def test_the_slower_one_is_told_that_somebody_was_faster(client: Client, db: None) -> None:
    """Both saw the form; the row of the other lies between the look and the write."""
    SetUp.objects.create(id=1)
    with pytest.raises(setup.AlreadySetUp):
        setup.set_up(username="mallory", password=PASSWORD)
    assert not User.objects.exists()


def test_the_environment_makes_the_first_administrator_once(db: None, settings: Any) -> None:
    settings.ADMIN_USER, settings.ADMIN_PASSWORD = "root", PASSWORD
    made = setup.ensure_admin_from_env()
    assert made is not None
    assert made.check_password(PASSWORD)
    assert (made.is_superuser, AuditEntry.objects.get().source) == (True, "system")
    settings.ADMIN_PASSWORD = "another horse battery staple"
    assert setup.ensure_admin_from_env() is None
    assert User.objects.get().check_password(PASSWORD)
    assert setup.setup_link("http://x") is None


def test_the_environment_needs_both(db: None, settings: Any) -> None:
    settings.ADMIN_USER, settings.ADMIN_PASSWORD = "root", ""
    assert setup.ensure_admin_from_env() is None
    assert setup.setup_needed()
