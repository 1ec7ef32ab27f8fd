"""What a Dockerfile is told before it is built."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from images_app import dockerfile, examples, lineage
from images_app.lines import Lines
from images_app.models import Build
from images_app.steps import steps, summary
from operations.models import Engine, Operation


def lines(text: str, **options: object) -> dict[int, str]:
    """Line → hint."""
    return {hint.line: hint.text for hint in dockerfile.hints(text, **options)}  # type: ignore[arg-type]


def test_continued_lines_are_one_instruction_at_the_line_where_it_begins() -> None:
    found = dockerfile.instructions(
        "# a comment\nFROM a:1 AS one\nRUN a \\\n  # why\n  && b\n\nFROM b:1\nCMD x\n"
    )
    assert [(i.line, str(i), i.stage) for i in found] == [
        (2, "FROM a:1 AS one", "one"),
        (3, "RUN a && b", "one"),
        (7, "FROM b:1", "1"),
        (8, "CMD x", "1"),
    ]


@pytest.mark.parametrize("base", ["python", "python:latest", "registry.example:5000/team/app"])
def test_a_base_without_a_version_is_hinted_at(base: str) -> None:
    assert "another image tomorrow" in lines(f"FROM {base}\n")[1]


@pytest.mark.parametrize(
    "base", ["python:3.13", "scratch", "a@sha256:00", "$BASE", "registry.example:5000/a:1"]
)
def test_a_base_that_cannot_move_is_not_hinted_at(base: str) -> None:
    assert lines(f"FROM {base}\n") == {}


def test_a_stage_of_the_same_file_is_no_base_without_a_version() -> None:
    assert lines("FROM a:1 AS build\nFROM build\n") == {}


def test_the_fix_names_a_version_that_is_here_and_keeps_the_stage() -> None:
    (hint,) = dockerfile.hints("FROM demo/base AS x\n", local_tags=["demo/base:latest", "demo/base:1"])
    assert hint.fix == "FROM demo/base:1 AS x"


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("ADD https://example.org/a.tgz /", "checks its sum"),
        ("RUN apt-get update && apt-get install -y curl", "package lists"),
        ("ENV DB_PASSWORD=x", "DB_PASSWORD stays readable"),
        ("ARG API_TOKEN=x", "API_TOKEN stays readable"),
        ("ENTRYPOINT run.sh", "A shell stands before"),
        ("RNU make", "Did you mean RUN?"),
    ],
)
def test_a_line_is_hinted_at(line: str, word: str) -> None:
    assert word in lines(f"FROM a:1\nUSER 1\n{line}\n")[3]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("FROM a:1\nRUN --mount=type=cache,target=/x make\n", 2, "--mount"),
        ("FROM a:1\nRUN make\nCOPY --link a b\n", 3, "--link"),
        ("FROM a:1\nRUN <<END\nmake\nEND\n", 2, "text between << marks"),
        ("\n# syntax=docker/dockerfile:1\nFROM a:1\n", 2, "# syntax="),
    ],
)
def test_what_the_classic_builder_lacks_is_named(text: str, line: int, what: str) -> None:
    assert dockerfile.needs_buildkit(text) == (line, what)
    assert dockerfile.needs_buildkit("FROM a:1\n# syntax=x is a comment here\nRUN make --mount\n") is None


def test_a_step_of_buildkit_finds_its_line() -> None:
    text = (
        "ARG V=1\nFROM a:1 AS one\nENV A=b\nRUN make \\\n  all\nFROM one\nWORKDIR /x\nCOPY --from=one /a /b\n"
        "FROM scratch AS three\nADD x /\n"
    )
    lines = Lines(text)
    assert lines.of_step("FROM docker.io/library/a:1", "one", "1/2") == 2
    assert lines.of_step("RUN make   all", "one", "2/2") == 4
    assert lines.of_step("WORKDIR /x", "stage-1", "1/2") == 7
    assert lines.of_step("COPY --from=one /a /b", "stage-1", "1/1") == 8, "older ones do not count WORKDIR"
    assert lines.of_step("ADD x /", "three", "1/1") == 10
    assert lines.of_step("load metadata for docker.io/library/a:1", "", "") == 2
    assert lines.of_step("exporting to image", "", "") == 0
    assert lines.of_step("RUN other", "nobody", "9/9") == 0
    twice = Lines("FROM a AS one\nRUN x\nFROM a\nRUN y\n")
    assert {twice.of_step("FROM a", *at) for at in (("one", "1/2"), ("stage-1", "1/2"))} == {1}
    assert Lines("FROM a\nRUN b\n").of_step("RUN b", "", "2/2") == 2
    assert lines.of_number(3) == 3


@pytest.mark.parametrize(
    "line",
    [
        "ARG API_TOKEN",
        "ENV PATH=/bin",
        'CMD ["run"]',
        "COPY --chown=1 a b",
        "RUN apt-get install -y --no-install-recommends curl && rm -rf /var/lib/apt/lists/*",
    ],
)
def test_a_line_is_left_alone(line: str) -> None:
    assert lines(f"FROM a:1\nUSER 1\n{line}\n") == {}


def test_copying_without_files_cannot_build() -> None:
    (hint,) = dockerfile.hints("FROM a:1\nCOPY . /\n", has_files=False)
    assert (hint.line, hint.level) == (2, "bad")


def test_running_as_root_is_hinted_at_once_and_only_in_the_last_stage() -> None:
    text = 'FROM a:1\nCMD ["x"]\nFROM b:1\nUSER 1\nCMD ["y"]\n'
    assert lines(text) == {}
    assert "mostly root" in lines('FROM a:1\nCMD ["x"]\n')[2]
    assert "runs as root" in lines('FROM a:1\nUSER root\nCMD ["x"]\n')[2]


@pytest.mark.parametrize("text", ["", "\n\n", "# only words", "\\", "FROM", "FROM \\", "<<", "\x00"])
def test_anything_at_all_can_be_typed(text: str) -> None:
    dockerfile.hints(text)


def test_examples_stand_on_what_is_here() -> None:
    base = examples.Base
    assert [e.key for e in examples.examples([])] == ["scratch"]
    assert [e.key for e in examples.examples([base("a:1", False, False)])] == ["label", "scratch"]
    found = examples.examples([base("b:1", True, False), base("python:3", True, True)])
    assert [e.key for e in found] == ["web", "clock", "scratch"]
    assert found[0].dockerfile.startswith("FROM python:3\n")


@pytest.mark.parametrize("shell", [True, False])
def test_no_example_is_hinted_at(shell: bool) -> None:
    for example in examples.examples([examples.Base("a:1", shell, shell)]):
        assert [hint for hint in dockerfile.hints(example.dockerfile) if hint.level != "low"] == []


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ('/bin/sh -c #(nop)  CMD ["sh"]', ("CMD", '["sh"]')),
        ("/bin/sh -c apk add curl", ("RUN", "apk add curl")),
        ("|1 A=b /bin/sh -c make", ("RUN", "make")),
        ("RUN /bin/sh -c make # buildkit", ("RUN", "make")),
        ("COPY dir:00112233445566778899 in / ", ("COPY", "dir:00112233 in /")),
        ("something else", ("", "something else")),
        ("", ("", "")),
    ],
)
def test_history_reads_like_its_dockerfile(command: str, expected: tuple[str, str]) -> None:
    assert lineage.readable(command) == expected


def test_steps_stand_where_they_were_in_time() -> None:
    start = timezone.now() - timedelta(seconds=10)
    operation = Operation(kind="image.build", state="running", started_at=start, progress={"total": 3})
    later = start + timedelta(seconds=5)
    first: dict[str, object] = {"n": 1, "instruction": "FROM a:1", "started_at": start.isoformat()}
    second: dict[str, object] = {"n": 2, "instruction": "RUN x", "started_at": later.isoformat()}
    known = [
        {**first, "seconds": 4, "cached": True, "state": "done"},
        {**second, "seconds": 0, "cached": False, "state": "running"},
    ]
    build = Build(
        engine=Engine(), operation=operation, steps=known, dockerfile="FROM a:1\nRUN x\nRUN y\nRUN z\n"
    )
    found = steps(build, start + timedelta(seconds=10))
    assert [(s.glyph, s.look, s.x, s.width, s.took) for s in found] == [
        ("done", "cache", 0, 40, "cached"),
        ("busy", "now", 50, 50, "5.0 s"),
        ("queued", "", 0, 0, ""),
    ]
    assert summary(found) == "1 of 3, 1 from cache"


@pytest.mark.parametrize(
    ("text", "line", "level", "says"),
    [
        ("RUN apt-get install -y a && rm -rf /var/lib/apt/lists/*", 2, "warn", "--no-install-recommends"),
        ("RUN apk add curl", 2, "warn", "--no-cache"), ("RUN pip install a==1", 2, "warn", "--no-cache-dir"),
        ("COPY . /app\nRUN npm ci", 2, "warn", "Copy package*.json first"),
        ("COPY --chown=1 ./ /app\nRUN true\nRUN pip install --no-cache-dir -r r.txt", 2, "warn", "line 4"),
        ("COPY --from=1 /a /b", 2, "bad", "no stage 1"), ("COPY --from=nginx /a /b", 2, "warn", "name of an image"),
        ("EXPOSE 80", 2, "low", "HEALTHCHECK"),
    ],
)  # fmt: skip
def test_the_table_of_advice(text: str, line: int, level: str, says: str) -> None:
    (hint,) = dockerfile.hints(f"FROM a:1\n{text}\n")
    assert (hint.line, hint.level) == (line, level)
    assert says in hint.text


@pytest.mark.parametrize(
    "text",
    [
        "RUN apk add --no-cache curl", "COPY package.json /app\nRUN npm ci\nCOPY . /app",
        "FROM b:1\nCOPY --from=0 /a /b", "COPY --from=nginx:1 /a /b", "EXPOSE 80\nHEALTHCHECK CMD [\"x\"]",
    ],
)  # fmt: skip
def test_what_is_well_done_is_told_nothing(text: str) -> None:
    assert dockerfile.hints(f"FROM a:1\n{text}\n") == []


def test_a_stage_that_is_nearly_right_is_put_right() -> None:
    (hint,) = dockerfile.hints("FROM a:1 AS website\nFROM b:1\nCOPY --from=websites /a /b\n")
    assert (hint.level, hint.fix) == ("bad", "COPY --from=website /a /b")


def test_what_a_context_holds_by_accident_is_told() -> None:
    about = {"bytes": 300_000_000, "ignores": False, "unwanted": [".git", ".env"]}
    found = dockerfile.hints("FROM a:1\nCOPY . /\n", source=about)
    assert [hint.line for hint in found] == [2, 2, 2]
    assert "300 MB" in found[2].text
