"""S-48, S-50, S-51: what a Dockerfile demands, however it is written; what nobody's may, and what the rails forbid."""

from __future__ import annotations

import io
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import docker
import pytest

from accounts.access import Actor, person
from accounts.models import AuditEntry, Team, User
from engine.base import Engine as EngineBackend
from engine.docker_build import query
from engine.errors import PolicyDenied
from engine.specs import BuildSpec, SpecError
from images_app import build_rules, operations, sync
from images_app.demands import demands
from operations import policies
from operations.models import Engine, Operation
from tests.rows import make_engine, make_image

BY = "a:1"


def of(text: str, what: str, **args: str) -> list[tuple[int, str]]:
    return [(one.line, one.value) for one in demands(text, args) if one.what == what]


@pytest.mark.parametrize("text", [
    "ADD http://x/y /z", "add https://x/y /z", "ADD\thttp://x/y /z", "ADD --chown=1 --checksum=a http://x/y /z",
    "ADD ht\\\ntp://x/y /z", "ADD \\\n# a comment\n\n  http://x/y /z", "ADD ht\\  \ntp://x/y /z",
    'ADD ["http://x/y", "/z"]', 'ADD ["\\u0068ttp://x/y", "/z"]', "ADD h\"t\"tp://x/y /z", "ADD \\http://x/y /z",
    "ARG U=http://x\nADD $U/y /z", "ADD ${U:-http}://x/y /z", "ENV S=http\nADD $S://x/y /z", "ADD a b http://x/y /z/",
    "ONBUILD ADD http://x/y /z", "ONBUILD onbuild ADD http://x/y /z", "ADD git@h.example:a/b.git /z",
    "ADD //x/y /z", "RUN echo 1<<2\nADD http://x/y /z\n2", "RUN <<E\nADD http://x/y /z\nE",
])  # fmt: skip
def test_whatever_is_added_from_an_address_is_seen(text: str) -> None:
    """S-50."""
    assert of(f"FROM {BY}\n{text}\n", "fetch"), text


def test_another_escape_hides_nothing() -> None:
    """S-50: `# escape=` at the top says what continues a line; further down it is a comment."""
    assert of(f"# escape=`\nFROM {BY}\nADD ht`\ntp://x /y\n", "fetch") == [(3, "ADD http://x /y")]
    assert of(f"# escape=`\nFROM {BY}\nRUN x \\\nADD http://x /y\n", "fetch") == [(4, "ADD http://x /y")]
    assert of(f"FROM {BY}\n# escape=`\nRUN x `\nADD http://x /y\n", "fetch") == [(4, "ADD http://x /y")]
    assert of(f"\ufeff# escape=`\nFROM {BY}\nRUN x \\\nADD http://x /y\n", "fetch") == [
        (4, "ADD http://x /y")
    ]


@pytest.mark.parametrize("line", [
    "RUN true \\\f", "RUN true \\\u00a0", "RUN true ` \u2028", "RUN true \\\n\x1f", "RUN true \\\n\x1f# no comment",
    "# x=y\n# escape=`\nRUN true `", "# a = b c\n# escape=`\nRUN true \\", "# escape=`x\nRUN true `",
    "RUN <<'#A'\ntrue \\\n#A", "RUN <<'A\\'\ntrue\nA\\", "RUN <<A;\ntrue \\\nA;", "COPY <<E.O /a\ntrue \\\nE.O",
])  # fmt: skip
def test_a_line_that_could_hide_the_next_is_unclear(line: str) -> None:
    """S-48, S-50: an engine may see an ADD here, or a FROM, where this reading sees none."""
    assert of(f"{line}\nADD http://x/y /z\n", "unclear"), line


@pytest.mark.parametrize("text", [
    "# syntax=docker/dockerfile:1\n# escape=`\nFROM a\nRUN x `\n  y", "# escape=`\r\nFROM a\r\nRUN x `\r\n y\r\n",
    "FROM a\nRUN cat <<EOF > /x\n  a\u00a0b\nEOF\nCOPY <<-'EOF' /y\n\t# a\n\tEOF",
    "FROM a\nRUN x \\\n\n  # note\n  && y",
    "FROM a\nRUN grep x <<<y && echo $((1<<2)) \"<< z\"\n# the escape = x of it",
    "FROM a\n# caf\u00e9\u00a0# ok\nRUN x",
])  # fmt: skip
def test_what_every_builder_reads_alike_is_clear(text: str) -> None:
    assert not of(text, "unclear")


