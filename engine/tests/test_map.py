"""Whatever an engine tells becomes facts that a page and a database can hold."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import docker_map, docker_map_objects
from engine.docker_events import event
from engine.docker_text import (
    LARGEST_INSPECT,
    MASK,
    document,
    environment,
    is_secret_name,
    mask,
    moment,
    number,
    pairs,
    text,
    time_ns,
)
from engine.stats import rate, sample
from engine.types import ContainerState, Event, Health, StatsSample

ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
_KEYS = """
    Id Name Names State Status Health Created Image ImageID Config HostConfig Env Cmd Labels Ports Mounts
    Type NetworkSettings Networks RestartPolicy ExitCode StartedAt RepoTags Size History RootFS Layers
    IPAM Log Tmpfs PortBindings ExposedPorts 80/tcp HostPort Healthcheck Test Actor ID Action time
    timeNano read cpu_stats memory_stats stats networks blkio_stats io_service_bytes_recursive op value
    Options UsageData
"""
KEYS = _KEYS.split()
ODD = st.recursive(
    ANYTHING,
    lambda inner: st.dictionaries(st.sampled_from(KEYS), inner, max_size=6) | st.lists(inner, max_size=3),
    max_leaves=20,
)
DOCUMENTS = st.dictionaries(st.sampled_from(KEYS), ODD, max_size=12)


@settings(max_examples=100)
@given(DOCUMENTS)
def test_no_document_breaks_the_mapping(data: dict[str, Any]) -> None:
    docker_map.summary(data)
    info = docker_map.container(data)
    docker_map_objects.image_summary(data)
    image = docker_map_objects.image(data, data.get("History"))
    docker_map_objects.volume(data)
    docker_map_objects.network(data)
    docker_map_objects.engine_info(data, "1.41")
    event(data)
    sample("0" * 64, data)
    for kept in (info.inspect, image.config):
        assert len(json.dumps(kept).encode()) <= LARGEST_INSPECT


@given(st.text() | st.just("a\x00\ud800b"))
def test_texts_fit_a_database(value: str) -> None:
    found = text(value, 10)
    assert len(found) <= 10
    assert "\x00" not in found
    found.encode()


def test_huge_labels_are_cut() -> None:
    found = pairs({f"label{i}": "x" * 4000 for i in range(1000)})
    assert sum(len(key) + len(value) for key, value in found.items()) <= 32768


def test_a_huge_document_is_cut_to_its_bound() -> None:
    data = {"Config": {"Labels": {f"label{i}": "x" * 4000 for i in range(600)}}, "Id": "a"}
    found = document(data)
    assert len(json.dumps(found).encode()) <= LARGEST_INSPECT
    assert found["Id"] == "a"


@pytest.mark.parametrize("value", [True, "7", None, [], {}])
def test_what_is_no_number_is_zero(value: object) -> None:
    assert number(value) == 0


def test_numbers_fit_a_column() -> None:
    assert number(10**30) == 2**63 - 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0001-01-01T00:00:00Z", None),
        ("", None),
        (None, None),
        ("nonsense", None),
        ("2026-11-24T03:22:30.113529502Z", datetime(2026, 11, 24, 3, 22, 30, 113529, UTC)),
        ("2026-11-24T04:22:30+01:00", datetime(2026, 11, 24, 3, 22, 30, 0, UTC)),
        (1795490550, datetime(2026, 11, 24, 3, 22, 30, 0, UTC)),
        (10**30, None),
    ],
)
def test_times(value: object, expected: datetime | None) -> None:
    assert moment(value) == expected


def test_times_keep_nanoseconds() -> None:
    assert time_ns("2026-11-24T03:22:30.113529502Z") == 1795490550113529502


# --- Secrets -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "DB_PASSWORD",
        "passwd",
        "MYSQL_PWD",
        "API_TOKEN",
        "aws_secret",
        "SSH_KEY",
        "Credential",
        "BASIC_AUTH",
        "SENTRY_DSN",
    ],
)
def test_secret_names(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["PATH", "HOME", "PORT", "AUTHOR", "VERSION", "LANG"])
def test_other_names(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ("postgres://app:hush@db:5432/app", f"postgres://app:{MASK}@db:5432/app"),
        ("redis://:hush@cache/0", f"redis://:{MASK}@cache/0"),
        ("https://example/path", "https://example/path"),
        ("--password=hush", f"--password={MASK}"),
        ("API_TOKEN=hush", f"API_TOKEN={MASK}"),
        ("--port=80", "--port=80"),
        ("plain", "plain"),
    ],
)
def test_secrets_in_texts(value: str, masked: str) -> None:
    assert mask(value) == masked


def test_environment_is_masked_by_name_declaration_and_url() -> None:
    told = environment(
        ["A=1", "TOKEN=hush", "PLAIN=hush", "URL=http://u:hush@h/", "EMPTY_KEY=", "odd"], ["PLAIN"]
    )
    assert told == {
        "A": "1",
        "TOKEN": MASK,
        "PLAIN": MASK,
        "URL": f"http://u:{MASK}@h/",
        "EMPTY_KEY": "",
        "odd": "",
    }


def test_no_secret_is_left_in_an_inspection() -> None:
    info = docker_map.container(
        {
            "Id": "a" * 64,
            "Name": "/web",
            "LogPath": "/var/lib/docker/hush",
            "GraphDriver": {"Data": {"LowerDir": "/var/lib/docker/hush"}},
            "Args": ["--password=hush", "https://u:hush@h"],
            "Config": {
                "Env": ["DB_PASSWORD=hush", "PLAIN=hush", "URL=amqp://u:hush@h/"],
                "Cmd": ["run", "--api-key=hush"],
                "Labels": {"io.slipway.secrets": "PLAIN", "db": "postgres://u:hush@h"},
                "Healthcheck": {"Test": ["CMD-SHELL", "TOKEN=hush"]},
            },
            "State": {"Status": "running", "Health": {"Log": [{"Output": "http://u:hush@h"}]}},
        }
    )
    assert "hush" not in repr(info)
    assert info.environment["PLAIN"] == MASK


# --- Containers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "seconds"),
    [
        ("Up 3 minutes", 3 * 60 + 60 + 2),
        ("Up 5 seconds (healthy)", 5 + 1 + 2),
        ("Up About an hour", 2 * 3600 + 2),
        ("Up Less than a second", 2 + 2),
        ("Exited (137) 2 weeks ago", 3 * 604800 + 2),
        ("Up 2 hours (Paused)", 3 * 3600 + 2),
        ("Created", None),
        ("", None),
    ],
)
def test_the_age_of_a_state(status: str, seconds: int | None) -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    told = docker_map.summary({"Id": "a", "State": "running", "Status": status}, now).state_since
    assert told == (None if seconds is None else now - timedelta(seconds=seconds))


def test_the_clock_does_not_change_a_fingerprint() -> None:
    base = {"Id": "a" * 64, "Names": ["/web"], "State": "running"}
    first = docker_map.summary({**base, "Status": "Up 3 minutes (healthy)"})
    second = docker_map.summary({**base, "Status": "Up 4 minutes (healthy)"})
    third = docker_map.summary({**base, "Status": "Up 4 minutes (unhealthy)"})
    assert first.fingerprint == second.fingerprint != third.fingerprint


def test_names_that_links_gave_are_not_its_own() -> None:
    assert docker_map.own_name(["/app/db", "/db"]) == "db"
    assert docker_map.own_name(None) == ""


def test_podmans_words_are_known() -> None:
    assert docker_map.state_of("stopped") == ContainerState.EXITED
    assert docker_map.state_of("configured") == ContainerState.CREATED
    assert docker_map.state_of({"a": 1}) == ContainerState.EXITED


def test_an_ended_container_has_no_health() -> None:
    state = {"Status": "exited", "ExitCode": 1, "Health": {"Status": "healthy"}}
    info = docker_map.container({"State": state})
    assert (info.health, info.exit_code) == (Health.NONE, 1)


def test_a_stopped_container_tells_the_ports_that_it_will_have() -> None:
    data = {
        "State": {"Status": "exited"},
        "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}},
        "Config": {"ExposedPorts": {"80/tcp": {}, "443/tcp": {}}},
        "NetworkSettings": {"Ports": {}},
    }
    assert [(port.container, port.host) for port in docker_map.container(data).ports] == [
        (80, 8080),
        (443, None),
    ]


def test_an_empty_folder_is_a_layer_too() -> None:
    digests = ["sha256:" + letter * 64 for letter in "abc"]
    data = {"Id": "sha256:" + "1" * 64, "RootFS": {"Layers": digests}}
    history = [  # newest first, as both builders write it
        {"CreatedBy": 'CMD ["serve"]', "Size": 0},
        {"CreatedBy": "COPY data /srv # buildkit", "Size": 5},
        {"CreatedBy": "/bin/sh -c #(nop) WORKDIR /srv", "Size": 0},
        {"CreatedBy": "/bin/sh -c #(nop)  ENV A=b", "Size": 0},
        {"CreatedBy": "/bin/sh -c #(nop) ADD file:1 in / ", "Size": 9},
    ]
    layers = docker_map_objects.image(data, history).layers
    assert [(layer.digest[-1:], layer.empty) for layer in layers] == [
        ("a", False), ("", True), ("b", False), ("c", False), ("", True),
    ]  # fmt: skip


def test_layers_that_cannot_be_told_apart_get_no_digest() -> None:
    data = {"Id": "sha256:" + "1" * 64, "RootFS": {"Layers": ["sha256:" + "a" * 64]}}
    history = [{"CreatedBy": "RUN touch /a", "Size": 0}, {"CreatedBy": "RUN touch /b", "Size": 0}]
    assert [layer.digest for layer in docker_map_objects.image(data, history).layers] == ["", ""]


def test_image_layers_get_their_digests_in_order() -> None:
    data = {
        "Id": "sha256:" + "a" * 64,
        "RootFS": {"Layers": ["sha256:one", "sha256:two"]},
        "RepoTags": ["<none>:<none>"],
    }
    history = [
        {"CreatedBy": "CMD", "Size": 0, "Created": 3},
        {"CreatedBy": "COPY", "Size": 7, "Created": 2},
        {"CreatedBy": "ADD", "Size": 9, "Created": 1},
    ]
    found = docker_map_objects.image(data, history)
    assert found.tags == ()
    assert [(layer.command, layer.digest, layer.empty) for layer in found.layers] == [
        ("ADD", "sha256:one", False),
        ("COPY", "sha256:two", False),
        ("CMD", "", True),
    ]


# --- Events --------------------------------------------------------------------------------------------


def test_events_lose_their_labels_and_command_lines() -> None:
    data = {
        "Type": "container",
        "Action": "health_status: unhealthy",
        "Actor": {"ID": "a" * 64, "Attributes": {"exitCode": "0", "name": "web", "token": "canary"}},
        "timeNano": 5,
    }
    assert event(data) == Event("container", "health_status", "a" * 64, 5, name="web", health="unhealthy")
    assert event({**data, "Action": "health_status: <b>"}) == Event(
        "container", "health_status", "a" * 64, 5, "web"
    )
    assert "canary" not in repr(event(data))
    assert event({**data, "Action": "exec_create: sh -c mysql -phush"}) is None
    assert event({**data, "Type": "plugin"}) is None
    assert event({**data, "Action": "start", "Actor": {"ID": "../images/x"}}) is None


def test_an_end_tells_its_code_and_a_kill_its_signal() -> None:
    def said(action: str, **attributes: str) -> Event | None:
        actor = {"ID": "a" * 64, "Attributes": attributes}
        return event({"Type": "container", "Action": action, "Actor": actor, "timeNano": 5})

    assert said("die", exitCode="137") == Event("container", "die", "a" * 64, 5, exit_code=137)
    assert said("kill", signal="15") == Event("container", "kill", "a" * 64, 5, signal=15)
    assert said("kill", signal="SIGKILL") == Event("container", "kill", "a" * 64, 5, signal=9)
    for wrong in ("-1", "", "9" * 16, "1e3", "²"):
        assert said("die", exitCode=wrong) == Event("container", "die", "a" * 64, 5)


def test_a_volume_of_podman_is_named_by_its_attribute() -> None:
    data = {
        "Type": "volume",
        "Action": "create",
        "Actor": {"ID": "", "Attributes": {"name": "data"}},
        "time": 7,
    }
    assert event(data) == Event("volume", "create", "data", 7 * 10**9, name="data")


# --- Readings ------------------------------------------------------------------------------------------

V2 = {
    "read": "2026-11-24T02:09:56.83737276Z",
    "pids_stats": {"current": 3},
    "blkio_stats": {
        "io_service_bytes_recursive": [{"op": "read", "value": 5}, {"op": "write", "value": 13107200}]
    },
    "cpu_stats": {"cpu_usage": {"total_usage": 2621176000}},
    "memory_stats": {"usage": 13840384, "stats": {"inactive_file": 13107200}, "limit": 1000},
    "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 2}, "eth1": {"rx_bytes": 10, "tx_bytes": 20}},
}


def test_a_reading_of_cgroup_version_2() -> None:
    assert sample("a" * 64, V2) == StatsSample(
        "a" * 64, 1795486196837372760, 2.621176, 733184, 1000, 11, 22, 5, 13107200, 3
    )


def test_a_reading_of_cgroup_version_1() -> None:
    data = {
        **V2,
        "memory_stats": {"usage": 100, "stats": {"total_inactive_file": 40, "cache": 90}, "limit": 1000},
        "blkio_stats": {
            "io_service_bytes_recursive": [
                {"op": "Read", "value": 1},
                {"op": "Write", "value": 2},
                {"op": "Sync", "value": 3},
                {"op": "Total", "value": 3},
            ]
        },
    }
    found = sample("a" * 64, data)
    assert found is not None
    assert (found.memory, found.blk_read_total, found.blk_write_total) == (60, 1, 2)


def test_an_ended_container_has_no_reading() -> None:
    assert sample("a" * 64, {"read": "0001-01-01T00:00:00Z", "cpu_stats": {"cpu_usage": {}}}) is None
    assert sample("a" * 64, {}) is None


def reading(seconds: float, cpu: float, rx: int) -> StatsSample:
    return StatsSample("a" * 64, int(seconds * 10**9), cpu, 1, 2, rx, 0, 0, 0, 1)


def test_rates_are_differences_over_time() -> None:
    told = rate(reading(10, 1.0, 100), reading(12, 2.0, 300))
    assert told is not None
    assert (told.cpu, told.net_rx, told.memory) == (0.5, 100, 1)


def test_no_rate_over_a_restart_or_backwards() -> None:
    assert rate(reading(10, 5.0, 100), reading(12, 0.1, 0)) is None
    assert rate(reading(10, 1.0, 100), reading(10, 1.0, 100)) is None
    told = rate(reading(10, 1.0, 100), reading(12, 2.0, 0))
    assert told is not None
    assert told.net_rx == 0
