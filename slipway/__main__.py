"""``python -m slipway``: docker's words, for a Slipway somewhere."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from typing import Any

from slipway import commands, say, where
from slipway.client import Api, Failed

FAILED, MISUSED, INTERRUPTED = 1, 2, 130


def parser() -> ArgumentParser:
    """All words and their options."""
    top = ArgumentParser(
        prog="slipway", description="Containers of a Slipway, by docker's words.", epilog=where.HELP
    )
    verbs = top.add_subparsers(metavar="COMMAND", required=True)
    common = ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="what the server says, as JSON")

    def verb(name: str, does: Any, say_what: str) -> ArgumentParser:
        made = verbs.add_parser(name, help=say_what, description=say_what, parents=[common])
        made.set_defaults(does=does)
        return made

    verb(
        "login", commands.login, "keep an address and a token (asked for, or a line of standard input)"
    ).add_argument("url")
    verb("ps", commands.ps, "list containers").add_argument(
        "-a", "--all", action="store_true", help="not only running ones"
    )
    verb("images", commands.images, "list images")
    log = verb("logs", commands.logs, "print what a container has written")
    log.add_argument("-f", "--follow", action="store_true", help="go on until it ends")
    log.add_argument("-n", "--tail", default="200", help="the last so many lines, or all (200)")
    log.add_argument("--since", help="RFC 3339, seconds since 1970, or 10m, 2h")
    log.add_argument("name")
    run = verb("run", commands.run, "run a container, with docker run's own options")
    run.add_argument("words", nargs="+", metavar="DOCKER'S WORDS")
    for name, does in (("stop", commands.stop), ("start", commands.start), ("restart", commands.restart)):
        made = verb(name, does, f"{name} containers")
        if name != "start":
            made.add_argument("-t", "--time", type=int, help="seconds that they have to end by themselves")
        made.add_argument("names", nargs="+")
    rm = verb("rm", commands.rm, "remove containers")
    rm.add_argument("-f", "--force", action="store_true", help="running ones too")
    rm.add_argument("-v", "--volumes", action="store_true", help="their anonymous volumes too")
    rm.add_argument("names", nargs="+")
    verb("pull", commands.pull, "fetch an image").add_argument("reference")
    _build(verb("build", commands.build, "build a folder"))
    many = verb("operations", commands.operations, "list operations; or show, follow or end one")
    many.add_argument("-w", "--wait", action="store_true", help="follow it to its end")
    many.add_argument("--cancel", action="store_true", help="ask it to stop")
    many.add_argument("-n", "--limit", type=int, default=20)
    many.add_argument("id", nargs="?")
    for name, does in (("volumes", commands.volumes), ("networks", commands.networks)):
        verb(name, does, f"list {name}").add_argument(
            "ls", nargs="?", choices=["ls"], help="as docker has it"
        )
    return top


def _build(made: ArgumentParser) -> None:
    made.add_argument("-t", "--tag", action="append", default=[], help="may be given again")
    made.add_argument("-f", "--file", help="the Dockerfile's path in the folder")
    made.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    made.add_argument("--target", help="the stage to build")
    made.add_argument("--no-cache", action="store_true")
    made.add_argument("--pull", action="store_true", help="look for newer base images")
    made.add_argument("folder")


def main(words: list[str]) -> int:
    """The exit code: that of the result, 2 for what was typed wrong, 130 after Ctrl-C."""
    asked = _asked(words)
    try:
        signed_in = () if asked.does is commands.login else (Api(where.found()),)
        code: int = asked.does(*signed_in, asked)
        return code
    except (where.Unknown, commands.Misused) as error:
        _complain(error)
        return MISUSED
    except Failed as error:
        _complain(error)
        return FAILED
    except BrokenPipeError:
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


def _asked(words: list[str]) -> Namespace:
    """What follows `run` is docker's, dashes and all: nothing here looks into it."""
    if words[:1] != ["run"] or words[1:2] in (["-h"], ["--help"], []):
        return parser().parse_args(words)
    json = words[1] == "--json"
    return Namespace(does=commands.run, json=json, words=words[2 if json else 1 :])


def _complain(error: Exception) -> None:
    for text in str(error).split("\n"):
        say.line(text, error=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
