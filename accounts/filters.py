"""What people, teams and the audit trail can be filtered by."""

from __future__ import annotations

import django_filters as filters
from django.db.models import Q, QuerySet

from accounts.models import AuditEntry, Team, User


class TeamFilter(filters.FilterSet):
    """The filters of ``/teams/``."""

    q = filters.CharFilter(field_name="name", lookup_expr="icontains")

    class Meta:
        model = Team
        fields: tuple[str, ...] = ()


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


class AuditFilter(filters.FilterSet):
    """The filters of ``/audit/``, and of the page."""

    verb = filters.CharFilter()
    outcome = filters.CharFilter()
    actor = filters.CharFilter(field_name="actor_name", help_text="A user name.")
    team = filters.CharFilter(field_name="team__slug", help_text="A team's slug.")
    target = filters.CharFilter(field_name="target_id", help_text="The id of an object of ours.")
    since = filters.IsoDateTimeFilter(field_name="at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter(field_name="at", lookup_expr="lt")
    q = filters.CharFilter(method="by_text")

    class Meta:
        model = AuditEntry
        fields: tuple[str, ...] = ()

    def by_text(self, rows: QuerySet[AuditEntry], name: str, value: str) -> QuerySet[AuditEntry]:
        found = Q()
        for field in ("verb", "actor_name", "target_name"):
            found |= Q(**{f"{field}__icontains": value})
        return rows.filter(found)
