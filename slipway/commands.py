"""What each word does. A command returns its exit code."""

from __future__ import annotations

import getpass
import shlex
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from slipway import pack, say, where
from slipway.client import Api, Failed
from slipway.follow import detached, follow, outcome

SHORT = 12
UP = "running,paused,restarting"
Row = dict[str, Any]


class Misused(Exception):
    """What was typed makes no sense; the message says why."""


def login(asked: Namespace) -> int:
    """Keeps an address and a token, after it has looked whether they go together."""
    url = where.checked(asked.url)
    secret = getpass.getpass("Token: ") if sys.stdin.isatty() else sys.stdin.readline()
    place = where.Place(url, secret.strip())
    found = Api(place).get("/tokens/", limit=1)["results"]
    path = where.keep(place)
    say.line(f"Signed in to {url} as {found[0]['user']}. Kept in {path}" if found else f"Kept in {path}")
    return 0


def ps(api: Api, asked: Namespace) -> int:
    """Containers: those that run, or all."""
    rows = api.every("/containers/", state=None if asked.all else UP)
    columns = ("CONTAINER ID", "IMAGE", "CREATED", "STATUS", "PORTS", "NAME")
    return _shown(asked, rows, columns, lambda row: (
        row["engine_id"][:SHORT], row["image_ref"], say.ago(row["created_at"]), row["status"], say.ports(row["ports"]),
        row["name"],
    ))  # fmt: skip


def images(api: Api, asked: Namespace) -> int:
    """Images, a line for each."""
    rows = api.every("/images/")
    return _shown(asked, rows, ("IMAGE ID", "SIZE", "CREATED", "TAGS"), lambda row: (
        row["engine_id"].removeprefix("sha256:")[:SHORT], say.size(row["size"]), say.ago(row["created_at"]),
        ", ".join(row["tags"]) or "<none>",
    ))  # fmt: skip


def volumes(api: Api, asked: Namespace) -> int:
    """Volumes, with who mounts them."""
    rows = api.every("/volumes/")
    return _shown(asked, rows, ("VOLUME", "DRIVER", "SIZE", "USED BY"), lambda row: (
        row["name"], row["driver"], say.size(row["size"]), ", ".join(sorted({one["name"] for one in row["used_by"]})),
    ))  # fmt: skip


def networks(api: Api, asked: Namespace) -> int:
    """Networks, with their addresses."""
    rows = api.every("/networks/")
    return _shown(asked, rows, ("NETWORK ID", "NAME", "DRIVER", "SUBNETS"), lambda row: (
        row["engine_id"][:SHORT], row["name"], row["driver"], ", ".join(row["subnets"])
    ))  # fmt: skip


def logs(api: Api, asked: Namespace) -> int:
    """What a container has written; its standard error goes to ours."""
    every = asked.tail == "all"
    found = api.lines(
        f"/containers/{_container(api, asked.name)['id']}/logs/", follow=asked.follow, since=asked.since,
        tail=None if every else asked.tail, all=every and not asked.follow,
    )  # fmt: skip
    for line in found:
        if asked.json:
            sys.stdout.write(f"{say.compact(line)}\n")
        elif "line" in line:
            say.line(line["line"], error=line.get("stream") == "stderr")
        else:
            say.line(f"[lines are missing here: {line.get('cause', '')}]", error=True)
    return 0


def run(api: Api, asked: Namespace) -> int:
    """A container, by docker's own words. The server reads them; what it cannot say is not left out silently."""
    body = api.change("POST", "/containers/parse/", {"command": shlex.join(["docker", "run", *asked.words])})
    if unmapped := body.pop("unmapped"):
        raise Misused(f"Slipway cannot say: {', '.join(unmapped)}")
    operation = api.change("POST", "/containers/", body)
    return _followed(api, asked, operation, lambda done: (done["result"] or {}).get("container", ""))


def stop(api: Api, asked: Namespace) -> int:
    """Ends containers."""
    return _each(api, asked, "stop", {} if asked.time is None else {"timeout": asked.time})


def start(api: Api, asked: Namespace) -> int:
    """Starts containers."""
    return _each(api, asked, "start", {})


def restart(api: Api, asked: Namespace) -> int:
    """Ends containers and starts them."""
    return _each(api, asked, "restart", {} if asked.time is None else {"timeout": asked.time})


