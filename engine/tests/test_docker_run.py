"""A ``docker run`` line as the run body: what it says is there, what a body cannot say is named, nothing is guessed."""

from __future__ import annotations

import pytest

from engine.docker_run import parse
from engine.errors import Invalid
from engine.specs import ContainerSpec

LONG = r"""
# as it stands in a manual
sudo docker run -d --name web \
  -p 8080:80 -p 127.0.0.1:8443:443/tcp --publish=53:53/udp -p 9000 \
  -e MODE=quiet --env 'GREETING=hello "you" there' \
  -v data:/var/lib/data:ro -v /srv/www:/www --mount type=bind,source=/etc/hosts,target=/h,readonly \
  --tmpfs /run --network front --network back \
  --restart on-failure:5 -m 512m --cpus .5 --pids-limit 100 \
  --health-cmd 'curl -f localhost || exit 1' --health-interval 1m30s --health-retries 5 \
  -l tier=front --cap-drop ALL --cap-add NET_ADMIN --read-only --init -it -u 1000:1000 -w /app -h box \
  --entrypoint /bin/sh nginx:1.27 -c 'echo "$HOME"; sleep 1'
"""


def test_a_long_line_says_the_whole_body() -> None:
    body, unmapped = parse(LONG)
    assert unmapped == []
    assert body == {
        "image": "nginx:1.27", "name": "web", "entrypoint": ["/bin/sh"],
        "command": ["-c", 'echo "$HOME"; sleep 1'],
        "ports": [
            {"container": 80, "host": 8080},
            {"container": 443, "host": 8443, "host_ip": "127.0.0.1", "protocol": "tcp"},
            {"container": 53, "host": 53, "protocol": "udp"},
            {"container": 9000},
        ],
        "environment": {"MODE": "quiet", "GREETING": 'hello "you" there'},
        "mounts": [
            {"type": "volume", "source": "data", "target": "/var/lib/data", "read_only": True},
            {"type": "bind", "source": "/srv/www", "target": "/www", "read_only": False},
            {"type": "bind", "source": "/etc/hosts", "target": "/h", "read_only": True},
            {"type": "tmpfs", "target": "/run", "read_only": False},
        ],
        "networks": ["front", "back"], "restart_policy": {"name": "on-failure", "max_retries": 5},
        "resources": {"memory": 512 * 1024**2, "cpus": 0.5, "pids": 100},
        "healthcheck": {
            "test": ["CMD-SHELL", "curl -f localhost || exit 1"], "interval": 90, "timeout": 30, "retries": 5,
            "start_period": 0,
        },
        "labels": {"tier": "front"}, "cap_drop": ["ALL"], "cap_add": ["NET_ADMIN"], "read_only": True, "init": True,
        "tty": True, "user": "1000:1000", "working_dir": "/app", "hostname": "box",
    }  # fmt: skip
    assert ContainerSpec.parse(body).name == "web"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--gpus all", ["--gpus all"]),
        ("--shm-size=1g --ulimit nofile=1:2", ["--shm-size=1g", "--ulimit nofile=1:2"]),
        ("-P", ["--publish-all"]),
        ("--quite-new yes", ["--quite-new yes"]),
        ("--quite-new=yes", ["--quite-new=yes"]),
        ("-v ./here:/app", ["--volume ./here:/app (only your shell knows this path)"]),
        ("-v $PWD:/app", ["--volume $PWD:/app (only your shell knows this path)"]),
        ("-v /data", ["--volume /data (a volume without a name)"]),
        ("-v data:/d:z", ["--volume data:/d:z (without z)"]),
        ("--tmpfs /run:size=64m", ["--tmpfs /run:size=64m (without size=64m)"]),
        ("-e TOKEN", ["--env TOKEN (its value is your shell’s: type it)"]),
        ("-p 8000-9000:80", ["--publish 8000-9000:80 (too many ports)"]),
        ("-p 8000-8002:80", ["--publish 8000-8002:80 (one of a range)"]),
        ("-p what", ["--publish what"]),
        ("-m much", ["--memory much (no size)"]),
        ("--net container:db", ["--net container:db"]),
        ("--network name=front,alias=shop", ["--network name=front,alias=shop (without alias=shop)"]),
        ("-i", ["--interactive"]),
        ("-m 64m --memory-swap 128m", ["--memory-swap 128m"]),
        ("--health-interval 5s", ["--health-… without --health-cmd"]),
        ("--log-driver syslog", ["--log-driver syslog"]),
        ("-z", ["-z"]),
        ("--env-file prod.env --label-file l", ["--env-file prod.env", "--label-file l"]),
    ],
)
def test_what_a_body_cannot_say_is_named_word_for_word(flags: str, expected: list[str]) -> None:
    body, unmapped = parse(f"docker run {flags} busybox:1 true")
    assert unmapped == expected
    assert (body["image"], body["command"]) == ("busybox:1", ["true"])


@pytest.mark.parametrize(
    ("flags", "field", "expected"),
    [
        ("-p 8000-8002:80-82", "ports", [{"container": 80 + n, "host": 8000 + n} for n in range(3)]),
        ("-p [::1]:80:81", "ports", [{"container": 81, "host": 80, "host_ip": "::1"}]),
        ("-p 127.0.0.1::81", "ports", [{"container": 81, "host_ip": "127.0.0.1"}]),
        (
            "-p target=81,published=80,protocol=udp",
            "ports",
            [{"container": 81, "host": 80, "protocol": "udp"}],
        ),
        ("-p8080:80", "ports", [{"container": 80, "host": 8080}]),
        ("-m 1.5g --memory-swap 1.5g", "resources", {"memory": 1610612736}),
        ("--pids-limit -1", "resources", {"pids": 0}),
        ("--no-healthcheck", "healthcheck", {"test": ["NONE"]}),
        ("--entrypoint ''", "entrypoint", [""]),
        ("--init=false", "init", False),
        ("-e A=1 -e A=2 -e EMPTY=", "environment", {"A": "2", "EMPTY": ""}),
        ("--log-driver json-file --log-opt max-size=10m --log-opt max-file=3", "log", None),
    ],
)
def test_what_can_be_said_in_several_ways_means_the_same(flags: str, field: str, expected: object) -> None:
    body, unmapped = parse(f"docker run {flags} busybox:1")
    assert unmapped == []
    assert body.get(field) == expected


def test_create_does_not_start() -> None:
    assert parse("docker container create busybox:1") == ({"image": "busybox:1", "start": False}, [])


def test_commands_after_the_first_connect_it_and_start_it() -> None:
    line = "docker create --name web --network front busybox:1 echo 'a\nb'\ndocker network connect back web\n"
    assert parse(line)[0]["networks"] == ["front", "back"]
    assert parse(line)[0]["start"] is False
    body, unmapped = parse(f"{line}docker start web\ncurl localhost\n")
    assert "start" not in body
    assert body["command"] == ["echo", "a\nb"]
    assert unmapped == ["curl localhost"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "begins with"),
        ("docker ps", "begins with"),
        ("docker run", "names no image"),
        ("docker run --name web", "names no image"),
        ("docker run -e 'A=1 busybox", "quotation mark"),
        ("docker run " + "a" * 70_000, "64 KiB"),
    ],
)
def test_what_is_no_such_line_is_refused(line: str, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        parse(line)
