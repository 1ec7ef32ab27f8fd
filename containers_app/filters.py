"""What containers, volumes and networks can be filtered by, on pages as in REST."""

from __future__ import annotations

from functools import reduce
from operator import or_

import django_filters as filters
from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.fields.json import KeyTransform
from django.utils.translation import gettext as _

from accounts.filters import FlagFilter, OwnerFilter, Since, Until
from containers_app.events import TYPES
from containers_app.models import Container, EngineEvent, Mount, Network, PrunePolicy, Volume, VolumeBackup
from containers_app.queries import needs_attention
from operations.filters import WordsFilter

LABELS_MOST = 10


class LabelsField(forms.Field):
    """``key`` or ``key=value``, given as often as wanted."""

    widget = forms.SelectMultiple

    def clean(self, value: object) -> list[tuple[str, str | None]]:
        texts = [str(text) for text in value] if isinstance(value, list | tuple) else []
        found: list[tuple[str, str | None]] = []
        for text in texts:
            key, equals, wanted = text.partition("=")
            if not key or len(text) > 500 or '"' in key or not key.isprintable():
                raise ValidationError(_("A label is written key or key=value."))
            found.append((key, wanted if equals else None))
        if len(found) > LABELS_MOST:
            raise ValidationError(
                _("At most %(most)s labels can be asked for at once.") % {"most": LABELS_MOST}
            )
        return found


class LabelsFilter(filters.Filter):
    """Rows that carry all of these labels."""

    field_class = LabelsField

    def __init__(self, field_name: str = "labels") -> None:
        super().__init__(
            field_name, help_text="`key` or `key=value`; may be given again, then all must be there."
        )

    def filter(self, qs: QuerySet, value: list[tuple[str, str | None]]) -> QuerySet:
        for key, wanted in value or ():
            qs = qs.filter(**{f"{self.field_name}__has_key": key})
            if wanted is not None:
                # Not as ``labels__<key>``: a key may hold two underscores, or the name of a lookup.
                qs = qs.alias(label=KeyTransform(key, self.field_name)).filter(label=wanted)
        return qs


class ContainerFilter(filters.FilterSet):
    """The filters of ``/containers/``."""

    engine = filters.UUIDFilter(field_name="engine_id")
    state = WordsFilter(words=tuple(Container.State.values))
    health = WordsFilter(words=tuple(Container.Health.values))
    image = filters.CharFilter(
        method="by_image", help_text="An image's id, or the reference it was asked by."
    )
    team = OwnerFilter()
    name = filters.CharFilter(help_text="The whole name.")
    label = LabelsFilter()
    stack = filters.CharFilter(help_text="The compose project's name.")
    drift = WordsFilter(words=("image", "settings"), method="by_drift")
    attention = FlagFilter(
        method="by_attention", help_text="`1`: those that a person should look at, and nobody has since."
    )
    q = filters.CharFilter(
        method="by_text", help_text="In the name, the image or the stack; or a beginning of the id."
    )

    class Meta:
        model = Container
        fields: tuple[str, ...] = ()

    def by_image(self, rows: QuerySet[Container], name: str, value: str) -> QuerySet[Container]:
        try:
            return rows.filter(image_id=forms.UUIDField().clean(value))
        except ValidationError:
            return rows.filter(
                Q(image_ref=value) | Q(image_native_id=value) | Q(image__tags__name=value)
            ).distinct()

    def by_drift(self, rows: QuerySet[Container], name: str, value: list[str]) -> QuerySet[Container]:
        image, other = ~Q(drift_image="") | ~Q(drift_remote=""), ~Q(drift=[])
        wanted = {"image": image, "settings": other}
        found = [wanted[word] for word in value]
        return rows.filter(reduce(or_, found)) if found else rows

    def by_attention(self, rows: QuerySet[Container], name: str, value: bool) -> QuerySet[Container]:
        return rows.filter(needs_attention()) if value else rows.exclude(needs_attention())

    def by_text(self, rows: QuerySet[Container], name: str, value: str) -> QuerySet[Container]:
        found = Q(name__icontains=value) | Q(image_ref__icontains=value) | Q(stack__icontains=value)
        return rows.filter(found | Q(native_id__startswith=value.lower()))


class BackupFilter(filters.FilterSet):
    """The filters of ``/backups/``."""

    engine = filters.UUIDFilter(field_name="engine_id")
    team = OwnerFilter()
    volume = filters.CharFilter(field_name="volume_name", help_text="The whole name.")
    store = filters.UUIDFilter(field_name="store_id")
    scheduled = FlagFilter()
    q = filters.CharFilter(field_name="volume_name", lookup_expr="icontains")

    class Meta:
        model = VolumeBackup
        fields: tuple[str, ...] = ()


class VolumeFilter(filters.FilterSet):
    """The filters of ``/volumes/``."""

    engine = filters.UUIDFilter(field_name="engine_id")
    team = OwnerFilter()
    name = filters.CharFilter(field_name="native_id", help_text="The whole name.")
    label = LabelsFilter()
    driver = filters.CharFilter()
    anonymous = FlagFilter()
    used = FlagFilter(method="by_use", help_text="Whether any container mounts it.")
    q = filters.CharFilter(field_name="native_id", lookup_expr="icontains")

    class Meta:
        model = Volume
        fields: tuple[str, ...] = ()

    def by_use(self, rows: QuerySet[Volume], name: str, value: bool) -> QuerySet[Volume]:
        used = Exists(Mount.objects.filter(volume=OuterRef("pk"), container__trashed_at=None))
        return rows.filter(used if value else ~used)


class NetworkFilter(filters.FilterSet):
    """The filters of ``/networks/``."""

    engine = filters.UUIDFilter(field_name="engine_id")
    team = OwnerFilter()
    name = filters.CharFilter(help_text="The whole name.")
    label = LabelsFilter()
    driver = filters.CharFilter()
    q = filters.CharFilter(field_name="name", lookup_expr="icontains")

    class Meta:
        model = Network
        fields: tuple[str, ...] = ()


class PrunePolicyFilter(filters.FilterSet):
    """The filters of ``/prune/policies/``."""

    engine = filters.UUIDFilter(field_name="engine_id")
    enabled = FlagFilter()

    class Meta:
        model = PrunePolicy
        fields: tuple[str, ...] = ()


class EventFilter(filters.FilterSet):
    """The filters of ``/events/``, and of the page."""

    engine = filters.UUIDFilter(field_name="engine_id")
    type = WordsFilter(words=tuple(TYPES))
    action = filters.CharFilter(help_text="In the engine's words: `start`, `die`, `health_status`, …")
    origin = WordsFilter(words=tuple(filter(None, EngineEvent.Origin.values)))
    container = filters.UUIDFilter(field_name="container_id")
    object = filters.UUIDFilter(field_name="object_id", help_text="An image, a volume or a network.")
    operation = filters.UUIDFilter(field_name="operation_id")
    since = Since(field_name="at", lookup_expr="gte", help_text="From this time or day (UTC) on.")
    until = Until(
        field_name="at", lookup_expr="lt", help_text="Before this time, or to the end of this day (UTC)."
    )
    q = filters.CharFilter(field_name="name", lookup_expr="icontains", help_text="In the name of then.")

    class Meta:
        model = EngineEvent
        fields: tuple[str, ...] = ()