def test_what_is_unclear_is_looked_at_in_no_time() -> None:
    began = time.monotonic()
    for line in ("\\" + "\x0b" * 200_000 + "x", "1" * 200_000 + "<<", " <<A." * 40_000, "\x0b" * 200_000):
        demands(f"FROM a\n{line}\n")
    assert time.monotonic() - began < 20


def test_a_flag_ends_where_either_builder_ends_it() -> None:
    """S-48, S-51."""
    text = "FROM a:1\nRUN --mount=type=tmpfs,target=/a` --mount=from=evil:1,target=/m --network=host x\n"
    assert of(text, "image") == [(1, "a:1"), (2, "evil:1")]
    assert len(of(text, "privilege")) == 1
    assert of(text.replace("`", "\\"), "image") == [(1, "a:1"), (2, "evil:1")]


@pytest.mark.parametrize(
    "line", ["ADD a.tgz /", "ADD . /app", 'ADD ["a b", "/"]', "RUN curl http://x", "COPY a b"]
)
def test_files_of_the_context_are_no_fetching(line: str) -> None:
    assert not of(f"FROM {BY}\n{line}\n", "fetch") or line.startswith('ADD ["a b"'), (
        "a name with a space is unusual"
    )


@pytest.mark.parametrize(("text", "images"), [
    ("FROM a:1 AS x\nFROM X\nCOPY --from=x / /\nCOPY --from=0 / /\nFROM scratch", [(1, "a:1")]),
    ("ARG B=r.example/b\nFROM $B:2", [(2, "r.example/b:2")]),
    ("ARG B\nFROM ${B:-r.example/c}", [(2, "r.example/c")]),
    ("FROM --platform=$P d:1\nCOPY --from=r.example/e / /", [(1, "d:1"), (2, "r.example/e")]),
    ('FROM a:1\nRUN --mount=type=bind,from=f:1 x\nRUN --mount="type=bind,from=g:1" x\nRUN --mount=from=h"x":1 x',
     [(1, "a:1"), (2, "f:1"), (3, "g:1"), (4, "hx:1")]),
    ("FROM a:1\nONBUILD COPY --from=i:1 / /", [(1, "a:1"), (2, "i:1")]),
    ("ARG X=\nFROM ${X+evil/}a", [(2, "${X+evil/}a")]), ("ARG X=\nFROM ${X-a/}b", [(2, "${X-a/}b")]),
    ("ARG X=\nFROM ${X:-a/}b${X:+c}", [(2, "a/b")]), ("FROM a:1\nFROM 0", [(1, "a:1"), (2, "0")]),
    ("ARG IMG=r.example/E\nARG img=a\nFROM a AS x\nCOPY --from=$IMG / /", [(3, "a"), (4, "r.example/E")]),
    ("ARG B=a\nARG B\nFROM $B", [(3, "$B")]), ("FROM ${B/x/y}", [(1, "${B/x/y}")]),
])  # fmt: skip
def test_images_are_found_with_their_arguments(text: str, images: list[tuple[int, str]]) -> None:
    """S-48."""
    assert of(text, "image") == images


def test_an_argument_of_the_build_counts_more_than_the_file() -> None:
    """S-48."""
    assert of("ARG B=a\nFROM $B", "image", B="r.example/z") == [(2, "r.example/z")]


FOREIGN = [
    "# syntax=evil/front\n", "#syntax = evil/front:1\n", "# escape=`\n# SYNTAX=evil/front\n",
    "#!/usr/bin/x\n# syntax=evil/front\n", "// syntax=evil/front\n", '{"syntax": "evil/front"}\n',
    "# syntax=docker.evil.example/docker/dockerfile\n", "\ufeff# syntax=evil/front\n",
]  # fmt: skip
SPELLINGS = (
    "ADD http://{at}/add /x", "ADD \\\n http://{at}/add /x", "ADD ht\\\ntp://{at}/add /x",
    "ARG U=http\nADD $U://{at}/add /x", "ONBUILD ADD http://{at}/add /x",
)  # fmt: skip
WALLS = [
    "RUN --network=host x", "RUN --security=insecure x", "run --mount=type=cache,target=/a --network=host x",
    'RUN --network="host" x', "RUN --network=h\\ost x", "RUN --device=all x", "ONBUILD RUN --security=insecure x",
    "RUN --net\\\nwork=host x",
]  # fmt: skip


