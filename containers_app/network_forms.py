"""What people type about networks: a new one, and how a container is to be found on one."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from accounts.access import Actor
from accounts.querysets import visible_to
from containers_app import attachments
from containers_app.forms import PLAIN, pairs, text_area
from containers_app.models import Container, Network
from operations.forms import Change

# Where a message about the body stands in the form.
_PLACES = {"subnets.0": "subnet", "gateways.0": "gateway", "subnets.1": "subnet6", "gateways.1": "gateway6"}
_WORDS = re.compile(r"[\s,]+")


def _text(hint: str = "", **attributes: Any) -> forms.TextInput:
    return forms.TextInput(attrs={**PLAIN, **({"placeholder": hint} if hint else {}), **attributes})


class NetworkForm(Change):
    """A network to be made. ``chooses``: whether this person may choose addresses and what the driver does."""

    permission = "network.create"
    name = forms.CharField(
        label=_lazy("Name"),
        max_length=255,
        widget=_text(autofocus=True),
        error_messages={"required": _lazy("Give it a name, so that containers can be put on it.")},
    )
    subnet = forms.CharField(
        label=_lazy("Subnet"), required=False, max_length=64, widget=_text("10.20.0.0/24")
    )
    gateway = forms.CharField(
        label=_lazy("Gateway"), required=False, max_length=64, widget=_text("10.20.0.1")
    )
    internal = forms.BooleanField(label=_lazy("Internal"), required=False)
    ipv6 = forms.BooleanField(label="IPv6", required=False)
    subnet6 = forms.CharField(
        label=_lazy("IPv6 subnet"), required=False, max_length=64, widget=_text("fd00:20::/64")
    )
    gateway6 = forms.CharField(
        label=_lazy("IPv6 gateway"), required=False, max_length=64, widget=_text("fd00:20::1")
    )
    driver = forms.CharField(label=_lazy("Driver"), required=False, max_length=128, widget=_text("bridge"))
    options = text_area(_lazy("Driver options"), "com.docker.network.driver.mtu=1400")
    labels = text_area(_lazy("Labels"), "tier=backend")

    def __init__(self, *args: Any, actor: Actor, **options: Any) -> None:
        super().__init__(*args, actor=actor, **options)
        self.site = actor.is_site_admin
        self.chooses = self.site or bool(settings.NETWORK_POOL)
        self.pool = settings.NETWORK_POOL
        dropped = set() if self.chooses else {"subnet", "gateway", "ipv6", "subnet6", "gateway6"}
        for name in dropped | (set() if self.site else {"driver", "options"}):
            del self.fields[name]

    def clean_options(self) -> dict[str, str]:
        return pairs(self.cleaned_data["options"])

    def clean_labels(self) -> dict[str, str]:
        return pairs(self.cleaned_data["labels"])

    def wish(self) -> dict[str, Any]:
        """The body of the REST contract."""
        said = self.cleaned_data
        ranges = [(said.get("subnet", ""), said.get("gateway", ""))]
        if said.get("ipv6"):
            ranges.append((said.get("subnet6", ""), said.get("gateway6", "")))
        ranges = [pair for pair in ranges if pair[0] or pair[1]]
        return {
            "name": said["name"], "driver": said.get("driver") or "bridge",
            "subnets": [subnet for subnet, _ in ranges if subnet],
            "gateways": [gateway for _, gateway in ranges],
            "internal": said["internal"], "ipv6": bool(said.get("ipv6")), "options": said.get("options") or {},
            "labels": said["labels"],
        }  # fmt: skip

    def clean(self) -> dict[str, Any]:
        """A gateway goes with a subnet."""
        said = super().clean() or self.cleaned_data
        for subnet, gateway in (("subnet", "gateway"), ("subnet6", "gateway6")):
            if said.get(gateway) and not said.get(subnet):
                self.add_error(subnet, _("Give the subnet that the gateway is in."))
        return said

    @property
    def more_is_wrong(self) -> bool:
        """Whether the folded part has to be open."""
        return any(name in self.errors or self.data.get(name) for name in ("driver", "options", "labels"))

    def refuse(self, errors: dict[str, list[str]]) -> None:
        """Puts the messages of a `SpecError` beside their fields. With IPv6 alone, that is the first range."""
        first6 = bool(self.cleaned_data.get("ipv6") and not self.cleaned_data.get("subnet"))
        for path, messages in errors.items():
            place = _PLACES.get(path.replace(".0", ".1") if first6 else path, path.partition(".")[0])
            place = {"subnets": "subnet", "gateways": "gateway"}.get(place, place)
            self.add_error(place if place in self.fields else None, [*messages])


class ConnectForm(forms.Form):
    """Which container, and how others find it there."""

    container = forms.CharField(
        label=_lazy("Container"),
        max_length=255,
        widget=_text(list="connectable", autofocus=True),
        error_messages={"required": _lazy("Choose a container.")},
    )
    aliases = forms.CharField(
        label=_lazy("Other names"), required=False, max_length=1100, widget=_text("db, database")
    )
    ip = forms.CharField(label=_lazy("Fixed address"), required=False, max_length=64, widget=_text())
    ip6 = forms.CharField(label=_lazy("Fixed IPv6 address"), required=False, max_length=64, widget=_text())

    def __init__(self, *args: Any, network: Network, actor: Actor, **options: Any) -> None:
        super().__init__(*args, **options)
        everybody = (
            Container.objects.filter(engine_id=network.engine_id).order_by("name").select_related("team")
        )
        self.choices = [
            row for row in visible_to(actor, everybody.defer("inspect", "health_log"))
            if attachments.of(row, network) is None and not _fixed(row)
        ]  # fmt: skip
        if not network.ipv6:
            del self.fields["ip6"]
        if attachments.is_own(network):
            for name in ("aliases", "ip"):
                del self.fields[name]
        elif network.subnets:
            self.fields["ip"].widget.attrs["placeholder"] = _("one of %(subnets)s") % {
                "subnets": network.subnets[0]
            }

    def clean_container(self) -> Container:
        name = self.cleaned_data["container"].strip()
        found = next((row for row in self.choices if name in (row.name, str(row.pk))), None)
        if found is None:
            raise ValidationError(_('There is no "%(name)s" that is not on it already.') % {"name": name})
        return found

    def clean_aliases(self) -> list[str]:
        return [one for one in _WORDS.split(self.cleaned_data["aliases"]) if one]

    def wish(self) -> dict[str, Any]:
        """The body of the REST contract, without the container."""
        return {key: value for key in ("aliases", "ip", "ip6") if (value := self.cleaned_data.get(key))}

    def refuse(self, errors: dict[str, list[str]]) -> None:
        """Puts the messages of a `SpecError` beside their fields."""
        for path, messages in errors.items():
            place = path.partition(".")[0]
            self.add_error(place if place in self.fields else None, [*messages])


def _fixed(row: Container) -> bool:
    """What uses the host's network, or none, was made so."""
    return any(one.get("name") in ("host", "none") for one in row.networks)
