"""A build as it comes in: JSON, or a form with files, brought into one shape."""

from __future__ import annotations

import json
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.http import QueryDict
from django.utils.translation import gettext
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from images_app.api.rows import BuildWish

DOCKERFILE_MOST = 256 * 1024
_JSON = ("build_args", "labels", "secrets", "then")
_FLAGS = ("no_cache", "pull")
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")


def build_wish(request: Request) -> tuple[dict[str, Any], UploadedFile | None]:
    """The fields of a build, and its context where one was uploaded. Raises `ValidationError`."""
    data: Any = request.data
    context: UploadedFile | None = None
    if isinstance(data, QueryDict):
        data, context = _from_form(data)
    if isinstance(data, dict) and isinstance(data.get("git"), str):
        data = {**data, "git": {"url": data["git"]}}
    parsed = BuildWish(data=data)
    parsed.is_valid(raise_exception=True)
    wish = dict(parsed.validated_data)
    git = wish.pop("git", None)
    if git and context is not None:
        raise ValidationError({"git": [gettext("A repository or a context is expected, not both.")]})
    if not wish.get("dockerfile") and context is None and not git:
        raise ValidationError(
            {"dockerfile": [gettext("A Dockerfile, or a context that holds one, is expected.")]}
        )
    if git:
        wish["git_source"] = git
    return wish, context


def _from_form(form: QueryDict) -> tuple[dict[str, Any], UploadedFile | None]:
    """Form fields are text: lists may be repeated or separated by commas, objects are JSON."""
    found: dict[str, Any] = {}
    context: UploadedFile | None = None
    for name in form:
        value: Any = form.get(name)
        if name == "context":
            if not isinstance(value, UploadedFile):
                raise ValidationError(
                    {"context": [gettext("A file is expected: a tar, plain or compressed, or a zip.")]}
                )
            context = value
        elif name == "dockerfile" and isinstance(value, UploadedFile):
            found[name] = _text(value)
        elif isinstance(value, UploadedFile):
            raise ValidationError({name[:64]: [gettext("A file was not expected here.")]})
        elif name == "tags":
            found[name] = _tags([str(text) for text in form.getlist(name)])
        elif name in _JSON or (name == "git" and str(value).lstrip().startswith("{")):
            found[name] = _json(name, value)
        elif name in _FLAGS:
            found[name] = _flag(name, value)
        else:
            found[name] = value
    return found, context


def _text(file: UploadedFile) -> str:
    raw = file.read(DOCKERFILE_MOST + 1)
    if len(raw) > DOCKERFILE_MOST:
        raise ValidationError({"dockerfile": [gettext("A Dockerfile has 256 KiB at most.")]})
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise ValidationError({"dockerfile": [gettext("A Dockerfile is UTF-8 text.")]}) from None


def _tags(texts: list[str]) -> list[str]:
    if len(texts) == 1 and texts[0].lstrip().startswith("["):
        return _json("tags", texts[0])
    return [tag.strip() for text in texts for tag in text.split(",") if tag.strip()]


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text or "null") or {}
    except (ValueError, RecursionError):
        raise ValidationError({name: [gettext("JSON is expected here.")]}) from None


def _flag(name: str, text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValidationError({name: [gettext("true or false is expected.")]})
