"""A server of mails that is small and real: SMTP on this machine, with STARTTLS, TLS from the start, and accounts."""

from __future__ import annotations

import base64
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from tests.tls import Authority


@dataclass
class Post:
    """What has come. ``refuse``: what it answers to every recipient, such as ``550 nobody``."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    sealed: list[bool] = field(default_factory=list)
    accounts: list[str] = field(default_factory=list)
    refuse: str = ""


class _Talk(socketserver.StreamRequestHandler):
    post: Post
    context: ssl.SSLContext | None
    from_the_start = False
    account = ""

    def setup(self) -> None:
        self.secure = False
        if self.from_the_start:
            self._seal()
        super().setup()

    def finish(self) -> None:
        super().finish()
        if self.secure:
            self.request.close()

    def _seal(self) -> None:
        assert self.context
        self.request = self.context.wrap_socket(self.request, server_side=True, do_handshake_on_connect=False)
        try:
            self.request.do_handshake()
        except OSError:
            self.request.close()
            raise
        self.secure = True

    def say(self, *lines: str) -> None:
        self.wfile.write(b"".join(f"{line}\r\n".encode() for line in lines))

    def handle(self) -> None:
        self.let_in, self.to = not self.account, list[str]()
        self.say("220 here")
        while line := self.rfile.readline().decode().strip():
            if self._answered(line) == "221":
                return

    def _answered(self, line: str) -> str:
        verb = line.partition(" ")[0].upper()
        if verb == "EHLO":
            offers = ["STARTTLS"] if self.context and not self.secure else []
            offers += ["AUTH PLAIN"] if self.account and self.secure else []
            said = ["here", *offers]
            self.say(*(f"250{'-' if one is not said[-1] else ' '}{one}" for one in said))
        elif verb == "STARTTLS" and self.context:
            self.say("220 go on")
            self.rfile.close()
            self._seal()
            super().setup()
        elif verb == "AUTH":
            given = base64.b64decode(line.split()[2]).decode().replace("\0", ":").lstrip(":")
            self.let_in = self.secure and given == self.account
            self.post.accounts.append(given)
            self.say("235 welcome" if self.let_in else "535 no")
        elif verb in ("MAIL", "RCPT") and not self.let_in:
            self.say("530 sign in first")
        elif verb == "RCPT":
            self.to += [line.partition("<")[2].partition(">")[0]]
            self.say(self.post.refuse or "250 fine")
        elif verb == "DATA":
            self._take()
        elif verb == "RSET":
            self.to = []
            self.say("250 fine")
        elif verb == "QUIT":
            self.say("221 bye")
            return "221"
        else:
            self.say("250 fine")
        return ""

    def _take(self) -> None:
        self.say("354 go on")
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        self.post.mails.append(message_from_bytes(b"".join(lines), policy=policy.default))  # type: ignore[arg-type]
        self.post.recipients.append(self.to)
        self.post.sealed.append(self.secure)
        self.to = []
        self.say("250 taken")


@contextmanager
def server(
    folder: Path, authority: Authority | None = None, *, account: str = "", from_the_start: bool = False
) -> Iterator[Post]:
    """It runs. ``authority`` signs its certificate; ``account``: ``name:password`` that it wants."""
    post, context = Post(), None
    if authority:
        (folder / "smtp.pem").write_text("".join(authority.give("mail")))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "smtp.pem")
    said = {"post": post, "context": context, "account": account, "from_the_start": from_the_start}

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Whoever goes away in the middle, such as who does not trust its certificate."""

    with Server(("127.0.0.1", 0), type("Talk", (_Talk,), said)) as found:
        post.port = found.server_address[1]
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield post
        found.shutdown()
        thread.join()
