"""What the OpenAPI document says beyond what the views' own declarations tell."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

from accounts.api.base import Listing
from accounts.api.versions import Versioned

PROBLEM = {
    "type": "object",
    "description": "RFC 9457. `code` is stable; `errors` is field → messages; `request` stands in the log.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "request": {"type": "string"},
        "rule": {"type": "string", "description": "Of a refusal: the permission, or the guard rail."},
        "needed": {"type": "string", "description": "The role or the scope that has it."},
        "yours": {"type": "string"},
        "who": {"type": "array", "items": {"type": "string"}, "description": "Who can do it, or give it."},
        "errors": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
    },
}


IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match", OpenApiTypes.STR, OpenApiParameter.HEADER,
    description="An `ETag` that one has: 304 where it is still that of the object.",
)  # fmt: skip
IF_MATCH = OpenApiParameter(
    "If-Match", OpenApiTypes.STR, OpenApiParameter.HEADER,
    description="The `ETag` of the object as one has seen it: 412 where it is another one now, and nothing is done.",
)  # fmt: skip
ETAG = OpenApiParameter(
    "ETag", OpenApiTypes.STR, OpenApiParameter.HEADER, response=[200], description="The object's version."
)


class Schema(AutoSchema):
    """Lists are the views that say so, and their permission is told in words. So are the versions of objects."""

    def _is_list_view(self, serializer: Any = None) -> bool:
        if isinstance(self.view, Listing):
            return self.method == "GET"
        return bool(super()._is_list_view(serializer))

    def get_override_parameters(self) -> list[Any]:
        found = list(super().get_override_parameters())
        if self.method == "GET":
            return [*found, *([IF_NONE_MATCH, ETAG] if isinstance(self.view, Versioned) else [])]
        return [
            *found,
            *([IF_MATCH] if "{" in self.path and getattr(self.view, "matches_object", False) else []),
        ]

    def get_description(self) -> str:  # type: ignore[override] # drf-spectacular's own signature
        text = super().get_description()
        declared = getattr(self.view, "permission", "")
        needed = declared.get(self.method, "") if isinstance(declared, dict) else declared
        return f"{text}\n\nPermission: `{needed}`."


class BearerScheme(OpenApiAuthenticationExtension):
    """``Authorization: Bearer slp_….…``."""

    target_class = "accounts.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "slp_<key>.<secret>"}


class SessionScheme(OpenApiAuthenticationExtension):
    """The browser's session."""

    target_class = "accounts.authentication.BrowserSession"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        from django.conf import settings

        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}


def with_problems(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Every address may answer with a problem."""
    result["components"]["schemas"]["Problem"] = PROBLEM
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for methods in result["paths"].values():
        for operation in methods.values():
            if "ETag" in operation["responses"].get("200", {}).get("headers", ()):
                operation["responses"]["304"] = {"description": "It is as it was."}
            operation["responses"].setdefault("default", {"description": "A problem.", "content": content})
    return result
