"""Running a container: the form with what it needs to know of the engine, and the wish."""

from __future__ import annotations

import shlex
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from accounts.access import Actor, actor_of, requires
from accounts.querysets import visible_to
from containers_app import operations, present
from containers_app.models import Container, Network, Volume
from containers_app.run_form import RunForm, megabytes
from engine.docker_text import MASK
from engine.errors import PolicyDenied
from engine.specs import SpecError
from images_app.models import Tag
from operations.models import Engine
from operations.services import Refused
from operations.web import answers, submitted

MOST_NAMES = 500
_OWN_NETWORKS = ("bridge", "host", "none")


@require_http_methods(["GET", "HEAD", "POST"])
@requires("container.run")
@answers
def run(request: HttpRequest) -> HttpResponse:
    """The form (``?image=`` fills it in, ``?from=`` copies a container), and the wish; goes on at the operation."""
    actor = actor_of(request)
    form = RunForm(
        request.POST or None, actor=actor, networks=_networks(actor), initial=_initial(request, actor),
    )  # fmt: skip
    if request.method == "POST" and (answer := _submit(request, form, actor)):
        return answer
    template = "containers/run.html#dialog" if "HX-Request" in request.headers else "containers/run.html"
    return render(request, template, {"form": form, **_known(actor, form)})


def _submit(request: HttpRequest, form: RunForm, actor: Actor) -> HttpResponse | None:
    """The answer to an accepted wish; ``None`` where the form has something to say."""
    if not form.is_valid():
        return None
    engine = form.cleaned_data["engine"]
    if engine and not form.check_ports(present.holders(actor, engine.pk)):
        return None
    try:
        operation = operations.request_run(
            form.body(), actor=actor, engine=engine, team=form.cleaned_data["team"]
        )
    except SpecError as error:
        form.refuse(error.errors)
    except PolicyDenied as error:
        form.refuse({str(error.details.get("field", "")): [error.message]})
    except Refused as error:
        form.refuse({"name" if error.code == "name_in_use" else "": [error.message]})
    else:
        return submitted(request, operation, to=reverse("operations:detail", args=[operation.pk]))
    return None


def _known(actor: Actor, form: RunForm) -> dict[str, Any]:
    """What the form knows of the engine: images that are here, ports in use, volumes, what there is of it all."""
    engine = form.engines[0] if form.engines else None
    tags = visible_to(actor, Tag.objects.filter(engine=engine), "image__team").select_related("image")
    volumes = visible_to(actor, Volume.objects.filter(engine=engine, anonymous=False))
    return {
        "engine": engine,
        "images": {tag.name: tag.image.size for tag in tags.order_by("name")[:MOST_NAMES]},
        "volumes": list(volumes.values_list("native_id", flat=True)[:MOST_NAMES]),
        "holders": present.holders(actor, engine.pk) if engine else {},
    }


def _networks(actor: Actor) -> list[str]:
    known = visible_to(actor, Network.objects.exclude(name="bridge")).values_list("name", flat=True)
    return list(dict.fromkeys(known[:MOST_NAMES]))


def _initial(request: HttpRequest, actor: Actor) -> dict[str, Any]:
    """What the form begins with."""
    found: dict[str, Any] = {"image": request.GET.get("image", "")[:512], "engine": Engine.objects.first()}
    source = request.GET.get("from", "")
    if len(source) == 36 and not set(source) - set("0123456789abcdef-"):
        row = present.one(actor).filter(pk=source).first()
        found |= _copy(row) if row else {}
    return found


def _copy(row: Container) -> dict[str, Any]:
    """A container as the form would ask for it. What is masked here has to be typed anew."""
    image = (row.image.config or {}) if row.image else {}
    networks = [network.get("name") for network in row.networks]
    return {
        "image": row.image_ref,
        "command": "" if image.get("Cmd") == row.command else shlex.join(row.command),
        "entrypoint": "" if image.get("Entrypoint") == row.entrypoint else shlex.join(row.entrypoint),
        "restart": row.restart_policy or "no",
        "retries": row.restart_max_retries or None,
        "network": next((name for name in networks if name not in _OWN_NETWORKS), ""),
        "cpus": row.cpu_limit or None,
        "memory": megabytes(row.memory_limit),
        "pids": row.pids_limit if row.pids_limit > 0 else None,
        "user": "" if image.get("User", "") == row.user else row.user,
        "working_dir": "" if image.get("WorkingDir", "") == row.working_dir else row.working_dir,
        "tty": row.tty,
        "auto_remove": row.auto_remove,
        "privileged": row.privileged,
        "ports": [
            {"host": "", "container": port["container"], "protocol": port.get("protocol", "tcp")}
            for port in row.ports
            if port.get("host") and ":" not in port.get("host_ip", "")
        ],
        "envs": [
            {"name": v.name, "value": "" if v.value == MASK else v.value, "secret": v.hidden}
            for v in present.environment(row)
            if v.origin != "image"
        ],
        "mounts": [
            {"type": m.type, "source": m.source, "target": m.target, "read_only": m.read_only}
            for m in present.mounts(row)
            if not (m.volume and m.volume.anonymous)
        ],
    }
