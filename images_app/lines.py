"""Which line of a Dockerfile a step of a build comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from images_app.dockerfile import Instruction, instructions

WORK = ("RUN", "COPY", "ADD", "WORKDIR")
"""What BuildKit makes steps of; everything else only goes into the image's settings."""


class Lines:
    """The lines of one Dockerfile."""

    def __init__(self, dockerfile: str) -> None:
        self.plan = instructions(dockerfile)
        self._stages = dict(_stages(self.plan))

    def of_number(self, n: int) -> int:
        """The line of the classic builder's step of that number; 0 for none."""
        return self.plan[n - 1].line if 0 < n <= len(self.plan) else 0

    def of_step(self, instruction: str, stage: str, place: str) -> int:
        """The line of a step of BuildKit's, which is at ``place`` ("2/3") in its stage; 0 for none."""
        word = instruction.partition(" ")[0]
        if not place:
            return self._base(instruction)
        n, _, of = place.partition("/")
        steps = (
            self._stages.get(stage.lower(), [])
            if stage or len(self._stages) != 1
            else next(iter(self._stages.values()))
        )
        for found in (steps, [one for one in steps if one.word != "WORKDIR"]):
            if len(found) == int(of) and 0 < int(n) <= len(found) and found[int(n) - 1].word == word:
                return self._first(found[int(n) - 1])
        return next((one.line for one in self.plan if str(one) == instruction), 0)

    def _first(self, one: Instruction) -> int:
        """BuildKit fetches a base once, and calls that by any of the stages that begin with it."""
        same = (other for other in self.plan if other.word == "FROM" and _base_of(other) == _base_of(one))
        return next(same).line if one.word == "FROM" else one.line

    def _base(self, instruction: str) -> int:
        """For the look at a base image at its registry."""
        found = re.fullmatch(r"(?:load metadata|resolve image config) for (\S+)", instruction)
        bases = [(one.line, _base_of(one)) for one in self.plan if one.word == "FROM"]
        return next((line for line, base in bases if found and base and found[1].endswith(base)), 0)


def _stages(plan: Sequence[Instruction]) -> Iterator[tuple[str, list[Instruction]]]:
    """Each stage's name with what makes steps in it: its base too, where that is no stage before it."""
    names: list[str] = []
    steps: list[Instruction] = []
    for one in plan:
        if one.word == "FROM":
            name = re.search(r"\sas\s+(\S+)\s*$", one.rest, re.IGNORECASE)
            base, steps = _base_of(one).lower(), []
            steps += [one] if base not in names and base != "scratch" else []
            names.append(name[1].lower() if name else f"stage-{len(names)}")
            yield names[-1], steps
        elif one.word in WORK:
            steps.append(one)


def _base_of(one: Instruction) -> str:
    return next((word for word in one.rest.split() if not word.startswith("--")), "")