@pytest.fixture
def judged(db: None, alice: User) -> Callable[..., None]:
    engine = make_engine()

    def judge(
        text: str, *, pull: bool = False, actor: Actor | None = None, team: Team | None = None, **args: str
    ) -> None:
        spec = BuildSpec(tags=("x:1",), build_args=args, pull=pull)
        build_rules.check(
            text,
            spec,
            actor=actor or person(alice, source="ui"),
            engine=engine,
            team_id=team.pk if team else None,
        )

    return judge


def test_foreign_frontends_and_lower_walls_are_nobodys(judged: Callable[..., None], settings: Any) -> None:
    """S-51: not even a site administrator's; the line is shown."""
    for text in FOREIGN:
        with pytest.raises(SpecError) as caught:
            judged(f"{text}FROM {BY}\n")
        assert "Line " in caught.value.errors["dockerfile"][0], text
    for line in WALLS:
        with pytest.raises(SpecError) as caught:
            judged(f"FROM {BY}\n{line}\n")
        assert caught.value.errors["dockerfile"][0].startswith("Line 2: "), line
    with pytest.raises(SpecError):
        judged(f"FROM {BY}\n", BUILDKIT_SYNTAX="evil/front")
    for fine in ("docker/dockerfile:1", "docker.io/docker/dockerfile:1.7@sha256:" + "a" * 64):
        judged(f"# syntax={fine}\nFROM {BY}\nRUN --network=none --security=sandbox x\n# syntax=evil/front\n")
    settings.BUILD_FRONTENDS = []
    with pytest.raises(SpecError):
        judged(f"# syntax=docker/dockerfile:1\nFROM {BY}\n")


def test_the_lists_of_registries_holds_for_builds(
    judged: Callable[..., None], alice: User, bob: User, team: Team
) -> None:
    """S-48: for what a build stands on and copies from, and for frontends."""
    policies.change(None, actor=person(alice, source="ui"), rules={"registries": ["r.example"]})
    actor = person(bob, source="ui")
    judged("ARG B=r.example/b\nFROM $B AS x\nFROM x\n", actor=actor, team=team)
    for text in (
        "FROM a:1\n", "ARG B=a\nFROM ${B}\n", "FROM r.example/a\nCOPY --from=b:1 / /\n", "FROM $UNKNOWN\n",
        "# syntax=docker/dockerfile:1\nFROM r.example/a\n", "FROM r.example/a\\b\n",
        "FROM r.example/a\nRUN x \\\f\nFROM b:1\n",
    ):  # fmt: skip
        with pytest.raises(PolicyDenied) as caught:
            judged(text, actor=actor, team=team)
        assert caught.value.details["rule"] == "known_registries_only", text
    judged("FROM a:1\n")


def test_builds_that_fetch_nothing_stand_on_what_is_here(
    judged: Callable[..., None], alice: User, bob: User, team: Team
) -> None:
    """S-50: also the triggers of the image that they stand on."""
    policies.change(None, actor=person(alice, source="ui"), rules={"no_fetching": True})
    engine = Engine.objects.get()
    make_image(engine, team, "here:1")
    make_image(engine, team, "trap:1", config={"OnBuild": ["ADD http://x/y /z"]})
    actor = person(bob, source="ui")
    judged("FROM here:1\nADD a /\nRUN x\n", actor=actor, team=team)
    for text in ("FROM gone:1\n", "FROM trap:1\n", "FROM here:1\nCOPY --from=gone:1 / /\n",
        "FROM here:1\nADD http://x /\n",
        "FROM here:1\nRUN x \\\f\nADD http://x /\n", "# syntax=docker/dockerfile:1\nFROM here:1\n"):  # fmt: skip
        with pytest.raises(PolicyDenied) as caught:
            judged(text, actor=actor, team=team)
        assert caught.value.details["rule"] == "builds_fetch_nothing", text
    with pytest.raises(PolicyDenied):
        judged("FROM here:1\n", pull=True, actor=actor, team=team)


