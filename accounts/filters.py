"""What people, teams and the audit trail can be filtered by."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import django_filters as filters
from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django_filters.fields import IsoDateTimeField
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field

from accounts.models import AuditEntry, Team, User

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


class FlagField(forms.CharField):
    """Yes or no: ``1``, ``true``, ``0`` or ``false``. Anything else is refused, since it would filter nothing."""

    def clean(self, value: object) -> bool | None:
        word = super().clean(value).lower()
        if word not in ("", "1", "true", "0", "false"):
            raise ValidationError(_("1, true, 0 or false is expected."))
        return word in ("1", "true") if word else None


@extend_schema_field(OpenApiTypes.BOOL)
class FlagFilter(filters.Filter):
    """Rows for which something is so, or is not."""

    field_class = FlagField


class TeamFilter(filters.FilterSet):
    """The filters of ``/teams/``."""

    q = filters.CharFilter(field_name="name", lookup_expr="icontains")

    class Meta:
        model = Team
        fields: tuple[str, ...] = ()


class OwnerFilter(filters.CharFilter):
    """The owning team by slug; ``none`` for what nobody owns."""

    def __init__(self) -> None:
        super().__init__("team__slug", help_text="A team's slug, or `none` for what nobody owns.")

    def filter(self, qs: QuerySet[Any], value: str) -> QuerySet[Any]:
        """Of what the reader may see."""
        return qs.filter(team=None) if value == "none" else super().filter(qs, value)


class UserFilter(filters.FilterSet):
    """The filters of ``/users/``."""

    q = filters.CharFilter(method="by_text")
    team = filters.CharFilter(field_name="memberships__team__slug", help_text="A team's slug.")

    class Meta:
        model = User
        fields: tuple[str, ...] = ()

    def by_text(self, rows: QuerySet[User], name: str, value: str) -> QuerySet[User]:
        found = Q()
        for field in ("username", "first_name", "last_name", "email"):
            found |= Q(**{f"{field}__icontains": value})
        return rows.filter(found)


class MomentField(IsoDateTimeField):
    """A time, or the beginning of a day by the reader's clock; within what databases can compare with.

    REST has no reader: its clock is UTC. A midnight that a clock skips is the first moment of that day, and of two
    midnights the first one is.
    """

    whole_day = timedelta(0)

    def to_python(self, value: Any) -> datetime | None:
        text = str(value).strip()
        try:
            if _DAY.fullmatch(text):
                midnight = datetime.fromisoformat(text) + self.whole_day
                return midnight.replace(tzinfo=timezone.get_current_timezone()).astimezone(UTC)
            found = super().to_python(value)
            return found.astimezone(UTC) if found else None
        except (ValueError, OverflowError):
            raise ValidationError(self.error_messages["invalid"], code="invalid") from None


class EndField(MomentField):
    """A time, or the end of a day."""

    whole_day = timedelta(days=1)


def complaints(found: filters.FilterSet) -> list[str]:
    """What is wrong with what a page was asked for, in sentences."""
    names = {"since": _("From"), "until": _("Until")}
    return [f"{names.get(name, name.capitalize())}: {' '.join(said)}" for name, said in found.errors.items()]


class Since(filters.IsoDateTimeFilter):
    """From then on."""

    field_class = MomentField


class Until(filters.IsoDateTimeFilter):
    """Before then."""

    field_class = EndField


class AuditFilter(filters.FilterSet):
    """The filters of ``/audit/``, and of the page."""

    verb = filters.CharFilter(
        method="by_verb", help_text="`container.stop`, or `container.*` for all of them."
    )
    outcome = filters.CharFilter()
    actor = filters.CharFilter(field_name="actor_name", help_text="A user name.")
    team = filters.CharFilter(method="by_team", help_text="A team's slug, of today or of then.")
    target = filters.CharFilter(method="by_target", help_text="The id of an object of ours, or its name.")
    source = filters.CharFilter(help_text="ui, api, admin or system.")
    since = Since(field_name="at", lookup_expr="gte", help_text="From this time or day (UTC) on.")
    until = Until(
        field_name="at", lookup_expr="lt", help_text="Before this time, or to the end of this day (UTC)."
    )
    q = filters.CharFilter(method="by_text")

    class Meta:
        model = AuditEntry
        fields: tuple[str, ...] = ()

    def by_verb(self, rows: QuerySet[AuditEntry], name: str, value: str) -> QuerySet[AuditEntry]:
        if value.endswith(".*"):
            return rows.filter(verb__startswith=value[:-1])
        return rows.filter(verb=value)

    def by_team(self, rows: QuerySet[AuditEntry], name: str, value: str) -> QuerySet[AuditEntry]:
        return rows.filter(Q(team_slug=value) | Q(team__slug=value))

    def by_target(self, rows: QuerySet[AuditEntry], name: str, value: str) -> QuerySet[AuditEntry]:
        return rows.filter(Q(target_id=value) | Q(target_name=value))

    def by_text(self, rows: QuerySet[AuditEntry], name: str, value: str) -> QuerySet[AuditEntry]:
        found = Q()
        for field in ("verb", "actor_name", "target_name"):
            found |= Q(**{f"{field}__icontains": value})
        return rows.filter(found)
