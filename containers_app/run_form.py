"""The form that runs a container: what was typed as the run body of the REST contract, and back.

Fields that come once are ordinary form fields. Ports, variables, mounts and labels come as rows of equal names
(``port_host``, ``port_container``, …); ticks in rows send the number of their row. Messages of `engine.specs`
(``ports.0.host``) find their field again, in its row.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import pgettext_lazy

from accounts.access import Actor
from containers_app import run_typed
from containers_app.forms import PLAIN
from containers_app.run_typed import Line
from engine.specs import ContainerSpec, SpecError
from operations.forms import Change

MOST_ROWS = 128
RESTARTS = (
    ("no", _lazy("never")),
    ("unless-stopped", _lazy("unless stopped")),
    ("always", _lazy("always")),
    ("on-failure", _lazy("on failure")),
)
PULLS = (("missing", _lazy("if it is not here")), ("always", _lazy("always")), ("never", _lazy("never")))
# Where a message about the body stands in the form.
_FIELDS = {
    "image": "image",
    "name": "name",
    "pull": "pull",
    "command": "command",
    "entrypoint": "entrypoint",
    "hostname": "hostname",
    "user": "user",
    "working_dir": "working_dir",
    "restart_policy.name": "restart",
    "restart_policy.max_retries": "retries",
    "restart_policy": "restart",
    "resources.memory": "memory",
    "resources.cpus": "cpus",
    "resources.pids": "pids",
    "healthcheck.interval": "health_interval",
    "healthcheck.timeout": "health_timeout",
    "healthcheck.retries": "health_retries",
    "healthcheck.start_period": "health_start",
    "healthcheck": "health_command",
    "cap_add": "cap_add",
    "cap_drop": "cap_drop",
    "auto_remove": "auto_remove",
    "privileged": "privileged",
    "read_only": "read_only",
    "tty": "tty",
    "init": "init",
}
_ROWS = {
    "ports": "ports",
    "mounts": "mounts",
    "environment": "variables",
    "secrets": "variables",
    "labels": "labels",
    "networks": "networks",
}
_BY_PLACE = ("ports", "mounts", "networks")


def _text(label: Any, *, most: int = 4096, arg: str = "", hint: Any = "") -> forms.CharField:
    """A line of text; ``arg`` is what ``docker run`` calls it."""
    attrs = {**PLAIN, **({"data-arg": arg} if arg else {}), **({"placeholder": hint} if hint else {})}
    return forms.CharField(label=label, required=False, max_length=most, widget=forms.TextInput(attrs=attrs))


class RunForm(Change):
    """A container to be made."""

    permission = "container.run"
    image = forms.CharField(
        label=_lazy("Image"),
        max_length=512,
        widget=forms.TextInput(
            attrs={**PLAIN, "list": "images", "data-arg": "image", "placeholder": "nginx:1.27"}
        ),
        error_messages={"required": _lazy("Name an image, such as nginx:1.27.")},
    )
    name = _text(_lazy("Name"), most=255, arg="--name", hint=_lazy("the engine makes one up"))
    command = _text(_lazy("Command"), arg="command", hint=_lazy("that of the image"))
    entrypoint = _text(_lazy("Entrypoint"), arg="--entrypoint", hint=_lazy("that of the image"))
    restart = forms.ChoiceField(label=pgettext_lazy("label", "Restart"), choices=RESTARTS, initial="no")
    retries = forms.IntegerField(label=_lazy("Times at most"), required=False, min_value=0, max_value=1000)
    cpus = forms.FloatField(label=_lazy("CPU cores"), required=False, min_value=0)
    memory = _text(_lazy("Memory"), most=20)
    pids = forms.IntegerField(label=_lazy("Processes"), required=False, min_value=0)
    pull = forms.ChoiceField(label=_lazy("Pull"), choices=PULLS, initial="missing")
    hostname = _text(_lazy("Host name"), most=64, arg="--hostname")
    user = _text(_lazy("User"), most=130, arg="--user", hint=_lazy("that of the image"))
    working_dir = _text(_lazy("Working directory"), arg="--workdir", hint=_lazy("that of the image"))
    health_command = _text(_lazy("Health check"), arg="--health-cmd", hint=_lazy("that of the image"))
    health_interval = forms.FloatField(label=pgettext_lazy("seconds", "Every"), required=False)
    health_timeout = forms.FloatField(label=_lazy("Fails after"), required=False)
    health_retries = forms.IntegerField(label=_lazy("Retries"), required=False)
    health_start = forms.FloatField(label=_lazy("Start period"), required=False)
    health_none = forms.BooleanField(label=_lazy("No health check"), required=False)
    cap_add = _text(_lazy("Add capabilities"), hint="NET_ADMIN")
    cap_drop = _text(_lazy("Drop capabilities"), hint="ALL")
    tty = forms.BooleanField(label=_lazy("Terminal (tty)"), required=False)
    init = forms.BooleanField(label=_lazy("Small init as process 1"), required=False)
    read_only = forms.BooleanField(label=_lazy("Read-only root"), required=False)
    auto_remove = forms.BooleanField(label=_lazy("Remove when it ends"), required=False)
    privileged = forms.BooleanField(label=_lazy("Privileged"), required=False)
    start = forms.BooleanField(label=_lazy("Start now"), required=False, initial=True)

    def __init__(self, *args: Any, actor: Actor, **options: Any) -> None:
        super().__init__(*args, actor=actor, **options)
        self.actor = actor
        for name, (arg, hint) in _NUMBERS.items():
            attrs = {**PLAIN, "inputmode": "decimal", "data-arg": arg, "placeholder": hint}
            self.fields[name].widget = forms.TextInput(attrs=attrs)
        self.ports = self._lines("port", ("host", "container", "protocol"))
        self.networks = self._lines("network", ("name",))
        self.variables = self._lines("env", ("name", "value", "kept"), ticks=("secret",))
        self.mounts = self._lines("mount", ("type", "source", "target"), ticks=("read_only",))
        self.labels = self._lines("label", ("name", "value"))

    # What was typed

    def _lines(self, prefix: str, columns: Sequence[str], ticks: Sequence[str] = ()) -> list[Line]:
        """Rows as typed, or those to begin with."""
        if not isinstance(self.data, QueryDict):
            return [Line(dict(row), at) for at, row in enumerate(self.initial.get(f"{prefix}s", ()))]
        lists = [self.data.getlist(f"{prefix}_{column}")[:MOST_ROWS] for column in columns]
        lists = [[*found, *[""] * (len(lists[0]) - len(found))] for found in lists]
        ticked = {tick: set(self.data.getlist(f"{prefix}_{tick}")) for tick in ticks}
        found = [
            Line({**dict(zip(columns, row, strict=True)), **{t: str(i) in on for t, on in ticked.items()}}, i)
            for i, row in enumerate(zip(*lists, strict=False))
        ]
        return [line for line in found if not line.empty]

    def clean_command(self) -> list[str] | None:
        return self._words("command")

    def clean_entrypoint(self) -> list[str] | None:
        return self._words("entrypoint")

    def clean_memory(self) -> int:
        """In bytes, 0 for no limit."""
        return run_typed.bytes_of(self.cleaned_data["memory"])

    def _words(self, name: str) -> list[str] | None:
        typed = self.cleaned_data[name].strip()
        try:
            return shlex.split(typed) or None
        except ValueError:
            raise ValidationError(_("A quotation mark is open: close it.")) from None

    # As the run body

    def body(self) -> dict[str, Any]:
        """The run body of the REST contract, without engine and team; what was left out is left out."""
        said = self.cleaned_data.get
        body: dict[str, Any] = {key: said(key) for key in _AS_TYPED if said(key)}
        body["start"], body["pull"] = bool(said("start")), said("pull") or "missing"
        body["restart_policy"] = {"name": said("restart") or "no", "max_retries": said("retries") or 0}
        body["resources"] = {key: said(key) or 0 for key in ("memory", "cpus", "pids")}
        body["ports"] = [run_typed.port(line) for line in self.ports]
        body["mounts"] = [run_typed.mount(line) for line in self.mounts]
        body["networks"] = [line.name.strip() for line in self.networks]
        for name, secret in (("environment", False), ("secrets", True)):
            body[name] = {
                v.name.strip(): _value(v) for v in self.variables if v.secret is secret and v.name.strip()
            }
        body["labels"] = {line.name.strip(): line.value for line in self.labels if line.name.strip()}
        for name in ("cap_add", "cap_drop"):
            body[name] = run_typed.words(said(name) or "")
        if check := run_typed.check(self.cleaned_data):
            body["healthcheck"] = check
        return body

    # What is wrong with it

    def clean(self) -> dict[str, Any]:
        """Everything that is wrong, told at once."""
        data = super().clean() or self.cleaned_data
        for lines in (self.variables, self.labels):
            self._check_names(lines)
        try:
            self.judge()
        except SpecError as error:
            self.refuse(error.errors)
        return data

    def judge(self) -> None:
        """Raises `SpecError` where the body is not valid."""
        ContainerSpec.parse(self.body())

    def _check_names(self, lines: Iterable[Line]) -> None:
        seen: set[str] = set()
        for line in lines:
            name = str(line.name).strip()
            if not name:
                self._row_error(line, "name", _("It needs a name."))
            elif name in seen:
                self._row_error(line, "name", _("%(name)s is there twice.") % {"name": name})
            seen.add(name)

    def check_ports(self, holders: Mapping[tuple[int, str], str]) -> bool:
        """Says which host ports others hold, with one that is free; true where none is held."""
        for line in self.ports:
            address, _sep, host = str(line.host).strip().rpartition(":")
            if not (host.isascii() and host.isdecimal()):
                continue
            port, protocol = int(host), str(line.protocol or "tcp")
            if holder := holders.get((port, protocol)):
                self._row_error(
                    line, "host", _("%(host)s is taken by %(holder)s.") % {"host": host, "holder": holder}
                )
                free = self._free(port, protocol, holders)
                line.fix = f"{address}:{free}" if address and free else free
        return not self.errors

    def _free(self, after: int, protocol: str, holders: Mapping[tuple[int, str], str]) -> str:
        """The next host port that nobody holds and that is not typed in another row."""
        typed = {str(line.host).strip().rpartition(":")[2] for line in self.ports}
        ports = (port for port in range(after + 1, 65536) if str(port) not in typed)
        return next((str(port) for port in ports if (port, protocol) not in holders), "")

    def refuse(self, errors: Mapping[str, Iterable[str]]) -> None:
        """Puts the messages about the body beside their fields; those without one on top."""
        for path, found in errors.items():
            for message in found:
                self._place(path, message)

    def _place(self, path: str, message: str) -> None:
        head, _, rest = path.partition(".")
        if head in _ROWS and rest:
            key, _, column = rest.partition(".")
            lines: list[Line] = getattr(self, _ROWS[head])
            line = self._line(lines, key, secret=head == "secrets") if head not in _BY_PLACE else None
            if key.isdecimal() and head in _BY_PLACE and int(key) < len(lines):
                line = lines[int(key)]
            if line is not None:
                self._row_error(line, column or "name", message)
                return
        target = _FIELDS.get(path) or _FIELDS.get(head)
        if target not in self.errors:  # the field's own message says more than what follows from it
            self.add_error(target if target in self.fields else None, message)

    @staticmethod
    def _line(lines: Iterable[Line], name: str, *, secret: bool) -> Line | None:
        found = [line for line in lines if str(line.values.get("name", "")).strip() == name]
        return next((line for line in found if bool(line.values.get("secret")) is secret), None) or next(
            iter(found), None
        )

    def _row_error(self, line: Line, column: str, message: str) -> None:
        line.errors.setdefault(column, message)
        # The form is wrong as a whole; the sentence stands at its row alone.
        self.errors.setdefault("__rows__", self.error_class())

    @property
    def more_is_wrong(self) -> bool:
        """Whether something is to be fixed, or was typed, in the part that is folded."""
        return any(name in self.errors or self[name].value() not in _UNSAID for name in _MORE) or bool(
            self.labels
        )

    @property
    def wrong(self) -> int:
        """How many things are to be fixed."""
        alone = sum(len(found) for name, found in self.errors.items() if name != "__rows__")
        return alone + sum(len(line.errors) for _, line in self.rows())

    def rows(self) -> Iterator[tuple[str, Line]]:
        """Every row with the kind that the page calls it by."""
        kinds = {"ports": self.ports, "networks": self.networks, "env": self.variables, "mounts": self.mounts,
                 "labels": self.labels}  # fmt: skip
        for kind, lines in kinds.items():
            for line in lines:
                yield kind, line


def _value(line: Line) -> str | None:
    """``None`` for the one that it has, which nobody sees."""
    kept = line.values.get("kept") and line.kept == line.name.strip() and not line.value
    return None if kept else str(line.value)


_AS_TYPED = (
    "image", "name", "command", "entrypoint", "hostname", "user", "working_dir", "tty", "init", "read_only",
    "auto_remove", "privileged",
)  # fmt: skip
_MORE = (
    "entrypoint", "working_dir", "user", "hostname", "health_command", "health_none", "cap_add", "cap_drop", "init",
    "tty", "read_only", "auto_remove", "privileged",
)  # fmt: skip
_UNSAID = (None, "", False)
_NUMBERS = {
    "cpus": ("--cpus", _lazy("no limit")),
    "memory": ("--memory", _lazy("no limit")),
    "pids": ("--pids-limit", _lazy("no limit")),
    "retries": ("retries", ""),
    "health_interval": ("--health-interval", "30"),
    "health_timeout": ("--health-timeout", "5"),
    "health_retries": ("--health-retries", "3"),
    "health_start": ("--health-start-period", "0"),
}
"""Fields for numbers: what ``docker run`` calls them, and what is taken where nothing is typed."""
