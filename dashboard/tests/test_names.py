"""The admin in German: names of models and fields, and whole pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib.admin import site
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import translation
from django.utils.functional import Promise

from accounts.models import AuditEntry, Membership, User
from dashboard import names
from tests.rows import make_container, make_engine, make_operation

ClientFor = Callable[..., Client]


def _shown() -> Iterator[tuple[str, Any]]:
    """Names that the admin shows, with where they are."""
    ours = {app.name for app in apps.get_app_configs() if app.label in names.OURS}
    assert len(ours) == len(names.OURS)
    registered: list[type[Model]] = [
        model for model in site._registry if model._meta.label_lower.split(".")[0] in names.OURS
    ]
    assert len(registered) > 30
    for model in (*registered, Membership):
        admin = site._registry.get(model)
        meta, hidden = model._meta, set((admin and admin.exclude) or ())
        yield f"{meta.label} itself", meta.verbose_name
        yield f"{meta.label} in the plural", meta.verbose_name_plural
        for field in meta.fields:
            if field.name not in hidden:
                yield f"{meta.label}.{field.name}", field.verbose_name


def test_every_name_in_the_admin_can_be_translated() -> None:
    bare = [f"{where}: {name}" for where, name in _shown() if not isinstance(name, Promise)]
    assert not bare, "dashboard/names.py lacks\n" + "\n".join(bare)
    # Without a reader, in migrations and in what is kept, they are called as ever.
    with translation.override(None):
        assert {"created at", "audit entries", "operation"} <= {str(name) for _where, name in _shown()}


def test_no_name_is_translated_that_nothing_is_called() -> None:
    with translation.override(None):
        every = {
            str(name) for label in names.OURS for model in apps.get_app_config(label).get_models()
            for name in (
                model._meta.verbose_name, model._meta.verbose_name_plural,
                *(field.verbose_name for field in model._meta.fields),
            )
        }  # fmt: skip
    assert not names.NAMES - every


@pytest.fixture
def german(client_for: ClientFor, alice: User) -> Client:
    User.objects.filter(pk=alice.pk).update(language="de")
    return client_for(alice)


def test_lists_and_forms_speak_german_and_what_they_keep_is_english(
    german: Client, alice: User, bob: User
) -> None:
    engine = make_engine()
    make_container(engine, None)
    make_operation(engine, None, kind="container.stop", actor=alice)
    for model in site._registry:
        if model._meta.app_label not in names.OURS:
            continue
        page = german.get(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"))
        assert page.status_code == 200, model
        assert '<html lang="de"' in page.text
        heads = re.findall(r'<div class="text">(?:<a[^>]*>)?(?:<span>)?([^<]+)<', page.text)
        assert not {"Created at", "State", "Engine name", "Kind", "Actor name", "Team slug"} & set(heads), (
            model
        )
    page = german.get(reverse("admin:operations_operation_changelist")).text
    for words in ("Vorgänge", "Erstellt am", "Name des Ziels", "Die gewählten Vorgänge abbrechen"):
        assert words in page, words
    assert "Fürsorgeregeln" in german.get(reverse("admin:index")).text
    person = reverse("admin:accounts_user_change", args=[bob.pk])
    page = german.get(person)
    for words in ("Sprache und Zeit", "Mitgliedschaften", "Rolle", "Berechtigungssatz"):
        assert words in page.text, words
    asked = {
        **page.context["adminform"].form.initial, "first_name": "Bob", "memberships-TOTAL_FORMS": 0,
        "memberships-INITIAL_FORMS": 0,
    }  # fmt: skip
    answer = german.post(person, {key: value for key, value in asked.items() if value is not None})
    assert answer.status_code == 302, answer.context["errors"]
    assert AuditEntry.objects.get(verb="user.change").detail["fields"] == ["First name"]