@pytest.fixture
def hits() -> Iterator[tuple[int, list[str]]]:
    """``(port, the paths that were asked for)`` of a listener on all addresses."""
    found: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("0.0.0.0", 0), Listener)  # noqa: S104
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, found
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("builder", ["classic", "buildkit"])
def test_a_build_that_may_fetch_nothing_reaches_nobody(
    builder: str, hits: tuple[int, list[str]], engine_row: Engine, engine_backend: EngineBackend, busybox: str,
    docker_client: docker.DockerClient, alice: User, bob: User, team: Team,
    run_operations: Callable[[], list[Operation]],
) -> None:  # fmt: skip
    """S-50: no address of the host answers its steps; where it may fetch, one does."""
    port, found = hits
    sync.reconcile(engine_row, engine_backend)
    gateway = docker_client.networks.get("bridge").attrs["IPAM"]["Config"][0]["Gateway"]
    places = f"127.0.0.1:{port} {gateway}:{port} 169.254.169.254:80"
    ask = "printf 'GET /run HTTP/1.0\\r\\n\\r\\n' | nc -w 2 ${p%:*} ${p#*:}"
    text = f"FROM {busybox}\nRUN for p in {places}; do {ask}; done; true\n"
    engine, actor = Engine.objects.get(pk=engine_row.pk), person(bob, source="ui")

    def build(dockerfile: str) -> Operation:
        operation = operations.request_build(
            actor=actor, engine=engine, team=team, tags=["fetched:1"], dockerfile=dockerfile, builder=builder,
            no_cache=True,
        )  # fmt: skip
        run_operations()
        operation.refresh_from_db()
        return operation

    done = build(text)
    assert (done.state, found) == ("succeeded", ["/run"]), done.error_message
    found.clear()
    policies.change(None, actor=person(alice, source="ui"), rules={"no_fetching": True})
    for spelling in SPELLINGS:
        with pytest.raises(PolicyDenied):
            build(f"FROM {busybox}\n{spelling.format(at=f'127.0.0.1:{port}')}\n")
    assert AuditEntry.objects.filter(verb="image.build", outcome="denied").count() == len(SPELLINGS)
    done = build(text)
    assert (done.state, found) == ("succeeded", []), done.error_message


def test_steps_of_the_classic_builder_have_limits(
    engine_backend: EngineBackend, busybox: str, docker_client: docker.DockerClient
) -> None:
    """S-49: memory and CPU; BuildKit of that age knows neither, and is bounded by its own group on the host."""
    said: list[str] = []
    spec = BuildSpec(tags=("limited:1",), builder="classic", memory=64 * 2**20, cpus=0.5, no_cache=True)
    files = "memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us memory.max cpu.max"
    look = f"RUN cd /sys/fs/cgroup; for f in {files}; do [ ! -e $f ] || cat $f; done"
    with io.BytesIO() as tar:
        with tarfile.open(fileobj=tar, mode="w") as archive:
            text = f"FROM {busybox}\n{look}\n".encode()
            head = tarfile.TarInfo("Dockerfile")
            head.size = len(text)
            archive.addfile(head, io.BytesIO(text))
        tar.seek(0)
        engine_backend.build(
            spec, tar, emit=lambda progress: said.extend(progress.log), should_stop=lambda: False, deadline=60
        )
    assert str(64 * 2**20) in said
    assert any(line.startswith("50000") for line in said)


def test_no_build_is_on_the_hosts_network_or_takes_a_foreign_cache() -> None:
    """S-49: what an engine is asked, whatever the wish."""
    asked = query(BuildSpec(tags=("a:1",)))
    assert asked["networkmode"] == "default"
    assert query(BuildSpec(tags=("a:1",), networked=False))["networkmode"] == "none"
    assert not {"remote", "cachefrom", "extrahosts", "cgroupparent"} & asked.keys()
    for field in ("networked", "cgroup", "memory", "extra_hosts", "cache_from", "network", "remote"):
        with pytest.raises(SpecError):
            BuildSpec.parse({"tags": ["a:1"], field: "x"})
