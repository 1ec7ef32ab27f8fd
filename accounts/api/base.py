"""What every REST view has: the actor, a closed world of parameters and fields, and rows that the actor may see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db.models import Model, QuerySet
from django.http import Http404
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.exceptions import APIException, ErrorDetail, ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import Actor, Denied, actor_of, require
from accounts.api import versions
from accounts.api.links import absolute
from accounts.authentication import permission_of, was_denied

SAFE = ("GET", "HEAD", "OPTIONS")
PAGING = frozenset({"limit", "cursor", "ordering"})
NO = ("", "0", "false", "no")
YES = ("1", "true", "yes")


class Problem(APIException):
    """A refusal with a status and a stable code of its own."""

    def __init__(
        self, status: int, code: str, detail: str, errors: Mapping[str, list[str]] | None = None
    ) -> None:
        super().__init__(detail, code)
        self.status_code, self.code, self.errors = status, code, errors


class View(APIView):
    """A REST address. ``permission`` is a name of the permission table, or method → name; see `Declared`. By methods
    that are ``confirmed`` a session changes things only where it has shown within ten minutes who it is.

    ``takes`` are the parameters that a GET understands; any other is answered with 400, since a filter with a
    slip of the pen would else show, or change, everything.
    """

    permission: ClassVar[str | dict[str, str]]
    confirmed: ClassVar[frozenset[str]] = frozenset()
    takes: ClassVar[frozenset[str]] = frozenset()
    writes_take: ClassVar[frozenset[str]] = frozenset()
    previews: ClassVar[bool] = False
    """Whether ``?dry_run=1`` gives a plan; see `operations.api.previews`. Else it is refused, and nothing is done."""
    matches_object: ClassVar[bool] = True
    """Whether ``If-Match`` is the version of the object that the address leads to or lies below."""
    http_method_names = ["get", "post", "delete", "head"]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method not in SAFE and flag(request, "dry_run") and not self.previews:
            raise Problem(400, "not_supported", _("There is no plan for this; nothing was done."))
        known = self.reading() if request.method in SAFE else self.writes_take | {"dry_run"}
        unknown = sorted(set(request.query_params) - known)
        if unknown:
            raise Problem(
                400,
                "unknown_parameter",
                _("Unknown parameters."),
                {name[:64]: [_("Unknown parameter.")] for name in unknown},
            )

        zero = [
            name for name, values in request.query_params.lists() if any("\0" in value for value in values)
        ]
        if zero:
            raise ValidationError({name[:64]: [_("A zero byte was not expected here.")] for name in zero})
        if request.method not in SAFE and self.matches_object:
            self._must_match(request)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        found = super().finalize_response(request, response, *args, **kwargs)
        for name, value in getattr(request._request, "slipway_rate", {}).items():
            found[name] = value
        return found

    def _must_match(self, request: Request) -> None:
        try:
            stale = versions.is_stale(request)
        except versions.NoObject:
            raise Problem(
                400, "not_supported", _("Nothing has a version here: leave If-Match out.")
            ) from None
        if stale:
            raise Problem(412, "precondition_failed", _("It has changed since: read it again."))

    def reading(self) -> frozenset[str]:
        """The parameters of a GET."""
        return self.takes

    @property
    def actor(self) -> Actor:
        """Who asks."""
        return actor_of(self.request)

    def object(self, queryset: QuerySet[Any], pk: object, permission: str = "") -> Any:
        """One row of those that the actor may see, else 404; with a permission, checked on this very row."""
        found = queryset.filter(pk=pk).first()
        if found is None:
            if self.request.method not in SAFE and queryset.model._default_manager.filter(pk=pk).exists():
                was_denied(self.request, permission_of(self, self.request.method or "") or "", pk)
            raise Http404(_("No such object."))
        if permission:
            try:
                require(self.actor, permission, found)
            except Denied as error:
                error.target = pk
                raise
        return found


class Listing(View, GenericAPIView):
    """A list of rows by keyset: ``ordering_fields`` is public name → column, ``ordering`` the usual order."""

    ordering_fields: ClassVar[dict[str, str]] = {"created_at": "created_at"}
    ordering: ClassVar[tuple[str, ...]] = ("-created_at",)

    def reading(self) -> frozenset[str]:
        filters = getattr(self, "filterset_class", None)
        return self.takes | PAGING | frozenset(filters.base_filters if filters else ())

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        rows = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(self.get_serializer(rows, many=True).data)


class Body(serializers.Serializer):
    """A closed world: what is not a field is an error, whatever it was meant to be."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, Mapping):
            raise ValidationError({"": [_("A JSON object is expected.")]})
        unknown = [key for key in data if key not in self.fields]
        if unknown:
            wrong = {
                str(key)[:64]: [ErrorDetail(_("Unknown field."), code="unknown_field")] for key in unknown
            }
            raise ValidationError(wrong)
        return super().to_internal_value(data)


class Nothing(Body):
    """An empty body, or ``{}``."""


class Integer(serializers.IntegerField):
    """A JSON number without a fraction; ``"10"`` and ``true`` are none."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return super().to_internal_value(data)


class Boolean(serializers.BooleanField):
    """JSON's ``true`` and ``false`` and nothing like them."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class Text(serializers.CharField):
    """A JSON string, never a number that looks like one."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        # As the document says it: of what was sent, not of what is left when blanks at its ends are cut off.
        if self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        return super().to_internal_value(data)


class Row(serializers.ModelSerializer):
    """A row as REST shows it. ``url`` is its own full address; ``address`` names the route."""

    address: ClassVar[str] = ""
    url = serializers.SerializerMethodField()

    def get_url(self, row: Model) -> str:
        # Put together here: to reverse a route for each of 200 rows costs more than reading them.
        return absolute(self.context["request"], f"/api/v1/{self.address}/{row.pk}/")


class TeamSlug(serializers.SlugRelatedField):
    """The owning team by its slug, null for nobody's. Have it selected with the rows."""

    def __init__(self, **options: Any) -> None:
        super().__init__(slug_field="slug", read_only=True, allow_null=True, **options)


def body(request: Request, kind: type[Body]) -> dict[str, Any]:
    """The body, checked; raises `ValidationError`."""
    parsed = kind(data=request.data)
    parsed.is_valid(raise_exception=True)
    return dict(parsed.validated_data)


def flag(request: Request, name: str) -> bool:
    """Whether ``?name=1`` is there; raises `ValidationError` for what is neither yes nor no."""
    said = request.query_params.get(name, "").lower()
    if said not in YES and said not in NO:
        raise ValidationError({name: [_("1 or 0 is expected.")]})
    return said in YES


def number(request: Request, name: str, usual: int, *, least: int = 0, most: int) -> int:
    """``?name=7`` as a whole number within bounds; raises `ValidationError`."""
    said = request.query_params.getlist(name)
    if not said:
        return usual
    text = said[0] if len(said) == 1 else ""
    if text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most:
        return int(text)
    raise ValidationError(
        {name: [_("A whole number from %(least)s to %(most)s is expected.") % {"least": least, "most": most}]}
    )
