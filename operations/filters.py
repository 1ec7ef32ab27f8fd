"""What operations and engines can be filtered by."""

from __future__ import annotations

from typing import Any

import django_filters as filters
from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet

from operations.models import Delivery, Engine, Operation, TrashItem


class WordsField(forms.CharField):
    """Some of a few words, separated by commas: ``queued,running``."""

    def __init__(self, *, words: tuple[str, ...], **options: Any) -> None:
        self.words = words
        super().__init__(**options)

    def clean(self, value: Any) -> list[str]:
        text = super().clean(value)
        found = [word for word in text.split(",") if word]
        if unknown := [word for word in found if word not in self.words]:
            # As a parameter: django-filter formats the message once more, and a % in the word would break it.
            known = ", ".join(self.words)
            raise ValidationError(
                "%(word)r is none of %(known)s.", params={"word": unknown[0][:40], "known": known}
            )
        return found


class WordsFilter(filters.Filter):
    """Rows whose column is one of the words."""

    field_class = WordsField

    def __init__(self, field_name: str | None = None, *, words: tuple[str, ...], **options: Any) -> None:
        super().__init__(field_name, words=words, **options)
        self.extra["help_text"] = f"One or more, separated by commas, of {', '.join(words)}."

    def filter(self, qs: QuerySet[Model], value: list[str]) -> QuerySet[Model]:
        return qs.filter(**{f"{self.field_name}__in": value}) if value else qs


class OperationFilter(filters.FilterSet):
    """The filters of ``/operations/``. ``target`` is the id of a container, an image or another object of ours."""

    state = WordsFilter(words=tuple(Operation.State.values))
    kind = filters.CharFilter()
    actor = filters.CharFilter(field_name="actor_name", help_text="A user name.")
    target = filters.UUIDFilter(method="by_target")
    engine = filters.UUIDFilter(field_name="engine_id")
    team = filters.CharFilter(field_name="team__slug", help_text="A team's slug.")
    batch = filters.UUIDFilter(help_text="What was asked for together, as for a stack.")
    since = filters.IsoDateTimeFilter(
        field_name="created_at", lookup_expr="gte", help_text="Asked for at or after."
    )
    q = filters.CharFilter(field_name="target_name", lookup_expr="icontains")

    class Meta:
        model = Operation
        fields: tuple[str, ...] = ()

    def by_target(self, rows: QuerySet[Operation], name: str, value: Any) -> QuerySet[Operation]:
        return rows.filter(target_id=str(value))


class EngineFilter(filters.FilterSet):
    """The filters of ``/engines/``."""

    status = WordsFilter(words=tuple(Engine.Status.values))
    name = filters.CharFilter()
    q = filters.CharFilter(field_name="name", lookup_expr="icontains")

    class Meta:
        model = Engine
        fields: tuple[str, ...] = ()


class TrashFilter(filters.FilterSet):
    """The filters of ``/trash/``."""

    kind = filters.CharFilter(help_text="container, volume, network or image.")
    engine = filters.UUIDFilter(field_name="engine_id")
    team = filters.CharFilter(field_name="team__slug", help_text="A team's slug.")
    q = filters.CharFilter(field_name="name", lookup_expr="icontains")

    class Meta:
        model = TrashItem
        fields: tuple[str, ...] = ()


class DeliveryFilter(filters.FilterSet):
    """The filters of ``/webhooks/{id}/deliveries/``."""

    state = WordsFilter(words=tuple(Delivery.State.values))
    event = filters.CharFilter()

    class Meta:
        model = Delivery
        fields: tuple[str, ...] = ()
