"""The log of a build by its steps, which say things at the same time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.utils.translation import gettext as _

from images_app.steps import Step
from operations.present import LogLine

_HEAD = re.compile(r"Step \d{1,4}/\d{1,4} : ")
_ENDS = re.compile(r"(?:DONE [\d.]+s|CACHED|CANCELED|Using cache)$")


@dataclass(frozen=True, slots=True)
class Section:
    """What one step said, from its instruction in ``title`` on; ``n`` 0: what Slipway itself says, beside all steps."""

    n: int
    title: str = ""
    took: str = ""
    look: str = ""
    open: bool = True
    lines: list[tuple[LogLine, str]] = field(default_factory=list)


def sections(lines: Sequence[LogLine], found: Sequence[Step], *, failed: bool) -> list[Section]:
    """In the order in which the steps began. Of a build that failed only the step that did is open."""
    steps = {step.n: step for step in found}
    broken = {step.n for step in found if step.glyph == "failed"} if failed else set()
    made: list[Section] = []
    at: dict[int, Section] = {}
    for line in lines:
        if line.step in at and line.step:
            at[line.step].lines.append((line, tone(line.text)))
        elif not line.step:
            made.append(Section(0, lines=[(line, "")]))
        else:
            step = steps.get(line.step)
            shown = not (step and step.look == "cache") and (not broken or line.step in broken)
            title, rest = _HEAD.sub("", line.text), []
            if not line.first or (step and not title.startswith(step.instruction[:40])):
                # The beginning of a long log is not here.
                title, rest = (
                    step.instruction if step else _("Step %(n)s") % {"n": line.step},
                    [(line, tone(line.text))],
                )
            took = step.took if step and not step.started_at else ""
            at[line.step] = Section(line.step, title, took, step.look if step else "", shown, rest)
            made.append(at[line.step])
    return made


def tone(text: str) -> str:
    """``dim`` for how a step ended, ``bad`` for how it failed, ``y`` for warnings; empty for what it said itself."""
    if text.startswith("ERROR "):
        return "bad"
    if text.lower().startswith("warning:"):
        return "y"
    return "dim" if _ENDS.match(text.removeprefix(" ---> ")) else ""
