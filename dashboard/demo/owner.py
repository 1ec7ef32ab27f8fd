"""Gives the demo to a team, so that others than site administrators see it too."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

from django.db import DatabaseError
from django.db.models import QuerySet

from accounts.models import Team
from containers_app.models import Container, Volume
from dashboard.demo import content
from images_app.models import Image
from streams import bell

PATIENCE = 15.0
"""Seconds that a running gateway gets to write the rows."""


def give_to_a_team(endpoint: str) -> str:
    """The name of the team that owns it from now on; empty where no Slipway looks after this engine yet."""
    try:
        team = Team.objects.order_by("created_at").first()
        if team is None or not _wait_for_rows(endpoint):
            return ""
        for rows in _rows(endpoint):
            rows.filter(team=None).update(team=team)
    except DatabaseError:  # it has not been started here even once
        return ""
    bell.ring("containers", "images", "volumes")
    return team.name


def _rows(endpoint: str) -> tuple[QuerySet[Any], ...]:
    names: Collection[str] = [container.name for container in content.CONTAINERS]
    return (
        Container.objects.filter(engine__endpoint=endpoint, name__in=names, labels__has_key=content.MARK),
        Volume.objects.filter(
            engine__endpoint=endpoint, native_id__in=content.VOLUMES, labels__has_key=content.MARK
        ),
        Image.objects.filter(engine__endpoint=endpoint, name__startswith="demo/"),
    )


def _wait_for_rows(endpoint: str) -> bool:
    wanted = (len(content.CONTAINERS), len(content.VOLUMES), len(content.IMAGES))
    ends = time.monotonic() + PATIENCE
    while any(rows.count() < most for rows, most in zip(_rows(endpoint), wanted, strict=True)):
        if time.monotonic() > ends:
            return False
        time.sleep(0.2)
    return True
