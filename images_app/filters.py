"""What images, tags and builds can be filtered by."""

from __future__ import annotations

import django_filters as filters
from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.filters import FlagFilter, OwnerFilter
from images_app.models import Build, Image, Tag
from operations.filters import WordsFilter
from operations.models import Operation


class ImageFilter(filters.FilterSet):
    """The filters of ``/images/``."""

    engine = filters.UUIDFilter(field_name="engine_id")
    team = OwnerFilter()
    dangling = FlagFilter(method="by_tags", help_text="`true`: those that no tag points at.")
    used = FlagFilter(method="by_use", help_text="Whether any container is made from it.")
    newer = FlagFilter(help_text="Whether the registry of one of its tags has another image.")
    q = filters.CharFilter(method="by_text", help_text="In a tag's name, or a beginning of the digest.")

    class Meta:
        model = Image
        fields: tuple[str, ...] = ()

    def by_tags(self, rows: QuerySet[Image], name: str, value: bool) -> QuerySet[Image]:
        tagged = Exists(Tag.objects.filter(image=OuterRef("pk")))
        return rows.filter(~tagged if value else tagged)

    def by_use(self, rows: QuerySet[Image], name: str, value: bool) -> QuerySet[Image]:
        return rows.filter(containers__isnull=not value).distinct()

    def by_text(self, rows: QuerySet[Image], name: str, value: str) -> QuerySet[Image]:
        tagged = Exists(Tag.objects.filter(image=OuterRef("pk"), name__icontains=value))
        digest = f"sha256:{value.lower().removeprefix('sha256:')}"
        return rows.filter(Q(tagged) | Q(name__icontains=value) | Q(native_id__startswith=digest))


class TagFilter(filters.FilterSet):
    """The filters of ``/tags/``."""

    engine = filters.UUIDFilter(field_name="engine_id")
    image = filters.UUIDFilter(field_name="image_id")
    name = filters.CharFilter(help_text="The whole name.")
    repository = filters.CharFilter()
    newer = FlagFilter(help_text="Whether its registry has another image under it.")
    q = filters.CharFilter(field_name="name", lookup_expr="icontains")

    class Meta:
        model = Tag
        fields: tuple[str, ...] = ()


class BuildFilter(filters.FilterSet):
    """The filters of ``/builds/``."""

    engine = filters.UUIDFilter(field_name="engine_id")
    team = filters.CharFilter(field_name="team__slug", help_text="A team's slug.")
    image = filters.UUIDFilter(field_name="image_id")
    state = WordsFilter("operation__state", words=tuple(Operation.State.values))
    since = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")

    class Meta:
        model = Build
        fields: tuple[str, ...] = ()
