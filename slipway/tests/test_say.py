"""What is written to the terminal, and where one is signed in to: no server, no engine."""

from __future__ import annotations

import io
import json
import tarfile
from email.parser import BytesParser
from pathlib import Path

import pytest

from slipway import pack, say, where
from slipway.__main__ import main


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("SLIPWAY_URL", raising=False)
    monkeypatch.delenv("SLIPWAY_TOKEN", raising=False)


@pytest.mark.security
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jgone", "\\x1b[2Jgone"), ("a\rb\nc\x07", "a\\x0db\\x0ac\\x07"), ("\x9b31m", "\\x9b31m"),
        ("web\u202egnp.exe", "web\\u202egnp.exe"), ("\u2028x\U000e0041", "\\u2028x\\U000e0041"),
        ("Größe 日本 🚢", "Größe 日本 🚢"),
    ],
)  # fmt: skip
def test_nothing_that_a_server_says_moves_a_cursor(
    text: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say.plain(text) == shown
    say.table(["NAME"], [[text]])
    say.line(text)
    assert capsys.readouterr().out == f"NAME\n{shown}\n{shown}\n"
    say.objects({"name": text})
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert "\x1b" not in printed
    assert json.loads(printed) == {"name": text}


def test_columns_are_as_wide_as_what_is_in_them(capsys: pytest.CaptureFixture[str]) -> None:
    say.table(["A", "B"], [["long word", 1], ["x", ""]])
    assert capsys.readouterr().out.splitlines() == ["A           B", "long word   1", "x"]
    assert [say.size(n) for n in (None, 0, 999, 1500, 2_000_000)] == ["", "0 B", "999 B", "1.5 kB", "2 MB"]


@pytest.mark.security
def test_a_token_is_kept_for_its_owner_alone_and_goes_to_no_other_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = where.keep(where.Place("https://one.example", "secret"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert where.found() == where.Place("https://one.example", "secret")
    monkeypatch.setenv("SLIPWAY_URL", "https://two.example")
    with pytest.raises(where.Unknown, match="SLIPWAY_TOKEN"):
        where.found()
    monkeypatch.delenv("SLIPWAY_URL")
    path.chmod(0o644)
    with pytest.raises(where.Unknown, match="chmod 600"):
        where.found()


@pytest.mark.security
@pytest.mark.parametrize(
    "url", ["http://far.example", "ftp://x", "https://a:b@x.example", "x", "file:///etc/passwd"]
)
def test_no_token_goes_where_others_could_read_it(url: str) -> None:
    with pytest.raises(where.Unknown):
        where.checked(url)
    assert where.checked("http://127.0.0.1:8000/") == "http://127.0.0.1:8000"


def test_who_is_not_signed_in_is_told_how(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ps"]) == 2
    assert "slipway login" in capsys.readouterr().err


def test_a_folder_is_packed_without_its_peoples_names(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "ä.txt").write_text("hello")
    (tmp_path / "link").symlink_to("sub/ä.txt")
    kind, body, length = pack.form(tmp_path, {"tags": ["a:1", "b:2"], "build_args": {"K": "v"}, "pull": True})
    with body:
        raw = body.read()
    assert len(raw) == length
    parts = BytesParser().parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + raw).get_payload()
    fields = [
        (part.get_param("name", header="content-disposition"), part.get_payload(decode=True))
        for part in parts
    ]
    assert [(name, value) for name, value in fields if name != "context"] == [
        ("tags", b"a:1"), ("tags", b"b:2"), ("build_args", b'{"K": "v"}'), ("pull", b"True"),
    ]  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(fields[-1][1])) as archive:
        found = {entry.name: (entry.uid, entry.uname) for entry in archive}
        assert archive.getmember("link").linkname == "sub/ä.txt"
    assert found == dict.fromkeys(("sub", "sub/ä.txt", "link"), (0, ""))
