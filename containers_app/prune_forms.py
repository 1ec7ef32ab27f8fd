"""What people type about cleaning up by itself."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import pgettext_lazy

from containers_app.forms import PLAIN
from containers_app.models import PrunePolicy
from containers_app.unused import KINDS
from engine.specs import SpecError
from operations.models import Engine

GB = 10**9


class PrunePolicyForm(forms.Form):
    """What goes, what of it stays, and when. What is empty is no rule."""

    engine = forms.ModelChoiceField(
        Engine.objects.all(), label=_lazy("Engine"), required=False, empty_label=None
    )
    name = forms.CharField(label=_lazy("Name"), max_length=60, widget=forms.TextInput(attrs=PLAIN))
    kinds = forms.MultipleChoiceField(choices=[(kind, kind) for kind in KINDS], required=False)
    older_days = forms.IntegerField(label=_lazy("Unused for"), min_value=1, max_value=3650, required=False)
    keep_tags = forms.IntegerField(
        label=_lazy("Keep the newest of each repository"), min_value=1, max_value=1000, required=False
    )
    keep = forms.CharField(
        label=_lazy("Keep these"),
        max_length=8192,
        required=False,
        widget=forms.Textarea(
            attrs={**PLAIN, "rows": 3, "placeholder": "shop/*:release-*\nlabel=keep\nlabel=env=prod"}
        ),
        help_text=_lazy("A name or label a line; * stands for anything"),
    )
    only_over = forms.FloatField(
        label=_lazy("Only when everything takes more than"), min_value=0.001, max_value=10**6, required=False
    )
    every = forms.ChoiceField(choices=PrunePolicy.Every.choices, label=_lazy("How often"), initial="day")
    hour = forms.IntegerField(label=pgettext_lazy("hour", "At"), min_value=0, max_value=23, initial=3)

    def __init__(self, data: QueryDict | None, *, row: PrunePolicy | None, engine: Engine) -> None:
        known = _typed(row) if row else {"name": _("Clean up"), "kinds": ["containers", "images"]}
        super().__init__(data, initial={"engine": engine, **known})
        if row:
            del self.fields["engine"]

    def engines(self) -> list[Engine]:
        """Those to choose from, where there is a choice."""
        return list(Engine.objects.all()) if "engine" in self.fields else []

    def wish(self) -> dict[str, Any]:
        """The body of the REST contract."""
        said = {name: value for name, value in self.cleaned_data.items() if name != "engine"}
        lines = [line.strip() for line in said["keep"].splitlines()]
        over = said["only_over"]
        return {
            **said, "keep": [line for line in lines if line], "only_over": None if over is None else int(over * GB),
        }  # fmt: skip

    def refuse(self, error: SpecError) -> None:
        """What the rules do not take, at its field."""
        for path, messages in error.errors.items():
            name = path.partition(".")[0]
            self.add_error(name if name in self.fields else None, [*messages])


def _typed(row: PrunePolicy) -> dict[str, Any]:
    names = ("name", "kinds", "older_days", "keep_tags", "every", "hour")
    over = None if row.only_over is None else row.only_over / GB
    return {**{name: getattr(row, name) for name in names}, "keep": "\n".join(row.keep), "only_over": over}