def rm(api: Api, asked: Namespace) -> int:
    """Removes containers."""
    code = 0
    for name in asked.names:
        path = f"/containers/{_container(api, name)['id']}/"
        operation = api.change("DELETE", path, force=asked.force, volumes=asked.volumes)
        code = max(code, _followed(api, asked, operation, lambda done: done["target"]["name"]))
    return code


def pull(api: Api, asked: Namespace) -> int:
    """Fetches an image."""
    operation = api.change("POST", "/images/pull/", {"reference": asked.reference})
    return _followed(api, asked, operation, lambda _: asked.reference)


def build(api: Api, asked: Namespace) -> int:
    """Builds a folder; the steps go to standard error, the image to standard output."""
    folder = Path(asked.folder)
    if not folder.is_dir():
        raise Misused(f"{asked.folder} is no folder.")
    fields: Row = {"tags": asked.tag, "build_args": _pairs(asked.build_arg), "target": asked.target}
    fields |= {"dockerfile_path": asked.file, "no_cache": asked.no_cache, "pull": asked.pull}
    wished = {name: value for name, value in fields.items() if value}
    kind, body, length = pack.form(folder, wished)
    with body:
        operation = api.change("POST", "/images/build/", form=(kind, body, length))
    return _followed(api, asked, operation, lambda done: (done["result"] or {}).get("image", ""), lines=True)


def operations(api: Api, asked: Namespace) -> int:
    """The newest operations, or one: followed to its end, or ended."""
    if not asked.id:
        rows = api.get("/operations/", limit=asked.limit)["results"]
        columns = ("OPERATION", "KIND", "TARGET", "STATE", "BY", "CREATED")
        return _shown(asked, rows, columns, lambda row: (
            row["id"], row["kind"], row["target"]["name"], row["state"], row["actor"], say.ago(row["created_at"])
        ))  # fmt: skip
    operation = api.get(f"/operations/{_known(asked.id)}/")
    if asked.cancel:
        operation = api.change("POST", f"/operations/{operation['id']}/cancel/")
    if asked.wait:
        return _followed(api, asked, operation, lambda done: done["state"], lines=True)
    if asked.json:
        say.objects(operation)
    else:
        error = f": {operation['error']['message']}" if operation["error"] else ""
        say.line(f"{operation['kind']} {operation['target']['name']}: {operation['state']}{error}")
    return 0


def _shown(
    asked: Namespace, rows: list[Row], columns: tuple[str, ...], cells: Callable[[Row], tuple[object, ...]]
) -> int:
    if asked.json:
        say.objects(rows)
    else:
        say.table(columns, [cells(row) for row in rows])
    return 0


def _each(api: Api, asked: Namespace, verb: str, body: Row) -> int:
    code = 0
    for name in asked.names:
        operation = api.change("POST", f"/containers/{_container(api, name)['id']}/{verb}/", body)
        code = max(code, _followed(api, asked, operation, lambda done: done["target"]["name"]))
    return code


def _followed(
    api: Api, asked: Namespace, operation: Row, shown: Callable[[Row], object], *, lines: bool = False
) -> int:
    """To its end, then what is of use of it; the exit code of the whole."""
    try:
        operation = follow(api, operation, lines=lines and not asked.json)
    except KeyboardInterrupt:
        return detached(operation)
    if asked.json:
        say.objects(operation)
    elif operation["state"] == "succeeded":
        say.line(shown(operation))
    return outcome(operation)


def _container(api: Api, word: str) -> Row:
    """By its name, else by a beginning of its id that is nobody else's."""
    found: list[Row] = api.get("/containers/", name=word)["results"]
    if not found and len(word) >= 4:
        found = [
            row for row in api.every("/containers/", q=word) if row["engine_id"].startswith(word.lower())
        ]
    if not found:
        raise Failed(f"There is no container {word}.", 404)
    if len(found) > 1:
        raise Misused(f"{word} is the name of {len(found)} containers: say the id of one.")
    return found[0]


def _known(word: str) -> str:
    """An id, and nothing that leads to another address."""
    if not word.replace("-", "").isalnum():
        raise Misused(f"{word} is no id of an operation.")
    return word


def _pairs(words: list[str]) -> dict[str, str]:
    return {name: value for name, _, value in (word.partition("=") for word in words)}
